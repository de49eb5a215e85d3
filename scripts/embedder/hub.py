"""Fetch all-MiniLM-L6-v2 (int8) from the model hub: hub.py DIR

Exit status 0: all files are in DIR. 3: the hub cannot be reached, or breaks off. 1: what came is not what was pinned.
"""

import hashlib
import http.client
import pathlib
import sys
import urllib.request

BASE = "https://huggingface.co/Xenova/all-MiniLM-L6-v2/resolve/751bff37182d3f1213fa05d7196b954e230abad9/"

# Small files first: an unreachable hub is then found out in seconds.
FILES = [
    ("config.json", "config.json", "7135149f7cffa1a573466c6e4d8423ed73b62fd2332c575bf738a0d033f70df7"),
    ("special_tokens_map.json", "special_tokens_map.json", "b6d346be366a7d1d48332dbc9fdf3bf8960b5d879522b7799ddba59e76237ee3"),
    ("tokenizer_config.json", "tokenizer_config.json", "9261e7d79b44c8195c1cada2b453e55b00aeb81e907a6664974b4d7776172ab3"),
    ("tokenizer.json", "tokenizer.json", "da0e79933b9ed51798a3ae27893d3c5fa4a201126cef75586296df9b4d2c62a0"),
    ("onnx/model_quantized.onnx", "model.onnx", "afdb6f1a0e45b715d0bb9b11772f032c399babd23bfc31fed1c170afc848bdb1"),
]


def main(folder):
    for remote, local, pinned in FILES:
        try:
            with urllib.request.urlopen(BASE + remote, timeout=5) as answer:
                data = receive(answer, local)
        except (OSError, http.client.HTTPException):
            return 3
        if hashlib.sha256(data).hexdigest() != pinned:
            print(f"the model hub's {remote} is not the pinned one", file=sys.stderr)
            return 1
        (folder / local).write_bytes(data)
    return 0


def receive(answer, name):
    total = int(answer.headers.get("Content-Length") or 0)
    data = bytearray()
    while chunk := answer.read(1 << 20):
        data += chunk
        if total > 1 << 20 and sys.stderr.isatty():
            print(f"\r  {name}: {len(data) >> 20} of {total >> 20} MiB", end="", file=sys.stderr)
    if total > 1 << 20 and sys.stderr.isatty():
        print(file=sys.stderr)
    if len(data) < total:
        raise ConnectionError(f"{name} broke off")
    return bytes(data)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
