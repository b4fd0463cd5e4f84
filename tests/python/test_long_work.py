import multiprocessing
import os
import signal
import sys
import threading
import time

import datafusion_featurize
import pandas
import polars
import pyarrow
import pytest

LONG = "SELECT sum(value % 7) AS s FROM range(1000000000000)"


def interrupt(work, after=1.0):
    """Who reads a stream in C raises an error of its own first, and the interrupt comes with the next line."""
    timer = threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        try:
            work()
        except Exception as error:
            assert "interrupted" in str(error)
        for _ in range(1000):
            pass
    print(f"stopped {time.monotonic() - started - after:.2f} s after the interrupt")


@pytest.mark.parametrize("read", [lambda rows: rows.to_arrow(), list, pyarrow.table, polars.DataFrame, len])
def test_an_interrupt_ends_a_query_and_the_session_goes_on(con, read):
    rows = con.sql(f"SELECT * FROM ({LONG}) WHERE s > 0")
    interrupt(lambda: read(rows))
    assert con.sql("SELECT 1 AS a").to_arrow().to_pydict() == {"a": [1]}


def test_an_interrupt_ends_vgg16(images, tmp_path):
    images.sql("CREATE TABLE many AS SELECT content FROM images CROSS JOIN range(200)")
    features = "SELECT featurize(content, 'vgg16') AS f FROM many"
    interrupt(images.sql(features).to_arrow, after=4)
    interrupt(lambda: images.sql(f"COPY ({features}) TO '{tmp_path}/out/' STORED AS PARQUET"), after=4)
    # It has been cleared away, and nothing is locked.
    done = images.sql(f"COPY (SELECT 1 AS a) TO '{tmp_path}/out/' STORED AS PARQUET")
    assert done.to_arrow().to_pydict() == {"count": [1]}
    assert pandas.read_parquet(tmp_path / "out")["a"].tolist() == [1]


def test_a_statement_that_is_run_at_once_is_interrupted_too(con):
    interrupt(lambda: con.sql(f"CREATE TABLE t AS {LONG}"))
    assert con.sql("SHOW TABLES").to_pandas()["table_name"].tolist().count("t") == 0


def test_threads_share_a_connection(con):
    results = []

    def work(number):
        for _ in range(20):
            rows = con.sql("SELECT sum(value) + $n AS s FROM range(1000)", n=number)
            results.append(rows.to_arrow()["s"][0].as_py() - number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [499500] * 80


def test_python_goes_on_while_rust_works(con):
    counted = threading.Event()

    def count():
        for _ in range(1000):
            time.sleep(0)
        counted.set()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=count)
    with pytest.raises(KeyboardInterrupt):
        thread.start()
        con.sql(LONG).to_arrow()
    thread.join()
    assert counted.is_set()


def forked(con, pipe):
    try:
        con.sql("SELECT 1").to_arrow()
    except datafusion_featurize.FeaturizeError as error:
        pipe.send(str(error))


def spawned(pipe):
    pipe.send(datafusion_featurize.connect().sql("SELECT 1 AS a").to_arrow().to_pydict())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_is_told_what_to_do(con):
    con.sql("SELECT 1").to_arrow()
    for method, target, args, answer in [
        ("fork", forked, (con,), "spawn"),
        ("spawn", spawned, (), "a"),
    ]:
        context = multiprocessing.get_context(method)
        here, there = context.Pipe()
        process = context.Process(target=target, args=(*args, there))
        process.start()
        assert here.poll(120), "no answer"
        assert answer in here.recv()
        process.join()


@pytest.mark.parametrize("has_tqdm", [True, False])
def test_a_bar_shows_how_far_a_statement_is(images, capsys, monkeypatch, has_tqdm):
    from datafusion_featurize import _progress

    if not has_tqdm:
        monkeypatch.setattr(_progress, "tqdm_bar", lambda: None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    images.progress = True
    images.sql("CREATE TABLE many AS SELECT content FROM images CROSS JOIN range(200)")
    interrupt(images.sql("SELECT featurize(content, 'vgg16') AS f FROM many").to_arrow, after=4)
    assert "/9600 " in capsys.readouterr().err
    images.progress = False
    interrupt(images.sql(LONG).to_arrow, after=2)
    assert capsys.readouterr().err == ""
