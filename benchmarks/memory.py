"""
Whether memory stays flat, and how often an idle process wakes; each in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

from benchmarks.harness import Row

COMMON = """
import gc, json, pathlib, sys, time
from telemetry import TelemetryClient, hookimpl
base, count = sys.argv[1], int(sys.argv[2])
def resident_mib():
    gc.collect()
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20
def grown(work, client):
    # Until every cache and every batch is as large as it gets.
    work(max(count // 10, 5000))
    client.flush(120)
    before = resident_mib()
    work(count)
    client.flush(600)
    print(json.dumps(resident_mib() - before))
"""
EVENTS = """
client = TelemetryClient(base_dir=base)
run = client.track_run("agent", "job").__enter__()
def work(count):
    for step in range(count):
        run.log_event("checkpoint", {"step": step, "input": "data.csv"})
grown(work, client)
"""
RUNS = """
client = TelemetryClient(base_dir=base)
def work(count):
    for step in range(count):
        with client.track_run("agent", "job") as run:
            run.set_metrics(items_discovered=step)
grown(work, client)
"""
HUNG = """
import threading
class Hung:
    name = "hung"
    def write(self, batch, cursor):
        threading.Event().wait()
    def close(self):
        pass
class Plugin:
    @hookimpl
    def telemetry_register_sinks(self, config):
        return [Hung()]
client = TelemetryClient(base_dir=base, plugins=[Plugin()])
run = client.track_run("agent", "job").__enter__()
def work(count):
    for step in range(count):
        run.log_event("checkpoint", {"step": step, "input": "data.csv"})
client.flush = lambda timeout: None
grown(work, client)
import os
sys.stdout.flush()
os._exit(0)
"""
IDLE = """
client = TelemetryClient(base_dir=base)
run = client.track_run("agent", "job").__enter__()
run.log_event("checkpoint", {"step": 1})
client.flush(60)
def wakeups():
    total = 0
    for task in pathlib.Path("/proc/self/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                total += int(line.split()[1])
    return total
time.sleep(3)
before = wakeups()
time.sleep(count)
# The sleep of the measurement itself is one.
print(json.dumps((wakeups() - before - 1) / count))
"""


def _answer(source: str, count: int) -> float:
    with tempfile.TemporaryDirectory() as base:
        done = subprocess.run(
            [sys.executable, "-c", COMMON + source, base, str(count)],
            check=True,
            stdout=subprocess.PIPE,
            env={**os.environ, "TELEMETRY_EXIT_TIMEOUT_S": "0"},
        )
    return float(json.loads(done.stdout.splitlines()[-1]))


def measure(*, quick: bool) -> list[Row]:
    """
    Measure resident memory before and after the work, once it is warm, and idle wake-ups.
    """
    share = 10 if quick else 1
    million, short = 1_000_000 // share, 10_000 // share
    return [
        Row(what=f"MiB grown over {million:,} events", value=_answer(EVENTS, million), target=4),
        Row(
            what=f"MiB grown over {million:,} events and a hung sink",
            value=_answer(HUNG, million),
            target=4,
        ),
        Row(what=f"MiB grown over {short:,} short runs", value=_answer(RUNS, short), target=4),
        Row(what="wake-ups a second of an idle process", value=_answer(IDLE, 10), target=4),
    ]
