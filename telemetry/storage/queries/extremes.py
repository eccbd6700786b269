"""
The shortest and the longest duration to the millisecond.

The roll-ups know their buckets. The months and then the days that have a run in such a bucket lead
to the few runs that are looked at themselves; where these are too many, the bucket has to do.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

from sqlalchemy import bindparam, func, select

from telemetry.storage.durations import bounds_of
from telemetry.storage.queries.statements import bound, claim_on, claims_of, sql_of
from telemetry.storage.queries.sums import run_count
from telemetry.storage.tables import agent_runs, run_rollups

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from telemetry.storage.queries.ranges import StatsFilters
    from telemetry.storage.queries.statements import Claim

#: Roll-ups with a run in the bucket that are followed up.
MAX_PLACES = 32
#: Runs that began on these days, all of which SQLite has to pass.
MAX_RUNS = 20_000
_MONTH_LENGTH = len("2026-11")
_ROLLUPS = run_rollups.c
_RUNS = agent_runs.c
_FORMS_REMEMBERED = 64


class _Place(NamedTuple):
    period: str
    agent_name: str
    job_type: str


def extreme(
    connection: sqlite3.Connection,
    filters: StatsFilters,
    bucket: int,
    choose: Callable[[Iterable[int]], int],
) -> Optional[int]:
    """
    Return the shortest or longest duration of the runs in a bucket; None where it would take long.

    Args:
        bucket: One that has runs.
        choose: ``min`` or ``max``.
    """
    shortest, longest = bounds_of(bucket)
    if shortest == longest:
        return shortest
    places = _places(connection, filters, bucket)
    if not places or not all(place.period for place in places):
        return None
    periods = {place.period for place in places}
    if _runs_on(connection, periods) > MAX_RUNS:
        return None
    wanted = set(places)
    found = [
        duration
        for day in periods
        for agent, job, duration in connection.execute(
            _runs_sql(),
            {"first": day, "last": f"{day}Z", "shortest": shortest, "longest": longest},
        )
        if _Place(day, agent, job) in wanted
    ]
    return choose(found) if found else None


def _places(
    connection: sqlite3.Connection, filters: StatsFilters, bucket: int
) -> Optional[list[_Place]]:
    """
    Return the days, agents and job types that have runs in the bucket; None if there are many.
    """
    conditions = filters.conditions
    sql = _places_sql(claims_of(conditions))
    _, first, last = filters.days()
    values = {**bound(conditions), "text": f'%"{bucket}":%'}
    if filters.is_of_all_time:
        first = ""  # also the runs of which no day is known
    months = connection.execute(
        sql, {**values, "span": "month", "first": first[:_MONTH_LENGTH], "last": last}
    ).fetchmany(MAX_PLACES + 1)
    if len(months) > MAX_PLACES:
        return None
    found: set[_Place] = set()
    for month in {period for period, _, _ in months}:
        days = connection.execute(
            sql,
            {
                **values,
                "span": "day",
                "first": max(first, month),
                "last": min(last, f"{month}-31") if month else "",
            },
        ).fetchmany(MAX_PLACES + 1)
        found.update(_Place(*day) for day in days)
    return sorted(found) if len(found) <= MAX_PLACES else None


def _runs_on(connection: sqlite3.Connection, periods: Iterable[str]) -> int:
    sql = _count_sql()
    return sum(
        int(connection.execute(sql, {"span": "day", "period": day}).fetchone()[0])
        for day in periods
    )


@lru_cache(maxsize=_FORMS_REMEMBERED)
def _places_sql(claims: tuple[Claim, ...]) -> str:
    columns: list[Any] = [_ROLLUPS[name] for name in _Place._fields]
    return sql_of(
        select(*columns)
        .distinct()
        .where(
            _ROLLUPS.span == bindparam("span"),
            _ROLLUPS.period >= bindparam("first"),
            _ROLLUPS.period <= bindparam("last"),
            _ROLLUPS.durations_json.like(bindparam("text")),
            *(claim_on(run_rollups, number, claim) for number, claim in enumerate(claims)),
        )
    )


@lru_cache(maxsize=1)
def _count_sql() -> str:
    return sql_of(
        select(func.sum(run_count())).where(
            _ROLLUPS.span == bindparam("span"), _ROLLUPS.period == bindparam("period")
        )
    )


@lru_cache(maxsize=1)
def _runs_sql() -> str:
    return sql_of(
        select(_RUNS.agent_name, _RUNS.job_type, _RUNS.duration_ms).where(
            _RUNS.start_time >= bindparam("first"),
            _RUNS.start_time <= bindparam("last"),
            _RUNS.duration_ms >= bindparam("shortest"),
            _RUNS.duration_ms <= bindparam("longest"),
        )
    )
