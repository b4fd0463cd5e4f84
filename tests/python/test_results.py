import duckdb
import numpy
import pandas
import polars
import pyarrow
import pytest
from datafusion_featurize import ExecutionError, StatementError
from sklearn.decomposition import PCA

VECTORS = "SELECT column1 AS a, [column1, 2.0] AS v FROM (VALUES (1.0), (3.0))"


def test_readers_take_results_as_they_are(con):
    rows = con.sql(VECTORS)
    assert pyarrow.table(rows)["a"].to_pylist() == [1, 3]
    assert rows.to_arrow().equals(pyarrow.table(rows))
    assert rows.to_pandas()["a"].tolist() == [1, 3]
    assert rows.to_polars()["a"].to_list() == [1, 3]
    assert polars.DataFrame(rows).equals(rows.to_polars())
    assert duckdb.sql("SELECT sum(a), sum(v[2]) FROM rows").fetchall() == [(4, 4)]
    assert PCA(1).fit_transform(rows.to_numpy("v")).shape == (2, 1)
    assert rows.columns == ["a", "v"] and rows.schema.names == ["a", "v"]
    assert len(rows) == 2 and rows


def test_an_error_reaches_who_reads_a_stream(con):
    rows = con.sql("SELECT 1 / (column1 - column1) AS a FROM (VALUES (1))")
    for read in (pyarrow.table, polars.DataFrame, list):
        with pytest.raises(Exception, match="(?i)divide by zero"):
            read(rows)


def test_batches_come_one_after_the_other(con):
    con.sql("SET datafusion.execution.batch_size = 10; SET datafusion.execution.target_partitions = 1")
    batches = iter(con.sql("SELECT value, 1 / (20 - value) AS a FROM range(25)"))
    assert next(batches).num_rows == 10
    assert next(batches).num_rows == 10
    # What comes later has not been computed yet.
    with pytest.raises(ExecutionError, match="(?i)divide by zero"):
        next(batches)
    assert list(batches) == []


def test_collected_rows_stay_as_they_are(con):
    con.sql("CREATE TABLE t AS SELECT value FROM range(2000)")
    rows = con.sql("SELECT value, random() AS r, [value::DOUBLE] AS v FROM t").collect()
    con.sql("DROP TABLE t")
    assert rows.to_arrow().equals(rows.to_arrow())
    assert rows.to_numpy("v")[:, 0].tolist() == rows.to_pandas()["value"].tolist()
    assert rows.to_numpy("r").tolist() == rows.to_pandas()["r"].tolist()
    assert len(rows) == 2000 and "the first 10 rows" in rows._repr_html_()


def test_frames_become_tables(con):
    con.register("p", pandas.DataFrame({"a": [1, 2], "b": ["x", None]}))
    con.register("q", polars.DataFrame({"a": [2, 3]}))
    con.register("R", con.sql("SELECT a FROM p"))
    rows = con.sql("SELECT p.a, b FROM p JOIN q ON p.a = q.a JOIN R ON R.a = p.a")
    assert rows.to_arrow().to_pylist() == [{"a": 2, "b": None}]
    con.register("p", pyarrow.table({"a": [7]}))
    assert con.sql("SELECT * FROM p").to_arrow().to_pydict() == {"a": [7]}
    with pytest.raises((TypeError, ValueError)):
        con.register("s", [1, 2])


def test_images_in_a_frame_have_features(con, root):
    paths = sorted((root / "examples/fruits/Lemon").glob("*.jpg"))
    con.register("lemons", pandas.DataFrame({"content": [path.read_bytes() for path in paths]}))
    rows = con.sql("SELECT featurize(content, 'mobilenet_v2') AS f FROM lemons")
    assert rows.to_numpy("f").shape == (len(paths), 1280)


def test_a_matrix_has_no_python_objects(con):
    assert con.sql(VECTORS).to_numpy("v").tolist() == [[1, 2], [3, 2]]
    fixed = con.sql("SELECT arrow_cast([1.5, column1], 'FixedSizeList(2, Float32)') AS v FROM (VALUES (1), (2), (3))")
    matrix = fixed.to_numpy("v")
    assert matrix.dtype == numpy.float32 and matrix.tolist() == [[1.5, 1], [1.5, 2], [1.5, 3]]
    con.sql("SET datafusion.execution.batch_size = 2")
    many = con.sql("SELECT [value::FLOAT, 1.0::FLOAT] AS v FROM range(5)").to_numpy("v")
    assert sorted(many[:, 0].tolist()) == [0, 1, 2, 3, 4]
    assert con.sql(VECTORS).to_numpy("a").tolist() == [1, 3]
    assert con.sql(VECTORS + " LIMIT 0").to_numpy("v").shape == (0, 0)
    for values, why in [
        ("([1.0, 2.0]), ([1.0])", "v in row 1: 1 items"),
        ("([1.0]), (NULL)", "v in row 1: NULL"),
        ("([1.0, 2.0]), ([1.0, NULL])", "v in row 1: it has an item that is NULL"),
    ]:
        with pytest.raises(ExecutionError, match=why):
            con.sql(f"SELECT column1 AS v FROM (VALUES {values})").to_numpy("v")
    with pytest.raises(StatementError, match="to_numpy takes"):
        con.sql("SELECT 'x' AS v").to_numpy("v")
    with pytest.raises(StatementError, match="the columns are a, v"):
        con.sql(VECTORS).to_numpy("w")


def test_tables_to_look_at_are_short(images, capsys):
    rows = images.sql("SELECT path, content, featurize(content, 'mobilenet_v2') AS f FROM images")
    rows.show(2)
    text = capsys.readouterr().out
    assert "path" in text and "the first 2 rows" in text and len(text) < 3000
    html = rows._repr_html_()
    assert html.count("<tr>") == 11 and html.count("<img src=") == 10 and "the first 10 rows" in html
    assert "1280 items" in html and len(html) < 60_000


def test_a_table_of_html_is_bounded_and_escaped(con):
    html = con.sql("SELECT '<script>' AS \"<b>\", NULL AS n")._repr_html_()
    assert "<script>" not in html and "<b>" not in html and "NULL" in html
    assert len(con.sql("SELECT repeat('x', 1000000) AS a")._repr_html_()) < 1000
    columns = ", ".join(f"{i} AS c{i}" for i in range(100))
    assert "and 70 more columns" in con.sql(f"SELECT {columns}")._repr_html_()
    drawn = con.sql("SELECT pca_scree(pca_fit([value::FLOAT, (value % 3)::FLOAT])) AS s FROM range(9)")
    assert "<pre>" in drawn._repr_html_()
    assert con.sql("SELECT 1 AS a WHERE false")._repr_html_().count("<tr>") == 1


def test_a_report_is_shown_and_written(images, tmp_path):
    images.sql(
        f"COPY (SELECT path, featurize(content, 'mobilenet_v2') AS features FROM images) TO '{tmp_path}/f.parquet'"
    )
    report = images.report(f"{tmp_path}/f.parquet", tmp_path / "report.html", title="Fruits")
    assert (tmp_path / "report.html").read_text() == report.html
    assert "Fruits" in report.html and report._repr_html_().startswith("<iframe")
    assert "48 images" in repr(report)
    with pytest.raises(StatementError, match="points: expected 1 to 10000"):
        images.report(f"{tmp_path}/f.parquet", points=0)
    with pytest.raises(ExecutionError, match="out '"):
        images.report(f"{tmp_path}/f.parquet", tmp_path / "none" / "report.html")
