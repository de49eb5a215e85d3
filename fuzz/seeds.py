#!/usr/bin/env python3
"""Makes first inputs of the fuzz targets in FOLDER/TARGET, from the recorded data and the configurations of the repository.

    seeds.py FOLDER

The data is read from $TOLLGATE_DATA, else from ../shared/data beside the repository; without it there are fewer inputs.
"""

import base64
import glob
import gzip
import hashlib
import json
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DATA = os.environ.get("TOLLGATE_DATA", os.path.join(ROOT, "../shared/data"))
LARGEST = 20_000
# The targets `sse` and `key` take the seed of their own draws from the first bytes.
DRAWS = bytes(8)


def lines(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as f:
        yield from f


def keep(folder, target, data):
    if len(data) > LARGEST:
        return
    os.makedirs(os.path.join(folder, target), exist_ok=True)
    with open(os.path.join(folder, target, hashlib.sha256(data).hexdigest()[:20]), "wb") as f:
        f.write(data)


def main(folder):
    for path in glob.glob(os.path.join(ROOT, "conf/*.yaml")):
        with open(path, "rb") as f:
            keep(folder, "config", f.read())
    keep(folder, "sse", DRAWS + b"\xef\xbb\xbfevent: a\r\ndata: b\rdata: c\n\n: note\n\ndata")
    keep(folder, "request", b'{"model":"m","messages":[{"role":"user","content":"hello"}]}')
    keep(folder, "key", DRAWS + b'{"model":"m","messages":[{"role":"user","content":"hello"}]}')
    if not os.path.isdir(DATA):
        print(f"{DATA} is absent: only the built-in inputs are there", file=sys.stderr)
    for path in glob.glob(os.path.join(DATA, "*cassettes/interactions.jsonl*")):
        for line in lines(path):
            one = json.loads(line)
            request, answer = one["request_body"], one["response_body"]
            request = (request if isinstance(request, str) else json.dumps(request)).encode()
            keep(folder, "request", request)
            keep(folder, "key", DRAWS + request)
            if one["kind"] == "sse" and isinstance(answer, str):
                keep(folder, "sse", DRAWS + answer.encode())
    for path in glob.glob(os.path.join(DATA, "json_test_suite/cases.jsonl.gz")):
        for line in lines(path):
            document = json.loads(line)["bytes_b64"]
            keep(folder, "request", b'{"messages":' + base64.b64decode(document) + b"}")


main(sys.argv[1])
