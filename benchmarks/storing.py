"""
How fast the service stores what it is handed over, beside a loop that only inserts it.

Ours is timed from the first request until a read sees everything: received, checked, journaled,
followed and committed. The yardstick is an `executemany` of the same runs, made into rows
beforehand, into the same table with the same indexes and settings; it decodes and checks nothing,
and keeps no audit trail, no state to fold later records onto, and no roll-ups.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import Row
from benchmarks.service import BATCH, drained, serving
from benchmarks.serving_load import Load, requests
from telemetry.model.run import COLUMNS, Kind
from telemetry.storage.migrations import migrate
from telemetry.storage.sqlite import connect, immediate

BATCH_RUNS = 1000
CONNECTIONS = 4


class HandWritten:
    """
    The yardstick, with a database of its own.
    """

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)
        migrate(self._connection)

    def decode(self, bodies: Sequence[bytes]) -> list[list[tuple[Any, ...]]]:
        """
        Return batches of rows, with a value in each column of the statement.
        """
        now = "2026-11-22T05:13:00.123456Z"
        batches = [json.loads(body) for body in bodies]
        self._names = [*batches[0][0], "created_at", "updated_at"]
        kinds = [COLUMNS[name].kind for name in self._names]
        return [
            [
                tuple(
                    json.dumps(value) if kind is Kind.JSON else value
                    for kind, value in zip(kinds, [*run.values(), now, now])
                )
                for run in batch
            ]
            for batch in batches
        ]

    def insert(self, batches: Sequence[list[tuple[Any, ...]]]) -> None:
        """
        Insert each batch in a transaction.
        """
        marks = ", ".join("?" * len(self._names))
        sql = f"INSERT INTO agent_runs ({', '.join(self._names)}) VALUES ({marks})"
        for rows in batches:
            with immediate(self._connection):
                self._connection.executemany(sql, rows)

    def close(self) -> None:
        self._connection.close()


def _store(port: int, sent: Sequence[bytes]) -> float:
    """
    Hand batches over, wait until they are stored, and return the seconds it took.
    """
    begun = time.perf_counter()
    load = Load(CONNECTIONS, 60)
    asyncio.run(load.run(port, iter(sent)))
    if load.errors:
        raise RuntimeError(f"each batch must be taken (got {load.errors[0]})")
    drained(port, settle_s=0)
    return time.perf_counter() - begun


def measure(*, quick: bool) -> list[Row]:
    """
    Measure the runs that are stored a second.
    """
    rounds, count = (3, 10) if quick else (7, 20)
    ratios, decoded, rates = [], [], []
    with contextlib.ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        serve = ("-m", "telemetry", "serve", "--port", "0")
        port = stack.enter_context(serving(*serve, base_dir=str(base / "telemetry")))
        hand = HandWritten(base / "hand.sqlite")
        stack.callback(hand.close)
        for at in range(rounds + 1):
            sent = list(requests(BATCH, BATCH_RUNS, count))
            bodies = [one.partition(b"\r\n\r\n")[2] for one in sent]
            begun = time.perf_counter()
            batches = hand.decode(bodies)
            ready = time.perf_counter()
            hand.insert(batches)
            end = time.perf_counter()
            del batches
            took = _store(port, sent)
            if at:
                ratios.append((end - ready) / took)
                decoded.append((end - begun) / took)
                rates.append(BATCH_RUNS * count / took)
    return [
        Row(
            what=f"batches of {BATCH_RUNS} stored a second / executemany of their rows",
            value=statistics.median(ratios),
            target=0.8,
            unit="rate",
            note=f"({statistics.median(rates):,.0f} runs/s; with the yardstick's json.loads"
            f" {statistics.median(decoded):.2f})",
        )
    ]
