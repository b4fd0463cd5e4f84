#!/usr/bin/env python3
"""Reads what `featurize` writes with other programs, and compares it with the query's result.

Not part of `cargo test`. Needs pyarrow and pandas; asks polars, Daft, DuckDB, Lance and PySpark too where
they are installed (pip install polars daft duckdb pylance pyspark):

    python3 tests/read_back.py target/release/featurize
"""

import importlib
import json
import math
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas
import pyarrow.dataset
import pyarrow.parquet

ROWS, WIDTH, FILES = 1000, 16, 5
# Numbers whose text is long, short, tiny and huge, exactly the same in every statement.
VECTOR = ", ".join(f"CAST(power(1.1, value % 200 - 100) / {i + 3} AS FLOAT)" for i in range(WIDTH))
QUERY = f"""
SELECT value AS id, 'image ' || value || '.jpg' AS path, [{VECTOR}] AS features
FROM generate_series(1, {ROWS})
"""
# Every tenth row has no vector, the first among them.
WITH_NULLS = QUERY.replace("[", "CASE WHEN value % 10 = 1 THEN NULL ELSE [").replace("]", "] END")
FRUITS = Path(__file__).parent.parent / "examples" / "fruits"


def run(program, sql):
    done = subprocess.run([program, "-q", "--format", "json", "-c", sql], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def copy(program, query, target, form, **options):
    options = ", ".join(f"'{name}' '{value}'" for name, value in options.items())
    run(program, f"COPY ({query}) TO '{target}/' STORED AS {form} OPTIONS ('write_mode' 'overwrite', {options})")


def bits(vector):
    """Floats as the bytes of their single precision, so that equal means the same bits."""
    return struct.pack(f"<{len(vector)}f", *vector)


def parts(folder, ending):
    names = sorted(folder.glob(f"part-*.{ending}"))
    assert len(names) == FILES, names
    manifest = json.loads((folder / "_MANIFEST.json").read_text())
    assert (folder / "_SUCCESS").stat().st_size == 0
    assert sorted(part["path"] for part in manifest["parts"]) == [name.name for name in names]
    assert all((folder / part["path"]).stat().st_size == part["bytes"] for part in manifest["parts"])
    assert manifest["rows"] == ROWS, manifest
    return names


def check(found, expected, what):
    """`found` is a path and a vector, or None, for each id."""
    assert len(found) == ROWS, (what, len(found))
    for row in expected:
        path, features = found[row["id"]]
        assert path == row["path"], (what, row)
        wanted = row.get("features")
        if wanted is None:
            assert features is None or all(x is None or math.isnan(x) for x in features), (what, row, features)
        else:
            assert bits(features) == bits(wanted), (what, row["id"])
    print(f"  {what}: {ROWS} rows equal the query's")


def of_frame(frame):
    """Rows of a pandas frame, with vectors as lists, or as columns `features_0`, `features_1`, …"""
    columns = [f"features_{i}" for i in range(WIDTH)]
    if columns[0] in frame:
        vectors = frame[columns].astype("float64").values.tolist()
    else:
        vectors = [None if vector is None else list(vector) for vector in frame["features"]]
    return dict(zip(frame["id"], zip(frame["path"], vectors)))


def of_text(vector):
    if not isinstance(vector, str):
        return None
    return [float(item) for item in vector.strip("[]").split(", ")]


def with_pyarrow(folder):
    table = pyarrow.parquet.read_table(folder)
    assert pyarrow.dataset.dataset(folder).count_rows() == ROWS
    return table.to_pandas(), table.schema.field(2).type


def with_pandas(folder):
    frame = pandas.read_parquet(folder)
    return frame, type(frame.iloc[-1, 2]).__name__


def with_polars(folder):
    frame = importlib.import_module("polars").read_parquet(folder)
    return pandas.DataFrame(frame.to_dicts()), frame.dtypes[2]


def with_daft(folder):
    frame = importlib.import_module("daft").read_parquet(str(folder))
    return pandas.DataFrame(frame.to_pylist()), frame.schema()[frame.column_names[2]].dtype


def with_duckdb(folder):
    duckdb = importlib.import_module("duckdb")
    for files in [folder, folder / "*.parquet", folder / "**" / "*.parquet"]:
        counted = duckdb.sql(f"SELECT count(*) FROM read_parquet('{files}')").fetchall()
        assert counted == [(ROWS,)], counted
    rows = duckdb.sql(f"SELECT * FROM read_parquet('{folder}/*.parquet')")
    return pandas.DataFrame(rows.fetchall(), columns=rows.columns), rows.types[2]


def with_lance(folder):
    lance = importlib.import_module("lance")
    table = pyarrow.parquet.read_table(folder)
    with tempfile.TemporaryDirectory() as place:
        dataset = lance.write_dataset(table, f"{place}/x.lance")
        kind = dataset.schema.field(2).type
        if pyarrow.types.is_fixed_size_list(kind):
            # What Lance is for: the vector next to one of them is that vector.
            one = table.slice(ROWS // 2 + 1, 1).to_pylist()[0]
            query = {"column": "features", "q": one["features"], "k": 1}
            found = dataset.to_table(nearest=query, columns=["id", "_distance"]).to_pylist()[0]
            assert found["_distance"] == 0, found
            kind = f"{kind}, searched"
        return dataset.to_table().to_pandas(), kind


def with_spark(folder):
    sql = importlib.import_module("pyspark.sql")
    session = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    frame = session.read.parquet(str(folder))
    rows = [row.asDict() for row in frame.collect()]
    return pandas.DataFrame(rows), frame.schema[2].dataType.simpleString()


READERS = {
    "pyarrow": with_pyarrow,
    "pandas": with_pandas,
    "polars": with_polars,
    "daft": with_daft,
    "duckdb": with_duckdb,
    "lance": with_lance,
    "pyspark": with_spark,
}


def installed():
    for name, read in READERS.items():
        if importlib.util.find_spec(name):
            yield name, read
        else:
            print(f"{name} is not installed: left out")


def main():
    program = sys.argv[1]
    readers = list(installed())
    expected = json.loads(run(program, QUERY))
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        print("With a manifest:")
        for twice in range(2):
            for form in ("parquet", "csv"):
                header = {"format.has_header": "true"} if form == "csv" else {}
                copy(program, QUERY, folder / form, form, num_files=FILES, manifest="true", **header)
        parts(folder / "parquet", "parquet")
        # PyArrow skips the files that are not data by itself.
        check(of_frame(with_pyarrow(folder / "parquet")[0]), expected, "pyarrow")
        frame = pandas.concat(pandas.read_csv(name) for name in parts(folder / "csv", "csv"))
        frame["features"] = frame["features"].map(of_text)
        check(of_frame(frame), expected, "pandas.read_csv")

        expected = json.loads(run(program, WITH_NULLS))
        for vectors in ("list", "fixed_size_list", "columns", "text"):
            print(f"'vectors' '{vectors}':")
            target = folder / vectors
            # Twice, so that the second is an overwrite.
            for twice in range(2):
                copy(program, WITH_NULLS, target, "parquet", num_files=FILES, vectors=vectors)
            for name, read in readers:
                frame, kind = read(target)
                if vectors == "text":
                    frame["features"] = frame["features"].map(of_text)
                check(of_frame(frame), expected, f"{name} ({kind})")
        print("CSV, 'vectors' 'columns':")
        target = folder / "csv_columns"
        copy(program, WITH_NULLS, target, "csv", vectors="columns", **{"format.has_header": "true"})
        frame = pandas.concat(pandas.read_csv(name) for name in target.glob("*.csv"))
        check(of_frame(frame), expected, "pandas.read_csv")

        print("What made the vectors:")
        run_once = "featurize(content, 'mobilenet_v2', 'seeded') AS features"
        table = f"CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION '{FRUITS}/Plum/'"
        for vectors in ("list", "fixed_size_list", "columns", "text"):
            target = folder / f"featurized_{vectors}"
            options = f"'write_mode' 'overwrite', 'vectors' '{vectors}'"
            sql = f"COPY (SELECT {run_once} FROM images) TO '{target}/' STORED AS PARQUET OPTIONS ({options})"
            run(program, f"{table}; {sql}")
            schema = pyarrow.parquet.read_schema(next(target.glob("*.parquet")))
            noted = {key.decode(): value.decode() for key, value in schema.field(0).metadata.items()}
            assert "mobilenet_v2" in noted.values(), noted
            assert all(field.metadata == schema.field(0).metadata for field in schema)
            print(f"  {vectors}: {len(schema)} columns of {schema.field(0).type}: {noted}")


if __name__ == "__main__":
    main()
