# pip install numpy==2.4.6 pyspark==4.0.1 safetensors==0.8.0 scikit-learn==1.9.1, and Java 17
"""Makes conventions.safetensors: what Spark ML and scikit-learn themselves give, scaled or not, centred or not.

python udfs/pca/tests/data/conventions.py
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from sklearn.decomposition import PCA as SklearnPCA
from sklearn.preprocessing import StandardScaler as SklearnScaler
from pyspark.ml.feature import PCA, StandardScaler
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import SparkSession


def data(n, d):
    """As in tests/pca/golden.rs."""
    i, j = np.ogrid[:n, :d]
    return ((i * 37 + j * 11 + i * i * j * 7) % 29) / 8.0 - (j % 3)


CONSTANT = data(12, 4)
CONSTANT[:, 1] = 0.1
# The rows, and the number of components that Spark is asked for: more than there are of the wide ones.
CASES = {"tall": (data(40, 4), 3), "wide": (data(5, 8), 8), "constant": (CONSTANT, 2)}


def spark_pipeline(session, x, k, scale, mean):
    frame = session.createDataFrame([(i, row.tolist()) for i, row in enumerate(x)], ["i", "x"])
    frame = frame.withColumn("features", array_to_vector("x"))
    scaler = StandardScaler(inputCol="features", outputCol="scaled", withStd=scale, withMean=mean)
    scaled = scaler.fit(frame).transform(frame)
    model = PCA(k=k, inputCol="scaled", outputCol="pca").fit(scaled)
    rows = model.transform(scaled).orderBy("i").select(vector_to_array("scaled"), vector_to_array("pca")).collect()
    return {
        "components": model.pc.toArray().T,
        "ratio": model.explainedVariance.toArray(),
        "scaled": np.array([row[0] for row in rows]),
        "scores": np.array([row[1] for row in rows]),
    }


def sklearn_pipeline(x, scale, mean):
    scaled = SklearnScaler(with_std=scale, with_mean=mean).fit_transform(x)
    model = SklearnPCA(svd_solver="full")
    scores = model.fit_transform(scaled)
    return {
        "components": model.components_,
        "ratio": model.explained_variance_ratio_,
        "scaled": scaled,
        "scores": scores,
    }


session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
session.sparkContext.setLogLevel("ERROR")
tensors = {}
for case, (x, k) in CASES.items():
    for scale in [True, False]:
        for mean in [True, False]:
            for convention, found in [
                ("spark", spark_pipeline(session, x, k, scale, mean)),
                ("scikit-learn", sklearn_pipeline(x, scale, mean)),
            ]:
                for name, values in found.items():
                    key = f"{convention}/{case}/scale={scale}/mean={mean}/{name}".lower()
                    tensors[key] = np.ascontiguousarray(values, dtype="<f8")
save_file(tensors, Path(__file__).with_suffix(".safetensors"))
