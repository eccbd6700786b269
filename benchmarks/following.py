"""
What a record costs behind the journal: followed into SQLite, and rebuilt.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Tracer

from benchmarks.harness import Row
from telemetry import TelemetryClient, TelemetryConfig
from telemetry.model.run import COLUMNS
from telemetry.storage.ddl import INDEXES, schema_sql
from telemetry.storage.recovery import rebuild
from telemetry_plugins.ndjson import NdjsonJournal

EVENTS_A_RUN = 10
HAND_BATCH = 5000
WARM_UP_RUNS = 10
#: OpenTelemetry's queue holds 2048 spans and drops what comes above.
SPANS_BETWEEN_FLUSHES = 1024


class FileExporter(SpanExporter):
    """
    OpenTelemetry's spans to a file, one JSON object a line.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")

    def export(self, spans):
        for span in spans:
            self._file.write(span.to_json(indent=None) + "\n")
        self._file.flush()
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self._file.close()


def _config(base: str, **settings: Any) -> TelemetryConfig:
    return TelemetryConfig.from_env(base_dir=base, **settings)


def _record(client: TelemetryClient, runs: int) -> None:
    for _ in range(runs):
        with client.track_run("agent", "job") as run:
            for step in range(EVENTS_A_RUN):
                run.log_event("checkpoint", {"step": step, "input": "data.csv"})


@contextlib.contextmanager
def _working_in(place: str) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(place)
    try:
        yield
    finally:
        os.chdir(before)


def _cpu_of_telemetry(runs: int, *, in_repository: bool = False) -> float:
    with tempfile.TemporaryDirectory() as base, _working_in(base):
        if in_repository:
            subprocess.run(["git", "init", "--quiet"], check=True)
            os.utime(".git/HEAD", (0, 0))  # nobody has committed lately
        config = _config(base)
        client = TelemetryClient(config)
        _record(client, WARM_UP_RUNS)
        client.flush(60)
        begun = time.process_time()
        _record(client, runs)
        client.flush(120)
        used = time.process_time() - begun
        client.close()
        written = _events_in(config.db_path)
    expected = (runs + WARM_UP_RUNS) * EVENTS_A_RUN
    if written != expected:
        raise RuntimeError(f"each of {expected} events must be in SQLite (got {written})")
    return used


def _events_in(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        count: int = connection.execute("SELECT count(*) FROM run_events").fetchone()[0]
    return count


def _trace(tracer: Tracer, runs: int) -> None:
    for _ in range(runs):
        with tracer.start_as_current_span("job") as span:
            for step in range(EVENTS_A_RUN):
                span.add_event("checkpoint", {"step": step, "input": "data.csv"})


def _cpu_of_opentelemetry(runs: int) -> float:
    with tempfile.TemporaryDirectory() as base:
        path = Path(base, "spans")
        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(FileExporter(path)))
        tracer = provider.get_tracer("benchmark")
        _trace(tracer, WARM_UP_RUNS)
        provider.force_flush()
        begun = time.process_time()
        for first in range(0, runs, SPANS_BETWEEN_FLUSHES):
            _trace(tracer, min(SPANS_BETWEEN_FLUSHES, runs - first))
            provider.force_flush()
        used = time.process_time() - begun
        provider.shutdown()
        written = path.read_bytes().count(b"\n")
    if written != runs + WARM_UP_RUNS:
        raise RuntimeError(f"each of {runs + WARM_UP_RUNS} spans must be written (got {written})")
    return used


class Line(msgspec.Struct):
    """
    What the hand-written loop wants to know of an event's line.
    """

    record_type: str
    id: str
    timestamp: str
    event_id: str = ""
    run_id: str = ""
    change: str = ""
    event_type: str = ""
    payload: msgspec.Raw = msgspec.Raw(b"null")


class HandWritten:
    """
    The yardstick: decode with msgspec, insert in batches, into the same tables and indexes.

    It checks nothing, keeps no cursor, and takes the last line of a run for the run.
    """

    def __init__(self, base: Path) -> None:
        self._connection = sqlite3.connect(base / "hand.sqlite", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._decode = msgspec.json.Decoder(Line).decode
        names = ", ".join(COLUMNS)
        marks = ", ".join("?" * len(COLUMNS))
        self._run_sql = f"INSERT OR REPLACE INTO agent_runs ({names}) VALUES ({marks})"

    def run(self, journal: Path, *, indexes_after: bool) -> None:
        execute = self._connection.execute
        for statement in _statements(with_indexes=not indexes_after):
            execute(statement)
        lines = journal.read_bytes().split(b"\n")
        for at in range(0, len(lines), HAND_BATCH):
            self._batch(lines[at : at + HAND_BATCH])
        if indexes_after:
            for index in INDEXES:
                execute(index)
        self._connection.close()

    def _batch(self, lines: list[bytes]) -> None:
        events, runs = [], []
        for line in lines:
            if not line:
                continue
            record = self._decode(line)
            if record.record_type == "event":
                payload = bytes(record.payload).decode()
                events.append(
                    (
                        record.id,
                        record.event_id,
                        record.run_id,
                        record.event_type,
                        record.timestamp,
                        payload,
                    )
                )
            elif record.record_type == "run":
                row = {
                    "items_discovered": 0,
                    "items_succeeded": 0,
                    "items_failed": 0,
                    "items_skipped": 0,
                    "api_posted": 0,
                    "api_retry_count": 0,
                    **msgspec.json.decode(line),
                }
                runs.append([row.get(name) for name in COLUMNS])
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(
            "INSERT OR IGNORE INTO run_events "
            "(id, event_id, run_id, event_type, timestamp, payload_json) VALUES (?,?,?,?,?,?)",
            events,
        )
        self._connection.executemany(self._run_sql, runs)
        self._connection.execute("COMMIT")


def _statements(*, with_indexes: bool) -> Iterator[str]:
    for statement in schema_sql().split(";\n"):
        is_index = "CREATE INDEX" in statement or "CREATE UNIQUE INDEX" in statement
        if statement.strip() and (with_indexes or not is_index):
            yield statement


def _rates(runs: int, rounds: int) -> tuple[list[float], list[float]]:
    following, rebuilding = [], []
    with tempfile.TemporaryDirectory() as base:
        writer = TelemetryClient(_config(base, drain="external"))
        _record(writer, runs)
        writer.close()
        journal = next(Path(base, "raw").glob("*.ndjson"))
        for turn in range(rounds):
            following.append(_by_hand(journal, after=False) / _follow(base, f"f{turn}"))
            rebuilding.append(_by_hand(journal, after=True) / _rebuild(base, f"r{turn}"))
    return following, rebuilding


def _by_hand(journal: Path, *, after: bool) -> float:
    with tempfile.TemporaryDirectory() as place:
        hand = HandWritten(Path(place))
        begun = time.process_time()
        hand.run(journal, indexes_after=after)
        return time.process_time() - begun


def _follow(base: str, name: str) -> float:
    config = _config(
        base,
        ndjson_dir=Path(base, "raw"),
        db_path=Path(base, name, "telemetry.sqlite"),
        plugins_disabled=("git_linker",),
    )
    client = TelemetryClient(config)
    begun = time.process_time()
    client.catch_up(300)
    used = time.process_time() - begun
    client.close()
    return used


def _rebuild(base: str, name: str) -> float:
    path = Path(base, name, "telemetry.sqlite")
    path.parent.mkdir()
    begun = time.process_time()
    rebuild(path, NdjsonJournal(Path(base, "raw")))
    return time.process_time() - begun


def measure(*, quick: bool) -> list[Row]:
    """
    Measure the cost of a record from the call to the database, and the rates of what follows.
    """
    runs, rounds = (512, 3) if quick else (4096, 7)
    costs, linked = [], []
    for _ in range(rounds):
        yardstick = _cpu_of_opentelemetry(runs)
        costs.append(_cpu_of_telemetry(runs) / yardstick)
        linked.append(_cpu_of_telemetry(runs, in_repository=True) / yardstick)
    following, rebuilding = _rates(runs * 2, rounds)
    return [
        Row(
            what="CPU of a run of 10 events, call to SQLite / OpenTelemetry batch to a file",
            value=statistics.median(costs),
            target=1,
            note=f"(in a git repository, linked: {statistics.median(linked):.2f})",
        ),
        Row(
            what="rate of following / hand-written loop",
            value=statistics.median(following),
            target=0.8,
            unit="rate",
        ),
        Row(
            what="rate of rebuilding / hand-written loop, indexes after",
            value=statistics.median(rebuilding),
            target=0.8,
            unit="rate",
        ),
    ]
