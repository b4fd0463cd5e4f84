#!/usr/bin/env python3
"""Reads what `featurize` writes with PyArrow and pandas, and compares it with the query's result.

Not part of `cargo test`. Needs pyarrow and pandas:

    python3 tests/read_back.py target/release/featurize
"""

import json
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
QUERY = f"""
SELECT value AS id, 'image ' || value || '.jpg' AS path,
       [{", ".join(f"CAST(power(1.1, value % 200 - 100) / {i + 3} AS FLOAT)" for i in range(WIDTH))}]
       AS features
FROM generate_series(1, {ROWS})
"""


def run(program, sql):
    done = subprocess.run([program, "-q", "--format", "json", "-c", sql], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


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
    assert len(found) == ROWS, (what, len(found))
    for row in expected:
        path, features = found[row["id"]]
        assert path == row["path"], (what, row)
        assert bits(features) == bits(row["features"]), (what, row["id"])
    print(f"{what}: {ROWS} rows equal the query's, in {FILES} files")


def main():
    program = sys.argv[1]
    expected = json.loads(run(program, QUERY))
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for twice in range(2):
            for form in ("parquet", "csv"):
                options = f"'write_mode' 'overwrite', 'num_files' {FILES}"
                if form == "csv":
                    options += ", 'format.has_header' 'true'"
                run(program, f"COPY ({QUERY}) TO '{folder / form}/' STORED AS {form} OPTIONS ({options})")

        parts(folder / "parquet", "parquet")
        # The whole folder: PyArrow skips the files that are not data by itself.
        table = pyarrow.parquet.read_table(folder / "parquet")
        assert str(table.schema.field("features").type).startswith("list<"), table.schema
        rows = {row["id"]: (row["path"], row["features"]) for row in table.to_pylist()}
        check(rows, expected, "pyarrow.parquet")
        assert pyarrow.dataset.dataset(folder / "parquet").count_rows() == ROWS

        frame = pandas.concat(pandas.read_csv(name) for name in parts(folder / "csv", "csv"))
        vectors = frame["features"].map(lambda text: [float(item) for item in text.strip("[]").split(", ")])
        rows = dict(zip(frame["id"], zip(frame["path"], vectors)))
        check(rows, expected, "pandas.read_csv")


if __name__ == "__main__":
    main()
