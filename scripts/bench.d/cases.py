"""The cases: what is sent, and what is measured of the proxy meanwhile."""

import re
import subprocess
import sys
import time

from machine import LOAD_CORE, cpu_seconds, memory_kib, on_core
from proxies import CHAT, KEY

LUA = """
local n = 0
local run = "%(run)d"
local pad = string.rep("The quick brown fox jumps over the lazy dog. ", 20)
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %(key)s"
%(request)s
done = function(summary, latency)
  io.write(string.format("RESULT %%d %%d %%d %%d %%d\\n", summary.requests,
    summary.errors.status + summary.errors.read + summary.errors.write + summary.errors.connect + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"""
QUESTION = """
wrk.method = "POST"
request = function()
  n = n + 1
  local id = %s and run .. "-" .. n or 0
  return wrk.format(nil, nil, nil, '{"model":"bench","max_tokens":80,"messages":[{"role":"user","content":"'
    .. id .. " " .. pad .. '"}]}')
end
"""
UP = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/octet-stream"
wrk.body = string.rep("x", %d)
"""
DOWN = """
wrk.headers["x-bench"] = "down=%d"
"""
SIZES = {"1 KiB": 1 << 10, "16 KiB": 16 << 10, "256 KiB": 256 << 10, "4 MiB": 4 << 20}


class Saturated:
    """As many requests as go through, by wrk."""

    def __init__(self, kind, path, request, connections=None):
        self.kind, self.path, self.request, self.connections = kind, path, request, connections

    def measure(self, bench, proxy, seconds):
        script = bench.machine.path("case.lua", LUA % {"key": KEY, "run": time.monotonic_ns(), "request": self.request})
        connections = self.connections or bench.options.connections
        command = on_core(LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", script,
                          f"http://127.0.0.1:{proxy.port}{self.path}")
        before, began = cpu_seconds(proxy.pid), time.monotonic()
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        cpu, took = cpu_seconds(proxy.pid) - before, time.monotonic() - began
        requests, errors, p50, p99, p999 = map(int, re.search(r"RESULT (.*)", out).group(1).split())
        if errors or not requests:
            sys.exit(f"error: {errors} errors in {requests} requests:\n{out}")
        return {"rps": requests / took, "cpu_per_1000": 1000 * cpu / requests,
                "p50_ms": p50 / 1000, "p99_ms": p99 / 1000, "p999_ms": p999 / 1000}


class Streams:
    """Many streams at a set pace; CPU per event and memory per stream while all of them run."""

    kind = "fresh"

    def __init__(self, count, pause):
        self.count, self.pause = count, pause

    def measure(self, bench, proxy, seconds):
        rest = memory_kib(proxy.pid)
        command = on_core(LOAD_CORE, bench.ends, "streams", "--to", f"127.0.0.1:{proxy.port}", "--count", self.count,
                          "--pause", self.pause, "--seconds", seconds, "--key", KEY)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tool:
            if tool.stdout.readline().strip() != "ready":
                sys.exit("error: the streams did not begin")
            before = cpu_seconds(proxy.pid)
            window = tool.stdout.readline().split()
            cpu, memory = cpu_seconds(proxy.pid) - before, memory_kib(proxy.pid)
        if tool.returncode or not window:
            sys.exit("error: streams broke")
        events, took = int(window[1]), float(window[2])
        return {"events_per_s": events / took, "cpu_us_per_event": 1e6 * cpu / events,
                "kib_per_stream": (memory - rest) / self.count}


def paced(bench, port, rate, seconds, *more):
    """Requests at random times: answers, p50, p99 and p99.9 in ms, how late the generator was at p99, and the median of the
    p99 of each tenth of a second."""
    command = on_core(LOAD_CORE, bench.ends, "paced", "--to", f"127.0.0.1:{port}", "--rate", rate,
                      "--seconds", seconds, "--connections", bench.options.connections, "--key", KEY, *more)
    answers, *micros = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[1:]
    return [int(answers)] + [float(one) / 1000 for one in micros]


class Paced:
    """Requests at random times, as many a second to the one proxy as to the other."""

    kind = "chat"

    def __init__(self, rate, *more):
        self.rate, self.more = rate, more

    def measure(self, bench, proxy, seconds):
        before = cpu_seconds(proxy.pid)
        answers, p50, p99, *_ = paced(bench, proxy.port, self.rate, seconds, *self.more)
        cpu = cpu_seconds(proxy.pid) - before
        return {"rate": answers / seconds, "cpu_per_1000": 1000 * cpu / answers, "p50_ms": p50, "p99_ms": p99}


class HalfLoaded:
    """Random arrivals at half of what the proxy was just seen to take; its p99 less that of the upstream alone."""

    kind = "chat"

    def __init__(self, saturated):
        self.saturated = saturated

    def measure(self, bench, proxy, seconds):
        rate = self.saturated.measure(bench, proxy, seconds)["rps"] / 2
        _, direct_p50, direct_p99, _, _, direct_tail = paced(bench, bench.proxies.answers, rate, seconds)
        _, p50, p99, _, late, tail = paced(bench, proxy.port, rate, seconds)
        return {"rate": rate, "added_p50_ms": p50 - direct_p50, "added_tail_ms": tail - direct_tail, "added_p99_ms": p99 - direct_p99,
                "p99_ms": p99, "direct_p99_ms": direct_p99, "late_p99_ms": late}


CHAT_CASE = Saturated("chat", CHAT, QUESTION % "true")
CASES = {
    "pass-through": Saturated("bare", "/plain", QUESTION % "true"),
    "chat": CHAT_CASE,
    "hit": Saturated("chat", CHAT, QUESTION % "false"),
    "chat-5000": Paced(5000),
    "hit-5000": Paced(5000, "--same"),
    "delay": HalfLoaded(CHAT_CASE),
    "streams-200": Streams(200, 40),
    "streams-2000": Streams(2000, 400),
}
for size, count in SIZES.items():
    name = size.replace(" ", "")
    few = 8 if count > 1 << 20 else None
    CASES[f"up-{name}"] = Saturated("ends", "/files", UP % count, few)
    CASES[f"down-{name}"] = Saturated("ends", "/files", DOWN % count, few)
