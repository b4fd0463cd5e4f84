"""Turn a bucket of images into features with SQL, on Apache DataFusion.

connect() opens a session, sql() runs statements in it, and a result gives its rows to pandas, polars, pyarrow,
DuckDB and NumPy:

>>> import datafusion_featurize
>>> con = datafusion_featurize.connect(weights="seeded")
>>> con.sql("CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION 'examples/fruits/'"
...         " OPTIONS ('recursiveFileLookup' 'true', 'pathGlobFilter' '*.jpg')")
>>> features = con.sql("SELECT path, featurize(content, 'mobilenet_v2') AS features FROM images")
>>> features.to_numpy("features").shape
(48, 1280)

The SQL, its tables, functions and settings are those of the program featurize: SHOW FUNCTIONS and SHOW ALL list
them, and the README of the project explains them. In a notebook a result is shown as a table, with small pictures of
images.

A statement that takes longer than a second shows a bar (con.progress = False turns that off), and the interrupt
button ends it. What fails raises a FeaturizeError: a StatementError, an ExecutionError or a ResourcesError. What
is to be known besides, such as objects that were skipped, goes to logging.getLogger("datafusion_featurize"). Threads
may share a connection; processes are to be started by multiprocessing.get_context("spawn").
"""

from ._internal import (
    Connection,
    ExecutionError,
    FeaturizeError,
    Report,
    ResourcesError,
    Result,
    StatementError,
    connect,
)

# Functions of a compiled module name that one.
connect.__module__ = __name__

__all__ = [
    "Connection",
    "ExecutionError",
    "FeaturizeError",
    "Report",
    "ResourcesError",
    "Result",
    "StatementError",
    "connect",
]
