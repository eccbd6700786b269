"""
The caller's 99th percentile with the follower at work, beside the same without.
"""

from __future__ import annotations

import statistics
import tempfile
import time

from benchmarks.harness import Row, percentile
from telemetry import TelemetryClient, TelemetryConfig

PAYLOAD = {"step": 3, "input": "data.csv"}
#: Work of the agent between two events, in turns of a loop: about the time of one event.
PAUSE_TURNS = 40


def _latencies(run, count: int) -> list[float]:
    clock = time.perf_counter_ns
    taken = []
    for _ in range(count):
        begun = clock()
        run.log_event("checkpoint", PAYLOAD)
        taken.append(clock() - begun)
        for _ in range(PAUSE_TURNS):
            pass
    return taken


def measure(*, quick: bool) -> list[Row]:
    """
    Measure in turn: one client that nobody drains, one that is drained by its own threads.
    """
    rounds, count = (5, 20_000) if quick else (15, 50_000)
    ratios = []
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        alone = TelemetryClient(TelemetryConfig.from_env(base_dir=one, drain="external"))
        followed = TelemetryClient(TelemetryConfig.from_env(base_dir=other))
        with alone.track_run("benchmark", "p99") as bare, followed.track_run("b", "p99") as busy:
            for _ in range(rounds):
                without = percentile(_latencies(bare, count), 0.99)
                ratios.append(percentile(_latencies(busy, count), 0.99) / without)
        followed.close(60)
        alone.close()
    return [
        Row(
            what="p99 of log_event, follower at work / without",
            value=statistics.median(ratios),
            target=3,
        )
    ]
