"""What Tollgate does most, for a compiler to learn from: `work.py PROGRAM FOLDER [SHARE]`.

Chats, streams and embeddings of every API, new and repeated, uploads that pass through, HTTP/2 and TLS, with keys, limits, cache and
access log on. Engines and clients are PROGRAM too, `sim` and `load`; what they count is thrown away. FOLDER takes the counts of a
program that counts, one file for each of its kind; SHARE of the work is done, all of it if not said.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "scripts/bench.d"))

from machine import free_port, wait_for  # noqa: E402

KEY = "work-key"
CONFIG = """
listen:
  - {{ address: "127.0.0.1:{plain}" }}
  - {{ address: "127.0.0.1:{tls}", tls: {{ certificates: [{{ cert: {folder}/cert.pem, key: {folder}/key.pem }}] }} }}
admin: {{ address: "127.0.0.1:{admin}" }}
client: {{ max_connections_per_address: 0 }}
access_log: {folder}/access.log
pools:
  engines: {{ engine: vllm, balance: least_tokens, peers: [{{ address: "{first}" }}, {{ address: "{second}" }}] }}
routes:
  - {{ match: {{ path: "/v1/*" }}, pool: engines, cache: answers }}
  - {{ pool: engines }}
caches: {{ answers: {{ exact: {{ max_bytes: 4MiB }} }} }}
keys: [{{ name: work, sha256: "{key}" }}]
limits: [{{ per: key, requests: 1000M/s, tokens: 1000M/s, concurrency: 100000 }}]
"""
# Path, requests, tokens of prompt and answer, and what else `tollgate load` is told.
LOADS = [
    ("/v1/chat/completions", 8000, 220, 80, "--no-stream", "--repeat-share", "0.3"),
    ("/v1/chat/completions", 1500, 400, 200, "--repeat-share", "0.1"),
    ("/v1/chat/completions", 300, 8000, 400),
    ("/v1/messages", 800, 220, 100),
    ("/v1/responses", 400, 220, 100),
    ("/v1/completions", 400, 220, 80, "--no-stream"),
    ("/v1/embeddings", 800, 60, 1, "--no-stream", "--repeat-share", "0.2"),
    ("/files", 3000, 300, 1, "--no-stream"),
    ("/files", 300, 20000, 1, "--no-stream"),
]


# Requests over HTTP/2 and TLS, and what `h2load` is told.
REQUESTS = 2000
BODY = '{"model":"sim","max_tokens":20,"temperature":1.5,"messages":[{"role":"user","content":"%s"}]}' % ("Hello there. " * 60)


class Work:
    def __init__(self, program, folder, counts, share):
        self.program, self.folder, self.counts, self.share = program, folder, counts, share
        self.running = []

    def start(self, *arguments, counts=os.devnull, **how):
        process = subprocess.Popen([self.program, *arguments], env={**os.environ, "LLVM_PROFILE_FILE": counts}, text=True, **how)
        self.running.append(process)
        return process

    def engine(self):
        """The address of a simulated engine in a hurry."""
        said = self.start("sim", "--time-scale", "1000", stdout=subprocess.PIPE).stdout.readline()
        return said.strip().rsplit("/", 1)[1]

    def tollgate(self):
        ports = {name: free_port() for name in ("plain", "tls", "admin")}
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-keyout", f"{self.folder}/key.pem", "-out", f"{self.folder}/cert.pem"],
                       check=True, capture_output=True)
        config = os.path.join(self.folder, "work.yaml")
        with open(config, "w") as f:
            f.write(CONFIG.format(folder=self.folder, first=self.engine(), second=self.engine(),
                                  key=hashlib.sha256(KEY.encode()).hexdigest(), **ports))
        self.start("run", "--config", config, counts=self.counts)
        wait_for(ports["plain"], "/v1/models", KEY)
        return f"http://127.0.0.1:{ports['plain']}", f"https://127.0.0.1:{ports['tls']}"

    def load(self, url, path, requests, prompt, answer, *more):
        command = ["load", "--url", url, "--target-path", path, "--rate", "100000", "--connections", "64", "--key", KEY, "--json",
                   "--limit", self.part(requests), "--input-tokens", str(prompt), "--output-tokens", str(answer), *more]
        said, _ = self.start(*command, stdout=subprocess.PIPE).communicate()
        figures = json.loads(said)
        if figures["ok"] != figures["sent"] or not figures["ok"]:
            sys.exit(f"error: {path}: {said}")
        print(f"{path}: {figures['ok']} answers")

    def h2load(self, url, *more):
        body = os.path.join(self.folder, "body.json")
        with open(body, "w") as f:
            f.write(BODY)
        said = subprocess.run(["h2load", *more, "-n", self.part(REQUESTS), "-c", "8", "-d", body, "-H", "content-type: application/json",
                               "-H", f"authorization: Bearer {KEY}", f"{url}/v1/chat/completions"],
                              check=True, stdout=subprocess.PIPE, text=True).stdout
        if f"{self.part(REQUESTS)} 2xx" not in said:
            sys.exit(f"error: {url}: {said}")
        print(f"{url} {' '.join(more)}: {self.part(REQUESTS)} answers")

    def part(self, requests):
        return str(max(8, int(self.share * requests)))

    def stop(self):
        """Tollgate before its engines: without them there would be failures to learn from."""
        for process in reversed(self.running):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def main():
    program, counts, *share = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        work = Work(program, folder, os.path.join(counts, "%m.profraw"), *map(float, share or [1]))
        try:
            plain, tls = work.tollgate()
            for load in LOADS:
                work.load(plain, *load)
            work.h2load(plain, "-m", "8")
            work.h2load(tls, "-m", "8")
            work.h2load(tls, "--h1")
        finally:
            work.stop()


main()
