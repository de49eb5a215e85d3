"""Processes on set cores, and what they cost."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

PROXY_CORE, LOAD_CORE = 0, 1


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(child) for child in f.read().split()]


def cpu_seconds(pid):
    """User and system time of a process and its children."""
    ticks = 0
    for task in [pid] + children(pid):
        with open(f"/proc/{task}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_kib(pid):
    """Proportional set size of a process and its children."""
    total = 0
    for task in [pid] + children(pid):
        with open(f"/proc/{task}/smaps_rollup") as f:
            total += int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1))
    return total


def on_core(core, *command):
    return ["taskset", "-c", str(core), *map(str, command)]


def notes():
    with open("/proc/cpuinfo") as f:
        model = re.search(r"model name\s*: (.*)", f.read())
    version = subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr.strip()
    return {"cpu": model.group(1) if model else "unknown", "cores": os.cpu_count(),
            "kernel": os.uname().release, "nginx": version.split(": ")[-1],
            "load_before": os.getloadavg()[0]}


class Machine:
    """What was started, in a folder of its own; all of it ends with `stop`."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []
        self.started = 0

    def path(self, name, text=None):
        path = os.path.join(self.folder, name)
        if text is not None:
            with open(path, "w") as f:
                f.write(text)
        return path

    def start(self, core, *command):
        self.started += 1
        with open(self.path(f"{self.started}.log"), "w") as log:
            process = subprocess.Popen(on_core(core, *command), stdout=subprocess.DEVNULL, stderr=log)
        self.running.append(process)
        return process

    def stop(self, processes=None):
        """Ends these processes, or all."""
        ending = self.running[:] if processes is None else processes
        self.running = [process for process in self.running if process not in ending]
        for process in ending:
            process.send_signal(signal.SIGTERM)
        for process in ending:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def nginx(self, name, core, http):
        folder = self.path(name)
        os.makedirs(folder, exist_ok=True)
        temp = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        conf = self.path(f"{name}.conf", f"""
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log warn; worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 1000000000; client_max_body_size 64m; client_body_buffer_size 256k; {temp} {http} }}
""")
        return self.start(core, "nginx", "-p", folder, "-c", conf)


def wait_for(port, path, key, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body, headers={"Authorization": f"Bearer {key}"})
    # Whatever proxy the environment names: it is here.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(200):
        try:
            return direct.open(request, timeout=5).read()
        except OSError:
            time.sleep(0.05)
    sys.exit(f"error: {request.full_url} does not answer")
