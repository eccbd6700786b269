"""
What the roll-ups add up to, read from the database.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import attrs
import msgspec
from sqlalchemy import bindparam, func, select

from telemetry.storage.ddl import ROLLUP_NUMBERS, STATUS_COUNTS, SUMMED
from telemetry.storage.queries.statements import bound, claim_on, claims_of, sql_of
from telemetry.storage.rollups import LOW_BITS
from telemetry.storage.tables import run_rollups

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import ColumnElement, Select

    from telemetry.storage.queries.ranges import StatsFilters, Stretch
    from telemetry.storage.queries.statements import Claim

_FORMS_REMEMBERED = 64
_decode = msgspec.json.Decoder(dict[int, int]).decode
_COLUMNS = run_rollups.c


@attrs.frozen
class Sums:
    """
    Counts by status, and the sums of a run's counts by name.
    """

    statuses: Mapping[str, int]
    totals: Mapping[str, int]

    @property
    def run_count(self) -> int:
        """
        Return how many runs there are.
        """
        return sum(self.statuses.values())


def groups(connection: sqlite3.Connection, filters: StatsFilters) -> dict[tuple[str, str], Sums]:
    """
    Return the sums of each agent and job type, in order.
    """
    found: dict[tuple[str, str], list[int]] = {}
    for agent, job, *numbers in _rows(connection, "groups", filters, filters.stretches()):
        so_far = found.get((agent, job))
        whole = [int(number) for number in numbers]
        found[agent, job] = (
            whole if so_far is None else [one + more for one, more in zip(so_far, whole)]
        )
    return {key: _sums(found[key]) for key in sorted(found)}


def together(sums: Sequence[Sums]) -> Sums:
    """
    Return several sums as one.
    """
    return Sums(
        {status: sum(one.statuses[status] for one in sums) for status in STATUS_COUNTS},
        {name: sum(one.totals[name] for one in sums) for name in SUMMED},
    )


def days(connection: sqlite3.Connection, filters: StatsFilters) -> Iterator[tuple[str, str, int]]:
    """
    Yield each day with each agent that began runs on it, and how many, in order.
    """
    for day, agent, count in _rows(connection, "days", filters, (filters.days(),)):
        yield day, agent, int(count)


def durations(connection: sqlite3.Connection, filters: StatsFilters) -> dict[int, int]:
    """
    Return how many runs have their duration in each bucket, shortest first.
    """
    found: dict[int, int] = {}
    for (text,) in _rows(connection, "durations", filters, filters.stretches()):
        for bucket, count in _decode(text).items():
            found[bucket] = found.get(bucket, 0) + count
    return dict(sorted(found.items()))


def run_count() -> ColumnElement[Any]:
    """
    Return the expression for the runs of a roll-up.
    """
    first, *others = (_COLUMNS[name] for name in STATUS_COUNTS.values())
    total: ColumnElement[Any] = first
    for other in others:
        total += other
    return total


def _rows(
    connection: sqlite3.Connection, what: str, filters: StatsFilters, stretches: Sequence[Stretch]
) -> Iterator[tuple[Any, ...]]:
    sql = _sql(what, claims_of(filters.conditions))
    values = bound(filters.conditions)
    for stretch in stretches:
        yield from connection.execute(sql, {**values, **stretch._asdict()})


@lru_cache(maxsize=_FORMS_REMEMBERED)
def _sql(what: str, claims: tuple[Claim, ...]) -> str:
    where = [
        _COLUMNS.span == bindparam("span"),
        _COLUMNS.period >= bindparam("first"),
        _COLUMNS.period <= bindparam("last"),
        *(claim_on(run_rollups, number, claim) for number, claim in enumerate(claims)),
    ]
    return sql_of(_SELECTS[what].where(*where))


def _sums(numbers: Sequence[int]) -> Sums:
    found = dict(zip(ROLLUP_NUMBERS, numbers))
    return Sums(
        {status: found[name] for status, name in STATUS_COUNTS.items()},
        {name: found[f"{name}_low"] + (found[f"{name}_high"] << LOW_BITS) for name in SUMMED},
    )


_SELECTS: Mapping[str, Select[Any]] = {
    "groups": select(
        _COLUMNS.agent_name,
        _COLUMNS.job_type,
        *(func.sum(_COLUMNS[name]) for name in ROLLUP_NUMBERS),
    ).group_by(_COLUMNS.agent_name, _COLUMNS.job_type),
    "days": select(_COLUMNS.period, _COLUMNS.agent_name, func.sum(run_count()))
    .group_by(_COLUMNS.period, _COLUMNS.agent_name)
    .order_by(_COLUMNS.period, _COLUMNS.agent_name),
    "durations": select(_COLUMNS.durations_json),
}
