"""Turn a bucket of images into features with SQL, on Apache DataFusion.

>>> import datafusion_featurize
>>> con = datafusion_featurize.connect(weights="seeded")
>>> con.sql("CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION 'photos/'")
>>> features = con.sql("SELECT path, featurize(content, 'mobilenet_v2') AS features FROM images")
>>> features.to_numpy("features").shape
(48, 1280)
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
