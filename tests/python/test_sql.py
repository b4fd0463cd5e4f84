import datafusion_featurize
import pyarrow
import pytest
from datafusion_featurize import ExecutionError, FeaturizeError, ResourcesError, StatementError


def test_six_lines_make_a_matrix_a_model_and_a_file(images, tmp_path):
    out = tmp_path / "features.parquet"
    written = images.sql(
        f"COPY (SELECT path, featurize(content, 'mobilenet_v2') AS features FROM images) TO '{out}'"
    )
    assert written.to_arrow().to_pydict() == {"count": [48]}
    features = images.sql(f"SELECT features FROM '{out}'").to_numpy("features")
    assert features.shape == (48, 1280) and features.dtype == "float32"
    images.sql(f"CREATE TABLE model AS SELECT pca_fit(features, 5) AS pca FROM '{out}'")
    scores = images.sql(f"SELECT pca_transform(features, (SELECT pca FROM model)) AS s FROM '{out}'")
    assert scores.to_numpy("s").shape == (48, 5)


def test_statements_are_run_in_order_and_the_last_gives_the_result(con):
    rows = con.sql("CREATE TABLE t AS SELECT 1 AS a; INSERT INTO t VALUES (2); SELECT * FROM t ORDER BY a")
    assert rows.to_arrow() == pyarrow.table({"a": [1, 2]})
    assert con.sql("CREATE TABLE u AS SELECT 1 AS a") is None
    assert con.sql(" -- nothing") is None
    assert con.sql("INSERT INTO t VALUES (3)").to_arrow().to_pydict() == {"count": [1]}


def test_parameters_are_bound_and_never_pasted(con):
    rows = con.sql(
        "SELECT $i + 1 AS i, $f AS f, $s AS s, $b AS b, $n AS n, $t AS t, $v[2] AS v",
        i=1, f=0.5, s="it's; DROP TABLE t", b=b"\x00\xff", n=None, t=True, v=[1, 2.5],
    )
    assert rows.to_arrow().to_pylist() == [
        {"i": 2, "f": 0.5, "s": "it's; DROP TABLE t", "b": b"\x00\xff", "n": None, "t": True, "v": 2.5}
    ]
    with pytest.raises(TypeError, match="parameter x: expected None"):
        con.sql("SELECT $x", x=object())


def test_a_result_is_computed_when_it_is_asked_for(con):
    rows = con.sql("SELECT 1 / (column1 - column1) FROM (VALUES (1))")
    assert "Result" in repr(rows)
    with pytest.raises(ExecutionError, match="(?i)divide by zero"):
        rows.to_arrow()


def test_settings_are_those_of_the_session():
    con = datafusion_featurize.connect(
        memory_limit="100M", weights="seeded", **{"datafusion.execution.batch_size": 100}
    )
    shown = con.sql("SELECT name, value FROM information_schema.df_settings").to_arrow().to_pylist()
    values = {row["name"]: row["value"] for row in shown}
    assert values["featurize.weights"] == "seeded"
    assert values["datafusion.execution.batch_size"] == "100"
    with pytest.raises(StatementError, match="did you mean 'weights'"):
        datafusion_featurize.connect(weigths="seeded")


def test_errors_are_a_small_tree_and_say_what_was_meant(con, tmp_path):
    for kind in (StatementError, ExecutionError, ResourcesError):
        assert issubclass(kind, FeaturizeError)
    with pytest.raises(StatementError, match="did you mean featurize"):
        con.sql("SELECT featurise(content) FROM t")
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    con.sql(f"CREATE EXTERNAL TABLE bad STORED AS BINARYFILE LOCATION '{tmp_path}/'")
    with pytest.raises(ExecutionError, match="bad.jpg"):
        con.sql("SELECT featurize(content, 'vgg16') FROM bad").to_arrow()
    small = datafusion_featurize.connect(memory_limit="1M")
    small.progress = False
    with pytest.raises(ResourcesError):
        small.sql("SELECT array_agg(a.value ORDER BY b.value) FROM range(3000) a, range(3000) b").to_arrow()


def test_secrets_do_not_appear(con):
    with pytest.raises(FeaturizeError) as error:
        con.sql(
            "CREATE EXTERNAL TABLE t STORED AS BINARYFILE LOCATION 's3://b/x/'"
            " OPTIONS ('aws.access_key_id' 'AKIAID', 'aws.secret_access_key' 'hush', 'aws.regio' 'x')"
        )
    assert "hush" not in str(error.value) and "hush" not in repr(con)
