import duckdb
import numpy
import pandas
import polars
import pyarrow
import pytest
from datafusion_featurize import StatementError
from sklearn.decomposition import PCA

VECTORS = "SELECT column1 AS a, [column1, 2.0] AS v FROM (VALUES (1.0), (3.0))"


def test_readers_take_results_as_they_are(con):
    rows = con.sql(VECTORS)
    assert pyarrow.table(rows)["a"].to_pylist() == [1, 3]
    assert rows.to_pandas()["a"].tolist() == [1, 3]
    assert rows.to_polars()["a"].to_list() == [1, 3]
    assert polars.DataFrame(rows).equals(rows.to_polars())
    table = rows.to_arrow()
    assert duckdb.sql("SELECT sum(a) FROM table").fetchone() == (4,)
    assert PCA(1).fit_transform(rows.to_numpy("v")).shape == (2, 1)
    assert rows.columns == ["a", "v"] and rows.schema.names == ["a", "v"]
    assert len(rows) == 2


def test_batches_come_one_after_the_other(con):
    con.sql("SET datafusion.execution.batch_size = 10")
    sizes = [batch.num_rows for batch in con.sql("SELECT * FROM range(25)")]
    assert sum(sizes) == 25 and max(sizes) <= 10


def test_frames_become_tables(con):
    con.register("p", pandas.DataFrame({"a": [1, 2], "b": ["x", None]}))
    con.register("q", polars.DataFrame({"a": [2, 3]}))
    con.register("r", con.sql("SELECT a FROM p"))
    rows = con.sql("SELECT p.a, b FROM p JOIN q ON p.a = q.a JOIN r ON r.a = p.a")
    assert rows.to_arrow().to_pylist() == [{"a": 2, "b": None}]
    con.register("p", pyarrow.table({"a": [7]}))
    assert con.sql("SELECT * FROM p").to_arrow().to_pydict() == {"a": [7]}
    with pytest.raises((TypeError, ValueError)):
        con.register("s", [1, 2])


def test_a_matrix_has_no_python_objects(con):
    assert con.sql(VECTORS).to_numpy("v").tolist() == [[1, 2], [3, 2]]
    fixed = con.sql("SELECT arrow_cast([1.5, column1], 'FixedSizeList(2, Float32)') AS v FROM (VALUES (1), (2), (3))")
    matrix = fixed.to_numpy("v")
    assert matrix.dtype == numpy.float32 and matrix.tolist() == [[1.5, 1], [1.5, 2], [1.5, 3]]
    assert con.sql(VECTORS).to_numpy("a").tolist() == [1, 3]
    assert con.sql(VECTORS + " LIMIT 0").to_numpy("v").shape == (0, 0)
    for values, why in [
        ("([1.0, 2.0]), ([1.0])", "row 1: 1 items"),
        ("([1.0]), (NULL)", "row 1: NULL"),
        ("([1.0, NULL])", "item that is NULL"),
    ]:
        with pytest.raises(ValueError, match=why):
            con.sql(f"SELECT column1 AS v FROM (VALUES {values})").to_numpy("v")
    with pytest.raises(TypeError, match="to_numpy takes"):
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
    assert len(html) < 40_000
    script = images.sql("SELECT '<script>' AS \"<b>\"")._repr_html_()
    assert "<script>" not in script and "<b>" not in script


def test_a_report_is_shown_and_written(images, tmp_path):
    images.sql(
        f"COPY (SELECT path, featurize(content, 'mobilenet_v2') AS features FROM images) TO '{tmp_path}/f.parquet'"
    )
    report = images.report(f"{tmp_path}/f.parquet", tmp_path / "report.html", title="Fruits")
    assert (tmp_path / "report.html").read_text() == report.html
    assert "Fruits" in report.html and report._repr_html_().startswith("<iframe")
