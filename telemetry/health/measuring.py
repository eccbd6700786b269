"""
What recording and asking cost on this machine, measured in a directory made for it.

The directory lies on the file system of the base directory, so that the figures are those of its
disk; nothing of the base directory itself is read or written.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, Callable, Protocol

import attrs

from telemetry.model.errors import TransientSinkError
from telemetry.storage.sqlite import connect_read_only, translated

if TYPE_CHECKING:
    from pathlib import Path

#: How often each question is asked, the first time included.
QUESTION_ROUNDS = 20
#: What the runbook asks, in its words.
QUESTIONS = {
    "count": "SELECT COUNT(*) FROM agent_runs",
    "recent": "SELECT run_id, agent_name, job_type, status, start_time FROM agent_runs"
    " ORDER BY start_time DESC LIMIT 20",
    "agent": "SELECT COUNT(*), SUM(items_discovered), SUM(items_succeeded) FROM agent_runs"
    " WHERE agent_name = 'measured'",
    "chain": "SELECT run_id, job_type, status FROM agent_runs WHERE insight_id = 'insight-7'"
    " ORDER BY start_time",
}


class Recording(Protocol):
    """
    What records, as `telemetry.client.TelemetryClient` does.
    """

    def start_run(self, agent_name: str, job_type: str, **fields: Any) -> str:
        """
        Begin a run.
        """

    def log_event(self, run_id: str, event_type: str, payload: Any = None) -> object:
        """
        Record an event.
        """

    def end_run(self, run_id: str, **fields: Any) -> object:
        """
        End a run.
        """

    def flush(self, timeout_s: float) -> bool:
        """
        Wait until everything has arrived.
        """

    def close(self, timeout_s: float) -> bool:
        """
        End recording.
        """


@attrs.frozen(kw_only=True)
class Latency:
    """
    How long one kind of call took.
    """

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


@attrs.frozen(kw_only=True)
class Measured:
    """
    All figures of one machine.
    """

    #: By kind of call: start, event, end, and write for all of them.
    calls: dict[str, Latency]
    questions: dict[str, Latency]
    run_count: int
    #: Calls that write, until they had returned.
    writes_per_s: float
    #: The same until all of it was in the database.
    stored_per_s: float
    exit_ms: float
    journal_bytes_per_run: float
    database_bytes_per_run: float


def measure(  # noqa: PLR0913 (what records, where it goes, and three limits)
    client: Recording,
    directory: Path,
    database: Path,
    *,
    runs: int,
    seconds: float,
    patience_s: float,
) -> Measured:
    """
    Record runs and ask for them.

    Args:
        client: Records into the directory; closed at the end.
        directory: The journal's.
        runs: At most so many runs,
        seconds: and recording for at most so long.
        patience_s: How long the database may take after that; its speed is a figure, no limit.

    Raises:
        TransientSinkError: Not all of it has arrived in the database by then.
        TelemetryError: The database cannot be read.
    """
    begun = time.perf_counter()
    times, count = _record(client, runs, begun + seconds)
    written_s = time.perf_counter() - begun
    _require_arrived(client.flush(patience_s), patience_s)
    stored_s = time.perf_counter() - begun
    questions = ask(database)
    exit_ms = _exit_ms(client, patience_s)
    writes = sum(map(len, times.values()))
    every = [each for some in times.values() for each in some]
    return Measured(
        calls={**{name: latency(some) for name, some in times.items()}, "write": latency(every)},
        questions=questions,
        run_count=count,
        writes_per_s=writes / written_s,
        stored_per_s=writes / stored_s,
        exit_ms=exit_ms,
        journal_bytes_per_run=_bytes(directory) / count,
        database_bytes_per_run=_database_bytes(database) / count,
    )


def latency(seconds: Sequence[float]) -> Latency:
    """
    Return the percentiles of times, each a time that was really taken.
    """
    ordered = sorted(seconds)

    def at(share: float) -> float:
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)] * 1000

    return Latency(
        count=len(ordered), p50_ms=at(0.5), p95_ms=at(0.95), p99_ms=at(0.99), max_ms=at(1.0)
    )


def ask(database: Path) -> dict[str, Latency]:
    """
    Return how long each of the runbook's questions takes.

    Raises:
        TelemetryError: The database cannot be read.
    """
    found = {}
    for name, sql in QUESTIONS.items():
        times = []
        for _ in range(QUESTION_ROUNDS):
            # A connection each, as the sqlite3 command would make it.
            begun = time.perf_counter()
            with translated(database), closing(connect_read_only(database)) as connection:
                connection.execute(sql).fetchall()
            times.append(time.perf_counter() - begun)
        found[name] = latency(times)
    return found


def _record(client: Recording, runs: int, deadline: float) -> tuple[dict[str, list[float]], int]:
    times: dict[str, list[float]] = {"start": [], "event": [], "end": []}
    count = 0
    while count < runs and (not count or time.perf_counter() < deadline):
        _record_one(client, times, count)
        count += 1
    return times, count


def _record_one(client: Recording, times: dict[str, list[float]], number: int) -> None:
    run_id = ""

    def start() -> None:
        nonlocal run_id
        run_id = client.start_run("measured", "latency", insight_id=f"insight-{number % 50}")

    _timed(times["start"], start)
    _timed(times["event"], lambda: client.log_event(run_id, "checkpoint", {"step": number}))
    _timed(
        times["end"],
        lambda: client.end_run(run_id, status="success", items_discovered=10, items_succeeded=9),
    )


def _timed(times: list[float], call: Callable[[], object]) -> None:
    begun = time.perf_counter()
    call()
    times.append(time.perf_counter() - begun)


def _exit_ms(client: Recording, patience_s: float) -> float:
    """
    Measure the end of a process that has just ended a run.
    """
    client.end_run(client.start_run("measured", "exit"), status="success")
    begun = time.perf_counter()
    _require_arrived(client.close(patience_s), patience_s)
    return (time.perf_counter() - begun) * 1000


def _require_arrived(has_arrived: bool, patience_s: float) -> None:  # noqa: FBT001 (an answer)
    if not has_arrived:
        raise TransientSinkError(
            f"the database must take what is recorded within {patience_s:g} s (it did not);"
            " measure again when the machine is idle, or with fewer --runs"
        )


def _bytes(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir() if path.is_file())


def _database_bytes(database: Path) -> int:
    """
    Return how long the database is, what its write-ahead log has included.
    """
    with translated(database), closing(connect_read_only(database)) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    return int(pages) * int(page_bytes)
