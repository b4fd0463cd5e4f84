#!/usr/bin/env python3
"""Reads from moto, a second S3 server, what was written to it through boto3.

    python3 -m venv /tmp/peers
    /tmp/peers/bin/pip install "moto[server]" boto3
    cargo build --release --bin featurize
    /tmp/peers/bin/python benches/peers/s3_moto.py

It ends with an error if a row is missing or has the wrong bytes.
"""

import json
import os
import pathlib
import subprocess
import sys

import boto3
from moto.server import ThreadedMotoServer

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEYS = [
    "plain.jpg",
    "Apple Red 1/0_100.jpg",
    "Pêche à la crème/é.jpg",
    "a#b/#.jpg",
    "50% off/%20.jpg",
    "1+1/+.jpg",
    "up..down/a../b...jpg",
    "q?x=1&y=2.jpg",
    "日本/🍎.jpg",
]


def main():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "AKIDMOTO", "aws_secret_access_key": "secret"}
    s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
    s3.create_bucket(Bucket="fruits")
    expected = {}
    for number, key in enumerate(KEYS * 150):
        # More than a page of a listing holds.
        key = f"t/{number // len(KEYS):04}/{key}"
        content = number.to_bytes(4, "big") * (1 + number % 50)
        s3.put_object(Bucket="fruits", Key=key, Body=content)
        expected[f"s3://fruits/{key}"] = content.hex()
    sql = f"""
        CREATE EXTERNAL TABLE objects STORED AS BINARYFILE LOCATION 's3://fruits/t/'
        OPTIONS ('recursiveFileLookup' 'true', 'aws.endpoint' '{endpoint}',
                 'aws.allow_http' 'true', 'aws.access_key_id' 'AKIDMOTO',
                 'aws.secret_access_key' 'secret');
        SELECT path, encode(content, 'hex') AS content FROM objects;"""
    command = [target / "release" / "featurize", "-q", "--maxrows", "inf", "--format", "nd-json"]
    output = subprocess.run([*command, "-c", sql], capture_output=True, text=True)
    server.stop()
    if output.returncode != 0:
        sys.exit(output.stderr)
    rows = [json.loads(line) for line in output.stdout.splitlines() if line.startswith("{")]
    found = {row["path"]: row["content"] for row in rows}
    assert len(rows) == len(found) == len(expected), f"{len(rows)} rows of {len(expected)}"
    assert found == expected, "bytes differ"
    print(f"{len(found)} objects came back with their bytes")


if __name__ == "__main__":
    main()
