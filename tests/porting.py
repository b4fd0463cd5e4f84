# pip install numpy==2.4.6 pandas pyarrow pyspark==4.0.1 scikit-learn==1.9.1, and Java 17
"""Runs the Python of src/guide/porting.md, as it stands there, and writes what it gives to porting.json.

cargo run -- -q -c "SET featurize.weights = 'seeded';
  CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION 'examples/fruits/';
  COPY (SELECT path, split_part(path, '/', -2) AS label, featurize(content, 'mobilenet_v2') AS features
        FROM images ORDER BY path) TO 'target/porting.parquet'"
python tests/porting.py target/porting.parquet target/porting_results/

Everything but the network, whose features it reads: those are compared with Keras elsewhere
(udfs/image/tests/parity). tests/integration/guide.rs compares the SQL of the guide with porting.json.
"""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import sklearn.decomposition
import sklearn.preprocessing
from pyspark.ml.feature import PCA, PCAModel, StandardScaler
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import SparkSession
from pyspark.sql.functions import col, element_at, split, udf

FEATURES, RESULTS = sys.argv[1:]
HERE = Path(__file__).parent
# Of each model, so many rows and so many components of the scores.
ROWS, SCORES = 3, 5

os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
spark.sparkContext.setLogLevel("ERROR")
features = spark.read.parquet(FEATURES).coalesce(1)

guide = (HERE.parent / "src/guide/porting.md").read_text()
for block in re.findall("```python\n(.*?)```", guide, re.S):
    if "pandas_udf" in block:
        continue
    block = block.replace("s3a://fruits/Training/", str(HERE.parent / "examples/fruits"))
    exec(block.replace("s3a://fruits/Results", RESULTS + "Results"))

found = {"models": {}, "numbers": {}}
# What each model of Spark was fitted to.
inputs = {"unscaled": vectors, "divided": divider.fit(vectors).transform(vectors)}
inputs["centred"] = centrer.fit(vectors).transform(vectors)


def of_spark(name, model):
    frame = model.transform(inputs.get(name, scaled)).orderBy("path")
    rows = frame.select(vector_to_array(model.getInputCol()), vector_to_array("pca")).collect()
    data, scores = (np.array([row[i] for row in rows]) for i in (0, 1))
    ratio = model.explainedVariance.toArray()
    # Spark decomposes the right matrix, but its LAPACK in Java fails on some without a word. Then NumPy's
    # numbers are taken, and the difference is told.
    values, components = np.linalg.eigh(np.cov(data.T))
    exact = (values / values.sum())[::-1][: len(ratio)]
    error = np.abs(ratio - exact).max()
    print(f"{name}: Spark's ratios are within {error:.0e} of those of its covariance matrix")
    if error > 1e-6:
        return exact, data @ components[:, ::-1][:, : len(ratio)]
    return ratio, scores


for name, value in list(globals().items()):
    if isinstance(value, PCAModel):
        ratio, scores = of_spark(name, value)
    elif isinstance(value, sklearn.decomposition.PCA):
        ratio, scores = value.explained_variance_ratio_, value.transform(x if name == "raw" else standard)
    elif isinstance(value, np.integer):
        found["numbers"][name] = int(value)
        continue
    else:
        continue
    # Spark goes on beyond what exists.
    ratio, scores = ratio[: features.count()].tolist(), scores[:ROWS, :SCORES].tolist()
    found["models"][name] = {"ratio": ratio, "scores": scores}

groups = images.groupBy("label").agg({"path": "count", "length": "sum"}).orderBy("label").collect()
found["labels"] = [[row[0], row["count(path)"], row["sum(length)"]] for row in groups]
cells = spark.read.option("header", True).csv(RESULTS + "Results_csv/").orderBy("path").head(ROWS)
found["cells"] = [json.loads(row["pca"])[:SCORES] for row in cells]
(HERE / "porting.json").write_text(json.dumps(found).replace("}, ", "},\n") + "\n")
