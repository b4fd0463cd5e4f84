#!/usr/bin/env python3
"""The whole job beside PySpark + TensorFlow and Daft: a folder of images to features to principal components.

    # Java 17 or later for Spark, and:
    python3 -m venv venv && venv/bin/pip install \
        numpy==2.4.6 pandas==3.1.1 pyarrow pillow tensorflow-cpu==2.21.0 scikit-learn==1.9.1 \
        pyspark==4.3.0 daft==0.7.26
    cargo build --release --bin featurize
    venv/bin/python benches/peers/pipeline.py --folder DIR [--images N] [--rounds N]
        [--jobs vgg16,mobilenet_v2] [--engines spark,daft] [--json FILE] [--update-guide]

Two jobs, as people write them:
  vgg16         25,088 features of every image into Parquet
  mobilenet_v2  1,280 features of every image into Parquet, then StandardScaler and PCA (k = 123, or fewer
                than images) of these, into CSV

Every run is a process of its own, and its start, imports and loading the network count. Engines take turns
in each round; figures are medians. All load the same random weights from one file of Keras, and after the
first round rows are counted and features compared with ours.

  spark  binaryFile, an iterator pandas_udf with Pillow and Keras in each of local[cores] workers, Spark ML
  daft   its own download, decoder and resizing (not Pillow's filter), Keras in a class UDF, scikit-learn

Without --folder it takes the sample images of the repository. --update-guide writes the table between its
two markers in src/guide/performance.md.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MARKER, END = (
    "<!-- pipeline-peers: made by python benches/peers/pipeline.py --update-guide -->",
    "<!-- end -->",
)
TITLES = {"ours": "datafusion-featurize", "spark": "PySpark + TensorFlow", "daft": "Daft + TensorFlow"}
JOBS = {"vgg16": "VGG16 into Parquet", "mobilenet_v2": "MobileNetV2 into Parquet, PCA into CSV"}
# How many times faster than the PySpark job ours is to be.
GOALS = {"vgg16": 3.4, "mobilenet_v2": 8.0}
COMPONENTS = 123
BATCH = 64
# How far features may be from ours, in units of how far ours are from their mean over the images. Daft resizes
# bilinearly, which is one shade of 256 away on average; random networks make much of it.
MOST_APART = {"spark": 0.01, "daft": 3.0}


# What runs in a process of its own.


def network(model, weights):
    """The network without its top, and its preprocessing."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from keras.applications import mobilenet_v2, vgg16

    if model == "vgg16":
        net, preprocess = vgg16.VGG16(include_top=False, weights=None, input_shape=(224, 224, 3)), vgg16
    else:
        net = mobilenet_v2.MobileNetV2(
            include_top=False, weights=None, input_shape=(224, 224, 3), pooling="avg"
        )
        preprocess = mobilenet_v2
    if weights:
        net.load_weights(weights)
    return net, preprocess.preprocess_input


def make_weights(model, path):
    import keras

    keras.utils.set_random_seed(7)
    net, _ = network(model, None)
    for weight in net.weights:
        if weight.name.endswith("kernel"):
            # He's, as Keras's own would let the signal die away; a depthwise kernel has one channel.
            height, width, channels, outputs = weight.shape
            inputs = height * width * (1 if outputs == 1 else channels)
            weight.assign(keras.random.normal(weight.shape, stddev=(2 / inputs) ** 0.5))
        elif weight.name in ("bias", "beta", "moving_mean"):
            # Other than 0, so that none can be left out unnoticed.
            weight.assign(keras.random.normal(weight.shape, stddev=0.1))
    net.save_weights(path)


def run_spark(job):
    import numpy as np
    import pandas as pd
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import col, element_at, pandas_udf, split

    cores, model, weights, out = os.cpu_count(), job["model"], job["weights"], job["out"]
    spark = (
        SparkSession.builder.master(f"local[{cores}]")
        .config("spark.driver.memory", "8g")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "1024")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    images = (
        spark.read.format("binaryFile")
        .option("pathGlobFilter", "*.jpg")
        .option("recursiveFileLookup", "true")
        .load(job["folder"])
    )
    images = images.withColumn("label", element_at(split(images["path"], "/"), -2))

    # Shipped to the workers as it stands: they do not know this file.
    source = pathlib.Path(__file__).read_text()
    network_source = source[source.index("def network(") : source.index("def make_weights(")]

    def featurize(batches):
        import io

        from PIL import Image

        scope = {"os": os}
        exec(network_source, scope)
        net, preprocess = scope["network"](model, weights)

        def read(content):
            image = Image.open(io.BytesIO(content)).convert("RGB").resize((224, 224))
            return np.asarray(image, dtype="float32")

        for batch in batches:
            pixels = np.stack([read(content) for content in batch])
            features = net.predict(preprocess(pixels), batch_size=32, verbose=0)
            yield pd.Series(list(features.reshape(len(features), -1)))

    # Not by decorator: its type hints would have to be found in a worker.
    from collections.abc import Iterator

    featurize.__annotations__ = {"batches": Iterator[pd.Series], "return": Iterator[pd.Series]}
    featurize = pandas_udf(featurize, "array<float>")
    features = images.repartition(2 * cores).select(
        "path", "label", featurize("content").alias("features")
    )
    features.write.mode("overwrite").parquet(f"{out}/features")
    if model == "mobilenet_v2":
        from pyspark.ml.feature import PCA, StandardScaler
        from pyspark.ml.functions import array_to_vector, vector_to_array

        frame = spark.read.parquet(f"{out}/features")
        frame = frame.select("path", "label", array_to_vector("features").alias("x"))
        scaler = StandardScaler(inputCol="x", outputCol="z", withMean=True, withStd=True).fit(frame)
        scaled = scaler.transform(frame)
        pca = PCA(k=job["components"], inputCol="z", outputCol="pca").fit(scaled)
        result = pca.transform(scaled).select("path", "label", vector_to_array("pca").alias("pca"))
        result = result.withColumn("pca", col("pca").cast("string"))
        result.write.mode("overwrite").option("header", True).csv(f"{out}/pca")
    spark.stop()


def run_daft(job):
    import daft
    import numpy as np
    from daft import DataType, col

    model, weights, out = job["model"], job["weights"], job["out"]

    @daft.udf(return_dtype=DataType.list(DataType.float32()), batch_size=BATCH)
    class Featurize:
        def __init__(self):
            self.net, self.preprocess = network(model, weights)

        def __call__(self, images):
            pixels = np.stack([np.asarray(image) for image in images.to_pylist()])
            features = self.net.predict(self.preprocess(pixels.astype("float32")), batch_size=32, verbose=0)
            return list(features.reshape(len(features), -1))

    images = daft.from_glob_path(f"{job['folder']}/**/*.jpg")
    pixels = col("path").download().decode_image(mode="RGB").resize(224, 224)
    images = images.with_column("image", pixels).with_column("features", Featurize(col("image")))
    label = col("path").split("/").get(-2)
    images = images.with_column("label", label)
    images.select("path", "label", "features").write_parquet(f"{out}/features", write_mode="overwrite")
    if model == "mobilenet_v2":
        import pandas as pd
        from sklearn.decomposition import PCA
        from sklearn.preprocessing import StandardScaler

        table = daft.read_parquet(f"{out}/features/*.parquet").to_arrow()
        x = np.stack(table["features"].to_numpy())
        scores = PCA(job["components"]).fit_transform(StandardScaler().fit_transform(x))
        frame = pd.DataFrame({"path": table["path"], "label": table["label"]})
        frame["pca"] = [str(list(row)) for row in scores.tolist()]
        os.makedirs(f"{out}/pca", exist_ok=True)
        frame.to_csv(f"{out}/pca/part.csv", index=False)


def our_sql(job):
    text = lambda value: "'" + str(value).replace("'", "''") + "'"
    out, model = job["out"], job["model"]
    sql = f"""
        CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION {text(job["folder"] + "/")}
        OPTIONS ('pathGlobFilter' '*.jpg', 'recursiveFileLookup' 'true');
        COPY (SELECT path, split_part(path, '/', -2) AS label,
                     featurize(content, '{model}', {text(job["weights"])}) AS features FROM images)
        TO '{out}/features/' STORED AS PARQUET OPTIONS ('write_mode' 'overwrite');"""
    if model == "mobilenet_v2":
        sql += f"""
        CREATE EXTERNAL TABLE features STORED AS PARQUET LOCATION '{out}/features/';
        CREATE TABLE model AS SELECT pca_fit(features, {job["components"]}) AS pca FROM features;
        COPY (SELECT path, label, pca_transform(features, (SELECT pca FROM model)) AS pca FROM features)
        TO '{out}/pca/' STORED AS CSV OPTIONS ('write_mode' 'overwrite', 'format.has_header' 'true');"""
    return sql


# What starts them.


def run(engine, job, program):
    """Seconds of one run."""
    shutil.rmtree(job["out"], ignore_errors=True)
    if engine == "ours":
        command = [program, "-q", "-c", our_sql(job)]
    else:
        command = [sys.executable, __file__, "--child", engine, json.dumps(job)]
    environment = os.environ | {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "DAFT_PROGRESS_BAR": "0",
        # Spark's workers run in this environment too.
        "PYSPARK_PYTHON": sys.executable,
    }
    begun = time.perf_counter()
    output = subprocess.run(command, capture_output=True, text=True, env=environment)
    seconds = time.perf_counter() - begun
    if output.returncode != 0:
        lines = output.stderr.strip().splitlines()
        raise SystemExit("\n".join([f"{TITLES[engine]}, {job['model']}, has failed:", *lines[-15:]]))
    return seconds


def features(out):
    """File name of an image, with its label: its features."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted(pathlib.Path(out).glob("features/*.parquet"))
    table = pa.concat_tables([pq.read_table(file, columns=["path", "features"]) for file in files])
    names = ["/".join(path.rsplit("/", 2)[1:]).replace("%20", " ") for path in table["path"].to_pylist()]
    assert len(names) == len(set(names)), f"{out}: {len(names) - len(set(names))} images more than once"
    # Some add whether items may be missing to the type, so not by the whole column.
    return {name: np.array(value.as_py(), "f8") for name, value in zip(names, table["features"])}


def check(engine, job, ours, images):
    """How far its features are from ours at most, in units of how far ours are from their mean."""
    import csv

    import numpy as np

    found = features(job["out"])
    assert found.keys() == ours.keys() and len(found) == images, f"{engine}: {len(found)} images of {images}"
    mean = np.mean(list(ours.values()), axis=0)
    apart = max(
        float(np.linalg.norm(found[name] - value) / np.linalg.norm(value - mean))
        for name, value in ours.items()
    )
    assert apart <= MOST_APART.get(engine, 0), f"{engine}: other features, {apart} apart"
    if job["model"] == "mobilenet_v2":
        csv.field_size_limit(1 << 30)
        rows = 0
        for file in pathlib.Path(job["out"]).glob("pca/*.csv"):
            for row in csv.DictReader(file.open()):
                scores = row["pca"].strip("[]").split(",")
                assert len(scores) == job["components"], f"{engine}: {len(scores)} components"
                rows += 1
        assert rows == images, f"{engine}: {rows} rows of {images}"
    return apart


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, found {number}")
    return number


def some_images(folder, number, target):
    """A copy of every so many-th image, or the folder itself; and how many there are."""
    files = sorted(folder.rglob("*.jpg"))
    if not files:
        raise SystemExit(f"--folder: no .jpg file below {folder}")
    if not number or number >= len(files):
        return folder, len(files)
    for index in range(number):
        file = files[index * len(files) // number]
        copy = target / file.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    return target, number


def machine():
    cpu = platform.processor() or platform.machine()
    try:
        for line in open("/proc/cpuinfo"):
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    return f"{cpu}, {os.cpu_count()} cores"


def versions(engines):
    from importlib.metadata import version

    packages = {"spark": "pyspark", "daft": "daft"}
    names = [packages[engine] for engine in engines] + ["tensorflow-cpu"]
    return ", ".join(f"{name} {version(name)}" for name in names)


def table(results, images, arguments):
    lines = ["| job | program | seconds | images/s | ours is |", "|---|---|--:|--:|--:|"]
    for job, title in JOBS.items():
        medians = {e: statistics.median(times) for (j, e), times in results.items() if j == job}
        for engine, seconds in medians.items():
            name = f"**{TITLES[engine]}**" if engine == "ours" else TITLES[engine]
            ratio = "" if engine == "ours" else f"{seconds / medians['ours']:.1f} × as fast"
            lines.append(f"| {title} | {name} | {seconds:.1f} | {images / seconds:.1f} | {ratio} |")
    lines += [
        "",
        f"{images:,} JPEGs on the local disk, the same random weights, start of the program included; "
        f"medians of {arguments.rounds} interleaved rounds; {versions(arguments.engines)}; {machine()}, "
        f"{datetime.date.today()}, by `python benches/peers/pipeline.py --folder …`.",
    ]
    return "\n".join(lines) + "\n"


def update_guide(text):
    guide = ROOT / "src/guide/performance.md"
    content = guide.read_text()
    if MARKER not in content:
        raise SystemExit(f"src/guide/performance.md has no place for the table:\n{MARKER}\n{END}")
    before, rest = content.split(MARKER, 1)
    _, after = rest.split(END, 1)
    guide.write_text(f"{before}{MARKER}\n{text}{END}{after}")


def names(known):
    def parse(text):
        chosen = text.split(",")
        unknown = [name for name in chosen if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"'{unknown[0]}' is none of {', '.join(known)}")
        return chosen

    return parse


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "examples" / "fruits")
    parser.add_argument("--images", type=positive, help="only so many of them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=names(JOBS), default=list(JOBS))
    parser.add_argument("--engines", type=names(["spark", "daft"]), default=["spark", "daft"])
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--update-guide", action="store_true")
    parser.add_argument("--target", type=pathlib.Path, help="Cargo's target folder")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        engine, job = arguments.child
        (run_spark if engine == "spark" else run_daft)(json.loads(job))
        return
    if arguments.rounds < 1:
        parser.error("--rounds: at least 1")
    if "spark" in arguments.engines and not shutil.which("java"):
        parser.error("Spark needs Java 17 or later: install it, or --engines daft")
    target = arguments.target or pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    program = target.resolve() / "release" / "featurize"
    if not program.exists():
        parser.error(f"no {program}: cargo build --release --bin featurize")

    results, distances = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        folder, images = some_images(arguments.folder.resolve(), arguments.images, scratch / "images")
        jobs = {}
        for model in arguments.jobs:
            weights = scratch / f"{model}.weights.h5"
            code = f"import pipeline; pipeline.make_weights({model!r}, {str(weights)!r})"
            path = {"PYTHONPATH": str(pathlib.Path(__file__).parent), "TF_CPP_MIN_LOG_LEVEL": "3"}
            command = [sys.executable, "-B", "-c", code]
            made = subprocess.run(command, capture_output=True, text=True, env=os.environ | path)
            if made.returncode != 0:
                raise SystemExit(f"no weights of {model}:\n{made.stderr}")
            jobs[model] = {
                "model": model,
                "weights": str(weights),
                "folder": str(folder),
                "components": min(COMPONENTS, images - 1),
            }
        for round_ in range(arguments.rounds):
            for model, job in jobs.items():
                ours = {}
                for engine in ["ours", *arguments.engines]:
                    job = job | {"out": str(scratch / "out" / f"{model}-{engine}")}
                    seconds = run(engine, job, program)
                    results.setdefault((model, engine), []).append(seconds)
                    print(f"{model} {engine}: {seconds:.1f} s", file=sys.stderr, flush=True)
                    if round_ == 0:
                        ours = ours or features(job["out"])
                        distances[model, engine] = check(engine, job, ours, images)
    text = table(results, images, arguments)
    print(text)
    for (model, engine), apart in distances.items():
        if engine != "ours":
            print(f"{JOBS[model]}: {TITLES[engine]}'s features differ from ours by {apart:.1e} of their spread")
    for model in arguments.jobs:
        if "spark" in arguments.engines:
            pairs = zip(results[model, "spark"], results[model, "ours"])
            ratio = statistics.median(theirs / ours for theirs, ours in pairs)
            verdict = "reached" if ratio >= GOALS[model] else "missed"
            print(f"{JOBS[model]}: {ratio:.2f} × as fast as PySpark, goal {GOALS[model]} × {verdict}")
    if arguments.json:
        figures = [
            {"job": model, "engine": engine, "seconds": times, "images": images}
            for (model, engine), times in results.items()
        ]
        arguments.json.write_text(json.dumps({"machine": machine(), "figures": figures}, indent=2))
    if arguments.update_guide:
        update_guide(text)


if __name__ == "__main__":
    main()
