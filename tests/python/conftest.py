"""Tests of the Python package: `pip install './src/python[test]'`, then `pytest tests/python`."""

import pathlib

import datafusion_featurize
import pytest


@pytest.fixture
def root():
    return pathlib.Path(__file__).parents[2]


@pytest.fixture
def con():
    con = datafusion_featurize.connect(weights="seeded")
    con.progress = False
    return con


@pytest.fixture
def images(con, root):
    con.sql(
        f"CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION '{root}/examples/fruits/'"
        " OPTIONS ('recursiveFileLookup' 'true', 'pathGlobFilter' '*.jpg')"
    )
    return con
