import multiprocessing
import os
import signal
import threading
import time

import datafusion_featurize
import pytest

LONG = "SELECT sum(a.value * b.value) FROM range(200000) a, range(200000) b"


def test_an_interrupt_ends_a_statement_and_the_session_goes_on(images):
    vgg16 = images.sql("SELECT featurize(content, 'vgg16') FROM images CROSS JOIN range(100)")
    for work in (lambda: images.sql(LONG).to_arrow(), vgg16.to_arrow, lambda: list(vgg16)):
        timer = threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            work()
        print(f"stopped after {time.monotonic() - started - 1:.2f} s")
        assert images.sql("SELECT 1 AS a").to_arrow().to_pydict() == {"a": [1]}


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


def forked(con, queue):
    try:
        con.sql("SELECT 1").to_arrow()
    except datafusion_featurize.FeaturizeError as error:
        queue.put(str(error))
    os._exit(0)


def test_a_forked_process_is_told_what_to_do(con):
    con.sql("SELECT 1").to_arrow()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=forked, args=(con, queue))
    process.start()
    assert "spawn" in queue.get()
    process.join()


def test_a_bar_shows_how_far_a_statement_is(images, capsys):
    images.progress = True
    images.sql("SELECT count(featurize(content, 'vgg16')) FROM images").to_arrow()
    assert "images" in capsys.readouterr().err
