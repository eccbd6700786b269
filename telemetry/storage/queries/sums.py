"""
What the roll-ups add up to, read from the database.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import bindparam, func, literal_column, select

from telemetry.storage.ddl import STATUS_COUNTS
from telemetry.storage.queries.statements import bound, claim_on, claims_of, sql_of
from telemetry.storage.rollups import LOW_BITS, read_durations
from telemetry.storage.tables import run_rollups

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from sqlalchemy import ColumnElement, Select

    from telemetry.storage.queries.ranges import StatsFilters, Stretch
    from telemetry.storage.queries.statements import Claim

_FORMS_REMEMBERED = 64
_COLUMNS = run_rollups.c
#: The names under which runs are counted.
STATUSES = tuple(STATUS_COUNTS)


def run_count() -> ColumnElement[Any]:
    """
    Return the expression for the runs of a roll-up.
    """
    first, *others = (_COLUMNS[name] for name in STATUS_COUNTS.values())
    total: ColumnElement[Any] = first
    for other in others:
        total += other
    return total


#: Runs that were taken away again may have left rows that add up to nothing.
_HAS_RUNS = func.sum(run_count()) > literal_column("0")


class _Form(NamedTuple):
    """
    All that decides a statement but its conditions.
    """

    what: str
    by: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def select(self) -> Select[Any]:
        """
        Return the statement without its conditions.
        """
        if self.what == "durations":
            return select(_COLUMNS.durations_json)
        if self.what == "days":
            key = (_COLUMNS.period, _COLUMNS.agent_name)
            days = select(*key, func.sum(run_count())).group_by(*key).order_by(*key)
            return days.having(_HAS_RUNS)
        keys: list[Any] = [_COLUMNS[name] for name in self.by]
        sums = [func.sum(_COLUMNS[part]) for name in self.names for part in _parts(name)]
        return select(*keys, *sums).group_by(*keys).having(_HAS_RUNS)


def added_up(
    connection: sqlite3.Connection,
    filters: StatsFilters,
    *,
    by: tuple[str, ...] = (),
    names: tuple[str, ...] = STATUSES,
) -> dict[tuple[str, ...], dict[str, int]]:
    """
    Return sums over the runs, in order.

    Args:
        by: Columns that the runs are grouped by.
        names: What is added up: the count of runs under a status's word, a run's counts by name.
    """
    found: dict[tuple[str, ...], list[int]] = {}
    for row in _rows(connection, _Form("sums", by, names), filters, filters.stretches()):
        key, numbers = tuple(row[: len(by)]), [int(number) for number in row[len(by) :]]
        so_far = found.get(key)
        found[key] = numbers if so_far is None else [a + b for a, b in zip(so_far, numbers)]
    return {key: _whole(names, found[key]) for key in sorted(found)}


def days(connection: sqlite3.Connection, filters: StatsFilters) -> Iterator[tuple[str, str, int]]:
    """
    Yield each day with each agent that began runs on it, and how many, in order.
    """
    for day, agent, count in _rows(connection, _Form("days"), filters, (filters.days(),)):
        yield day, agent, int(count)


def durations(connection: sqlite3.Connection, filters: StatsFilters) -> dict[int, int]:
    """
    Return how many runs have their duration in each bucket, shortest first.
    """
    found: dict[int, int] = {}
    for (text,) in _rows(connection, _Form("durations"), filters, filters.stretches()):
        for bucket, count in read_durations(text).items():
            found[bucket] = found.get(bucket, 0) + count
    return {bucket: count for bucket, count in sorted(found.items()) if count}


def _rows(
    connection: sqlite3.Connection, form: _Form, filters: StatsFilters, stretches: Sequence[Stretch]
) -> Iterator[tuple[Any, ...]]:
    sql = _sql(form, claims_of(filters.conditions))
    values = bound(filters.conditions)
    for stretch in stretches:
        yield from connection.execute(sql, {**values, **stretch._asdict()})


@lru_cache(maxsize=_FORMS_REMEMBERED)
def _sql(form: _Form, claims: tuple[Claim, ...]) -> str:
    where = [
        _COLUMNS.span == bindparam("span"),
        _COLUMNS.period >= bindparam("first"),
        _COLUMNS.period <= bindparam("last"),
        *(claim_on(run_rollups, number, claim) for number, claim in enumerate(claims)),
    ]
    return sql_of(form.select().where(*where))


def _parts(name: str) -> tuple[str, ...]:
    """
    Return the columns whose sums together are one number.
    """
    return (STATUS_COUNTS[name],) if name in STATUS_COUNTS else (f"{name}_low", f"{name}_high")


def _whole(names: Sequence[str], numbers: Sequence[int]) -> dict[str, int]:
    rest = iter(numbers)
    return {
        name: next(rest) if name in STATUS_COUNTS else next(rest) + (next(rest) << LOW_BITS)
        for name in names
    }
