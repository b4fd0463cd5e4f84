import logging

import datafusion_featurize
import numpy
import pytest
from datafusion_featurize import ExecutionError, FeaturizeError, ResourcesError, StatementError


def test_statements_are_run_in_order_and_the_last_gives_the_result(con):
    rows = con.sql("CREATE TABLE t AS SELECT 1 AS a; INSERT INTO t VALUES (2); SELECT * FROM t ORDER BY a")
    assert rows.to_arrow().to_pydict() == {"a": [1, 2]}
    assert con.sql("CREATE TABLE u AS SELECT 1 AS a") is None
    assert con.sql(" -- nothing") is None
    assert con.sql("INSERT INTO t VALUES (3)").to_arrow().to_pydict() == {"count": [1]}


def test_what_does_something_does_it_once(con):
    con.sql("CREATE TABLE t AS SELECT 1 AS a")
    for statement in ("INSERT INTO t VALUES (2)", "EXPLAIN ANALYZE INSERT INTO t VALUES (2)"):
        inserted = con.sql(statement)
        assert len(inserted) >= 1
        inserted.to_arrow()
        inserted._repr_html_()
    assert len(con.sql("SELECT * FROM t")) == 3


def test_parameters_are_bound_and_never_pasted(con):
    rows = con.sql(
        "SELECT $i + 1 AS i, $f AS f, $s AS s, $b AS b, $n AS n, $t AS t, $v[2] AS v",
        i=1,
        f=0.5,
        s="it's; DROP TABLE t",
        b=b"\x00\xff",
        n=None,
        t=True,
        v=[1, 2.5],
    )
    assert rows.to_arrow().to_pylist() == [
        {"i": 2, "f": 0.5, "s": "it's; DROP TABLE t", "b": b"\x00\xff", "n": None, "t": True, "v": 2.5}
    ]
    arrays = con.sql("SELECT $i AS i, $v AS v", i=numpy.int64(3), v=numpy.ones(2, "float32"))
    assert arrays.to_arrow().to_pydict() == {"i": [3], "v": [[1, 1]]}
    for wrong in (object(), 2**70, ["x"]):
        with pytest.raises(TypeError, match="parameter x: expected None"):
            con.sql("SELECT $x", x=wrong)
    with pytest.raises(FeaturizeError, match="x"):
        con.sql("SELECT $x", y=1).to_arrow()


def test_a_result_is_computed_when_it_is_asked_for(con):
    rows = con.sql("SELECT 1 / (column1 - column1) AS a FROM (VALUES (1))")
    assert "Result a: Int64" in repr(rows)
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
    assert values["datafusion.runtime.memory_limit"] == "100M"
    with pytest.raises(StatementError, match="did you mean 'weights'"):
        datafusion_featurize.connect(weigths="seeded")
    with pytest.raises(FeaturizeError, match="limit"):
        datafusion_featurize.connect(memory_limit="much")


def test_errors_are_a_small_tree_and_say_what_was_meant(con, tmp_path):
    for kind in (StatementError, ExecutionError, ResourcesError):
        assert issubclass(kind, FeaturizeError)
    with pytest.raises(StatementError, match="did you mean featurize"):
        con.sql("SELECT featurise('x')")
    with pytest.raises(StatementError):
        con.sql("SELECT FROM WHERE")
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    con.sql(f"CREATE EXTERNAL TABLE bad STORED AS BINARYFILE LOCATION '{tmp_path}/'")
    with pytest.raises(ExecutionError, match="is not an image"):
        con.sql("SELECT featurize(content, 'vgg16') FROM bad").to_arrow()


def test_memory_is_bounded():
    con = datafusion_featurize.connect(memory_limit=1 << 20)
    con.progress = False
    with pytest.raises(ResourcesError, match="(?i)memory"):
        con.sql("SELECT array_agg(a.value ORDER BY b.value) FROM range(3000) a, range(300) b").to_arrow()
    assert len(con.sql("SELECT 1 AS a")) == 1


def test_secrets_do_not_appear(con):
    with pytest.raises(FeaturizeError) as error:
        con.sql(
            "CREATE EXTERNAL TABLE t STORED AS BINARYFILE LOCATION 's3://b/x/'"
            " OPTIONS ('aws.access_key_id' 'AKIAID', 'aws.secret_access_key' 'hush', 'aws.regio' 'x')"
        )
    assert "hush" not in str(error.value) and "hush" not in repr(con)


def test_notices_go_to_pythons_log(con, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "datafusion_featurize"):
        for _ in range(2):
            con.sql(f"COPY (SELECT 1 AS a) TO '{tmp_path}/out/' STORED AS PARQUET OPTIONS ('write_mode' 'overwrite')")
        con.sql(f"COPY (SELECT 1 AS a) TO '{tmp_path}/out/' STORED AS PARQUET")
    assert ["held data already" in record.getMessage() for record in caplog.records] == [True]
