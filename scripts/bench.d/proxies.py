"""What stands between load and upstream: nginx and Tollgate, each before the same two upstreams.

`answers` is an nginx that answers each request at once with a chat completion; `ends` sends bodies of any size and
streams at a set pace (examples/ends).
"""

import contextlib
import hashlib
import json
import os

from machine import LOAD_CORE, PROXY_CORE, free_port, wait_for

KEY = "bench-key"
CHAT = "/v1/chat/completions"
ANSWER = json.dumps({
    "id": "chatcmpl-bench", "object": "chat.completion", "created": 1, "model": "bench",
    "choices": [{"index": 0, "finish_reason": "stop",
                 "message": {"role": "assistant", "content": "words " * 80}}],
    "usage": {"prompt_tokens": 220, "completion_tokens": 80, "total_tokens": 300},
})
QUESTION = b'{"model":"bench","messages":[{"role":"user","content":"warm"}]}'

NGINX = """
upstream answers {{ server 127.0.0.1:{answers}; keepalive 512; keepalive_requests 1000000000; }}
upstream ends {{ server 127.0.0.1:{ends}; keepalive 512; keepalive_requests 1000000000; }}
proxy_http_version 1.1; proxy_set_header Connection "";
server {{ listen 127.0.0.1:{buffered}; location / {{ proxy_pass http://answers; }} }}
server {{ listen 127.0.0.1:{streamed}; location / {{ proxy_pass http://ends; proxy_buffering off; proxy_request_buffering off; }} }}
"""

# Everything on: key, limits, exact cache, least tokens, metrics, access log.
FULL = """
listen: [{{ address: "127.0.0.1:{port}" }}]
admin: {{ address: "127.0.0.1:{admin}" }}
threads: 1
client: {{ max_connections_per_address: 0 }}
access_log: {log}
pools:
  bench:
    engine: vllm
    balance: least_tokens
    health: {{ path: /health }}
    peers: [{{ address: "127.0.0.1:{peer}" }}]
routes: [{{ match: {{ path: "/v1/*" }}, pool: bench, cache: answers }}, {{ pool: bench }}]
caches: {{ answers: {{ exact: {{ max_bytes: 64MiB }} }} }}
keys: [{{ name: bench, sha256: "{key}" }}]
limits:
  - {{ per: key, requests: 1000M/s, tokens: 1000M/s, concurrency: 100000 }}
"""

# Nothing on: what a plain reverse proxy does.
BARE = """
listen: [{{ address: "127.0.0.1:{port}" }}]
threads: 1
client: {{ max_connections_per_address: 0 }}
access_log: off
pools: {{ bench: {{ health: off, balance: round_robin, peers: [{{ address: "127.0.0.1:{peer}" }}] }} }}
"""


class Proxy:
    """One process and the port of it that a case goes to."""

    def __init__(self, process, port):
        self.process, self.pid, self.port = process, process.pid, port


class Proxies:
    """By case kind: what nginx and Tollgate serve it with."""

    def __init__(self, machine, binary, ends):
        self.machine, self.binary = machine, binary
        self.answers, self.slow = free_port(), free_port()
        machine.nginx("answers", LOAD_CORE, f"""
server {{ listen 127.0.0.1:{self.answers} reuseport; location / {{ default_type application/json; return 200 '{ANSWER}'; }} }}""")
        machine.start(LOAD_CORE, ends, "upstream", "--listen", f"127.0.0.1:{self.slow}")
        wait_for(self.answers, CHAT, KEY, QUESTION)
        wait_for(self.slow, CHAT, KEY, QUESTION)
        buffered, streamed = self.nginx("standing")
        self.of = {
            "chat": {"nginx": buffered, "tollgate": self.tollgate("chat", FULL, self.answers)},
            "bare": {"nginx": buffered, "tollgate": self.tollgate("bare", BARE, self.answers)},
            "ends": {"nginx": streamed, "tollgate": self.tollgate("ends", FULL, self.slow)},
        }

    @contextlib.contextmanager
    def serving(self, kind, proxy):
        """A proxy for a case; of the kind `fresh` one of its own, so that no memory of earlier cases counts as at rest."""
        if kind != "fresh":
            yield self.of[kind][proxy]
            return
        served = self.nginx("fresh")[1] if proxy == "nginx" else self.tollgate("fresh", FULL, self.slow)
        try:
            yield served
        finally:
            self.machine.stop([served.process])

    def nginx(self, name):
        """The port that buffers, as nginx does unless told otherwise, and the one that streams."""
        buffered, streamed = free_port(), free_port()
        process = self.machine.nginx(name, PROXY_CORE, NGINX.format(
            answers=self.answers, ends=self.slow, buffered=buffered, streamed=streamed))
        wait_for(buffered, CHAT, KEY, QUESTION)
        wait_for(streamed, CHAT, KEY, QUESTION)
        return Proxy(process, buffered), Proxy(process, streamed)

    def tollgate(self, name, text, peer):
        port = free_port()
        # Beside the configuration each write would wake its watcher.
        logs = self.machine.path("logs")
        os.makedirs(logs, exist_ok=True)
        config = self.machine.path(f"{name}.yaml", text.format(
            port=port, admin=free_port(), peer=peer, log=os.path.join(logs, f"{name}.log"),
            key=hashlib.sha256(KEY.encode()).hexdigest()))
        process = self.machine.start(PROXY_CORE, self.binary, "run", "--config", config)
        wait_for(port, CHAT, KEY, QUESTION)
        return Proxy(process, port)
