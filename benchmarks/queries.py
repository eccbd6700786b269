"""
What reading costs beside SQLite itself: lists at any depth, and the data of the charts.
"""

from __future__ import annotations

import contextlib
import gc
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Callable

import msgspec

from benchmarks.harness import Row
from telemetry.model.run import COLUMNS, Kind
from telemetry.storage.ddl import INDEXES, TABLES
from telemetry.storage.queries import STATS, Filters, StatsFilters, Store
from telemetry.storage.rollups import recount

AGENTS, JOBS, DAYS = 24, 6, 365
PAGE = 100
CHARTS = tuple(name for name in STATS if name != "summary")
JSON_COLUMNS = tuple(name for name, column in COLUMNS.items() if column.kind is Kind.JSON)
ASKED = {
    "agent_name": "agent-07",
    "status": "success",
    "created_before": "2026-09-01T00:00:00Z",
}

_encode = msgspec.json.Encoder().encode

#: One row a number: keys that rise, a year of starts, durations from milliseconds to hours.
_FILL_SQL = f"""
WITH RECURSIVE numbers (n, r) AS (
    SELECT 0, abs(random()) UNION ALL SELECT n + 1, abs(random()) FROM numbers WHERE n + 1 < :runs
), drawn AS (
    SELECT n, printf('agent-%02d', r % {AGENTS}) AS agent,
        printf('job-%d', (r >> 8) % {JOBS}) AS job,
        CASE WHEN (r >> 16) % 1000 < 930 THEN 'success' WHEN (r >> 16) % 1000 < 980 THEN 'failed'
            WHEN (r >> 16) % 1000 < 990 THEN 'timeout' WHEN (r >> 16) % 1000 < 999 THEN 'partial'
            ELSE 'running' END AS status,
        strftime('%Y-%m-%dT%H:%M:%S', 1767225600 + n * ({DAYS} * 86400.0 / :runs), 'unixepoch')
            || printf('.%06dZ', (r >> 20) % 1000000) AS time,
        (1 << ((r >> 26) % 22)) + (r >> 30) % (1 << ((r >> 26) % 22)) AS duration,
        (r >> 40) % 500 AS items
    FROM numbers
)
INSERT INTO agent_runs (event_id, run_id, agent_name, job_type, trigger_type, agent_owner, status,
    start_time, end_time, duration_ms, items_discovered, items_succeeded, items_failed,
    output_summary, error_summary, product, platform, website, git_repo, git_branch, host,
    environment, pid, work_dir, trace_id, metrics_json, context_json, created_at, updated_at)
SELECT printf('01940000-%04x-7000-8000-%012x', n >> 16, n),
    time || '-' || agent || printf('-%08x', n),
    agent, job, 'scheduler', 'team', status, time, time, iif(status = 'running', NULL, duration),
    items, items * 9 / 10, items / 10, 'Wrote ' || items || ' pages and linked them',
    iif(status = 'failed', 'ValueError: nothing to be done with it', NULL), 'words', 'linux',
    'example.com', 'repository', 'main', 'host-1', 'production', n % 30000, '/srv/agents',
    printf('%032x', n), '{{"tokens": 1234, "cost": 0.17}}', '{{"queue": "night", "try": 1}}',
    time, time
FROM drawn
"""


def _filled(path: Path, runs: int) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -262144")
        for statement in TABLES:
            connection.execute(statement)
        connection.execute("BEGIN")
        connection.execute(_FILL_SQL, {"runs": runs})
        recount(connection)
        connection.execute("COMMIT")
        for statement in INDEXES:
            connection.execute(statement)


def _cpu_ms(call: Callable[[], object], times: int) -> float:
    begun = time.thread_time_ns()
    for _ in range(times):
        call()
    return (time.thread_time_ns() - begun) / times / 1e6


def _ratio(one: Callable[[], object], other: Callable[[], object], rounds: int) -> float:
    """
    Return how much more CPU one call takes than another, the median of rounds in turn.
    """
    ratios = []
    for _ in range(rounds):
        gc.collect()
        ratios.append(_cpu_ms(one, 20) / _cpu_ms(other, 20))
    return statistics.median(ratios)


def _as_json(rows: list[dict[str, Any]]) -> bytes:
    """
    Return rows as the API answers them: what is JSON already goes in as it is.
    """
    for row in rows:
        for name in JSON_COLUMNS:
            if row[name] is not None:
                row[name] = msgspec.Raw(row[name].encode())
    return _encode(rows)


def _by_hand(connection: sqlite3.Connection) -> bytes:
    """
    The yardstick: the same question in SQL, and the same bytes.
    """
    cursor = connection.execute(
        f"SELECT {', '.join(COLUMNS)} FROM agent_runs WHERE agent_name = ? AND status = ?"
        " AND created_at < ? ORDER BY created_at DESC, event_id DESC LIMIT ?",
        (ASKED["agent_name"], ASKED["status"], "2026-09-01T00:00:00.000000Z", PAGE),
    )
    return _as_json([dict(zip(COLUMNS, row)) for row in cursor])


def _list_rows(path: Path, store: Store, rounds: int) -> Iterator[Row]:
    def asked() -> bytes:
        return _as_json(store.runs(Filters.parse(ASKED), limit=PAGE).rows)

    with contextlib.closing(sqlite3.connect(path)) as connection:
        if asked() != _by_hand(connection):
            raise RuntimeError("both must find the same runs")
        ratio = _ratio(asked, lambda: _by_hand(connection), rounds)
    yield Row(
        what="filtered list, newest 100 as JSON / the same SQL and serialising",
        value=ratio,
        target=2,
    )


def _depth_rows(store: Store, runs: int, rounds: int) -> Iterator[Row]:
    for what, params, total in (
        ("all runs", {}, runs),
        ("one agent's", {"agent_name": "agent-07"}, runs // AGENTS),
    ):
        filters = Filters.parse(params)
        first = partial(store.runs, filters, limit=PAGE)
        worst = 0.0
        for share in (0.1, 0.5, 0.97):
            after = store.runs(filters, limit=1, offset=int(total * share)).next
            worst = max(worst, _ratio(partial(first, after=after), first, rounds))
        yield Row(
            what=f"a page at the worst of three depths / the first, {what}",
            value=worst,
            target=1.5,
        )


def _chart_rows(store: Store, runs: int, rounds: int) -> Iterator[Row]:
    last_30_days = StatsFilters.parse({"date_from": "2026-12-02", "exclude_job_type": "test"})
    for what, filters, target in (
        ("of the last 30 days", last_30_days, 100),
        ("of all time", StatsFilters(), 500),
        ("of nearly all time", StatsFilters.parse({"date_from": "2026-01-02"}), 500),
    ):

        def charts(filters: StatsFilters = filters) -> None:
            for name in CHARTS:
                _encode(store.stats(name, filters))

        charts()
        value = statistics.median(_cpu_ms(charts, 1) for _ in range(rounds))
        yield Row(
            what=f"CPU of the five charts' data over {runs:,} runs, {what}",
            value=value,
            target=target,
            unit="ms",
        )


def _known_row(path: Path, store: Store, runs: int, rounds: int) -> Row:
    """
    Compare asking for a batch's ids with a look-up of each.
    """
    step = runs // 500
    ids = [f"01940000-{n >> 16:04x}-7000-8000-{n:012x}" for n in range(0, step * 500, step)]
    ids += [f"new-{n}" for n in range(500)]
    sql = "SELECT status FROM agent_runs WHERE event_id = ?"
    with contextlib.closing(sqlite3.connect(path)) as connection:

        def one_by_one() -> dict[str, Any]:
            found = {one: connection.execute(sql, (one,)).fetchone() for one in ids}
            return {one: row for one, row in found.items() if row}

        if store.known(ids).keys() != one_by_one().keys():
            raise RuntimeError("both must know the same runs")
        ratio = _ratio(lambda: store.known(ids), one_by_one, rounds)
    what = "1,000 ids, half of them known, deleted runs included / a SELECT for each"
    return Row(what=what, value=ratio, target=1)


def measure(*, quick: bool) -> list[Row]:
    """
    Measure lists, pages and charts over a database made for it.
    """
    runs, rounds = (100_000, 5) if quick else (1_000_000, 15)
    with tempfile.TemporaryDirectory() as base:
        path = Path(base, "telemetry.sqlite")
        _filled(path, runs)
        store = Store(path, time_limit_s=60)
        try:
            return [
                *_list_rows(path, store, rounds),
                *_depth_rows(store, runs, rounds),
                *_chart_rows(store, runs, rounds),
                _known_row(path, store, runs, rounds),
            ]
        finally:
            store.close()
