#!/usr/bin/env python3
"""Reads small objects from S3 with featurize, Daft and DuckDB, in turns, against one server.

The server is `cargo bench --bench scan -- --serve`: objects in memory, every request delayed. Each
system lists the folder, reads every object, and adds up the bytes, which are checked. Daft and
DuckDB run in this process, warm, with as many connections as featurize has requests in flight, and
also as they come; featurize is started anew each time, and its start counts.

    python3 -m venv /tmp/peers
    /tmp/peers/bin/pip install duckdb duckdb-extension-httpfs daft
    cargo build --release --bin featurize --bench scan
    /tmp/peers/bin/python benches/peers/scan.py [--update-guide]

`--quick` makes everything small, to see that it runs.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MARKER = "<!-- scan: made by python benches/peers/scan.py --update-guide -->"


def newest_bench(target):
    found = [
        path
        for path in (target / "release" / "deps").glob("scan-*")
        if path.suffix == "" and os.access(path, os.X_OK)
    ]
    if not found:
        raise SystemExit("no release build of the bench: cargo build --release --bench scan")
    return max(found, key=lambda path: path.stat().st_mtime)


class Server:
    def __init__(self, program, objects, size, latency):
        arguments = ["--serve", "--objects", objects, "--bytes", size, "--latency-ms", latency]
        self.process = subprocess.Popen(
            [program, *map(str, arguments), "--listed", "1", "--images", "1"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.told = json.loads(self.process.stdout.readline())

    def __getattr__(self, name):
        return self.told[name]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def featurize(program, server, concurrency):
    sql = f"""
        CREATE EXTERNAL TABLE objects STORED AS BINARYFILE LOCATION 's3://{server.bucket}/scan/'
        OPTIONS ('recursiveFileLookup' 'true', 'aws.endpoint' '{server.endpoint}',
                 'aws.allow_http' 'true', 'aws.region' '{server.region}',
                 'aws.access_key_id' '{server.access_key_id}',
                 'aws.secret_access_key' '{server.secret_access_key}');
        SET featurize.scan_concurrency = {concurrency};
        SELECT count(*), sum(octet_length(encode(content, 'hex'))) / 2 FROM objects;"""

    def run():
        command = [program, "-q", "--format", "csv", "-c", sql]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return tuple(map(int, output.strip().splitlines()[-1].split(",")))

    return run


def duckdb_reader(server, threads):
    import duckdb
    import duckdb_extension_httpfs

    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    package = pathlib.Path(duckdb_extension_httpfs.__file__).parent
    extension = next(package.rglob("httpfs.duckdb_extension*"), None)
    if extension is None:
        connection.execute("LOAD httpfs")
    else:
        connection.execute(f"LOAD '{extension}'")
    host = server.endpoint.removeprefix("http://")
    connection.execute(
        f"""CREATE SECRET (TYPE s3, KEY_ID '{server.access_key_id}',
            SECRET '{server.secret_access_key}', REGION '{server.region}',
            ENDPOINT '{host}', URL_STYLE 'path', USE_SSL false)"""
    )
    # Or the second run would read nothing from the server.
    connection.execute("SET enable_external_file_cache = false")
    if threads:
        connection.execute(f"SET threads = {threads}")
    sql = f"""SELECT count(*), sum(octet_length(content))
              FROM read_blob('s3://{server.bucket}/scan/**')"""
    return lambda: connection.execute(sql).fetchone()


def daft_reader(server, connections):
    import daft
    from daft import col
    from daft.io import IOConfig, S3Config

    config = IOConfig(
        s3=S3Config(
            endpoint_url=server.endpoint,
            region_name=server.region,
            key_id=server.access_key_id,
            access_key=server.secret_access_key,
            use_ssl=False,
        )
    )

    def run():
        files = daft.from_glob_path(f"s3://{server.bucket}/scan/**", io_config=config)
        options = {"max_connections": connections} if connections else {}
        path = col("path")
        content = (
            path.download(io_config=config, **options)
            if hasattr(path, "download")
            else path.url.download(io_config=config, **options)
        )
        table = files.with_column("content", content).select("content").to_arrow()
        column = table.column("content")
        return len(column), sum(len(value.as_buffer()) for value in column)

    return run


def update_guide(table):
    path = ROOT / "src/guide/performance.md"
    text = path.read_text()
    pattern = re.compile(re.escape(MARKER) + r"\n.*?<!-- end -->", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"src/guide/performance.md has no place for the table:\n{MARKER}\n<!-- end -->")
    path.write_text(pattern.sub(lambda _: f"{MARKER}\n{table}<!-- end -->", text))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--bytes", type=int, default=5_000)
    parser.add_argument("--latency-ms", type=int, default=30)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--skip", action="append", default=[], help="a reader, such as DuckDB")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--update-guide", action="store_true")
    parser.add_argument("--target", type=pathlib.Path, help="Cargo's target folder")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.objects, arguments.latency_ms, arguments.rounds = 300, 5, 1
    target = arguments.target or pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))

    server = Server(newest_bench(target), arguments.objects, arguments.bytes, arguments.latency_ms)
    n = arguments.concurrency
    program = target / "release" / "featurize"
    makers = {
        "featurize": (n, lambda: featurize(program, server, n)),
        f"featurize, {2 * n} in flight": (2 * n, lambda: featurize(program, server, 2 * n)),
        "Daft": ("default", lambda: daft_reader(server, None)),
        f"Daft, {n} connections": (n, lambda: daft_reader(server, n)),
        "DuckDB `read_blob`": ("default", lambda: duckdb_reader(server, None)),
        f"DuckDB `read_blob`, {n} threads": (n, lambda: duckdb_reader(server, n)),
    }
    # DuckDB reads one object after the other: minutes for 10,000.
    skipped = tuple(arguments.skip)
    makers = {name: maker for name, maker in makers.items() if not name.startswith(skipped)}
    runs, times = {}, {}
    for name, (_, make) in makers.items():
        try:
            runs[name] = make()
            runs[name]()  # Once to warm up.
            times[name] = []
        except Exception as error:  # A peer that is missing leaves the others to be compared.
            print(f"{name} does not run: {error}")
    expected = (arguments.objects, arguments.objects * arguments.bytes)
    for _ in range(arguments.rounds):
        for name in times:
            started = time.perf_counter()
            found = runs[name]()
            times[name].append(time.perf_counter() - started)
            assert tuple(map(int, found)) == expected, f"{name} read {found}, not {expected}"
    server.close()

    rates = {name: arguments.objects / statistics.median(times[name]) for name in times}
    best = rates["featurize"]
    lines = [
        f"{arguments.objects:,} objects of {arguments.bytes:,} bytes, {arguments.latency_ms} ms a "
        f"request, median of {arguments.rounds} runs in turns:",
        "",
        "| reader | requests in flight | objects/s | featurize is |",
        "|---|---|---|---|",
    ]
    for name, rate in sorted(rates.items(), key=lambda item: -item[1]):
        ratio = "" if name.startswith("featurize") else f"{best / rate:.1f} × as fast"
        lines.append(f"| {name} | {makers[name][0]} | {rate:,.0f} | {ratio} |")
    ceiling = arguments.concurrency * 1000 / arguments.latency_ms
    lines += [
        "",
        f"{arguments.concurrency} requests at {arguments.latency_ms} ms are at most {ceiling:,.0f} "
        "objects/s; a reader above that keeps more of them open than its setting says.",
    ]
    table = "\n".join(lines) + "\n"
    print(table)
    if arguments.update_guide:
        update_guide(table)


if __name__ == "__main__":
    main()
