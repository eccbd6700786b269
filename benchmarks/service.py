"""
What the service answers a second, beside an application that only checks and one that only keeps.

Real uvicorn processes on loopback, and the client in a process of its own. A round of each
candidate in turn; between two rounds the service's journal is drained, so that nobody pays for the
other's work.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness import Row, percentile

ROOT = Path(__file__).resolve().parent.parent
RUNS, BATCH = "/api/v1/runs", "/api/v1/runs/batch"


@contextlib.contextmanager
def serving(*arguments: str, base_dir: str = "") -> Iterator[int]:
    """
    Run a server, and yield its port.
    """
    environment = {**os.environ, "TELEMETRY_BASE_DIR": base_dir} if base_dir else None
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield int(line.rsplit(":", 1)[1])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def load(  # noqa: PLR0913, PLR0917 (what a load consists of)
    port: int, connections: int, batch: int, seconds: float, count: int, path: str
) -> Any:
    """
    Keep a server busy, and return what the client saw.
    """
    numbers = map(str, (port, connections, batch, seconds, count))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving_load", *numbers, path],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    seen = json.loads(done.stdout)
    if seen["errors"]:
        raise RuntimeError(f"each request must be taken (got {seen['errors']})")
    return seen


def drained(port: int, *, settle_s: float = 0.2) -> None:
    """
    Wait until the database has everything: a read does.
    """
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{RUNS}?limit=1", timeout=60) as answer:
        answer.read()
    time.sleep(settle_s)


class Comparison:
    """
    Ratios of the service to a yardstick, round by round.
    """

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.tails: list[float] = []
        self.note = ""

    def add(self, ours: Any, theirs: Any, rows: int) -> None:
        rate = ours["requests"] / ours["seconds"]
        other = theirs["requests"] / theirs["seconds"]
        ms = [percentile(seen["latencies"], 0.99) * 1000 for seen in (ours, theirs)]
        self.rates.append(rate / other)
        self.tails.append(ms[0] / ms[1])
        self.note = (
            f"(last: {rate * rows:,.0f} against {other * rows:,.0f} runs/s, "
            f"p99 {ms[0]:.1f} and {ms[1]:.1f} ms)"
        )

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    @property
    def tail(self) -> float:
        return statistics.median(self.tails)


def _singles(ours: int, theirs: int, rounds: int, seconds: float) -> Comparison:
    found = Comparison()
    count = int(seconds * 12_000)
    load(theirs, 32, 1, 0.5, 2000, RUNS)
    load(ours, 32, 1, 0.5, 2000, RUNS)
    for _ in range(rounds):
        drained(ours)
        yardstick = load(theirs, 32, 1, seconds, count, RUNS)
        found.add(load(ours, 32, 1, seconds, count, RUNS), yardstick, 1)
    return found


def _batches(ours: int, theirs: int, rounds: int, size: int, count: int) -> Comparison:
    found = Comparison()
    for at in range(rounds + 1):
        drained(ours)
        yardstick = load(theirs, 4, size, 30, count, BATCH)
        seen = load(ours, 4, size, 30, count, BATCH)
        if at:
            found.add(seen, yardstick, size)
    return found


def measure(*, quick: bool) -> list[Row]:
    """
    Measure what is acknowledged a second, in singles and in batches.
    """
    rounds, seconds = (2, 2.0) if quick else (5, 4.0)
    with contextlib.ExitStack() as stack:
        base = stack.enter_context(tempfile.TemporaryDirectory())
        apps = ["-m", "benchmarks.serving_apps"]
        checking = stack.enter_context(serving(*apps, "checking", ""))
        keeping = stack.enter_context(serving(*apps, "keeping", f"{base}/bodies"))
        service = ["-m", "telemetry", "serve", "--port", "0"]
        ours = stack.enter_context(serving(*service, base_dir=f"{base}/telemetry"))
        singles = _singles(ours, checking, rounds, seconds)
        batches = {
            size: _batches(ours, keeping, rounds, size, count)
            for size, count in ((100, 100), (1000, 20))
        }
        drained(ours)
    return [
        Row(
            what="single POSTs a second, 32 connections / FastAPI and pydantic, nothing stored",
            value=singles.rate,
            target=0.95,
            unit="rate",
            note=singles.note,
        ),
        Row(what="p99 of a single POST / that application's", value=singles.tail, target=2),
        *(
            Row(
                what=f"batches of {size} acknowledged a second / bare ASGI that appends the body",
                value=found.rate,
                target=0.5,
                unit="rate",
                note=found.note,
            )
            for size, found in batches.items()
        ),
    ]
