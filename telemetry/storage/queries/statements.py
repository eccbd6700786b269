"""
The statements of the lists, built with SQLAlchemy and compiled once for each form of question.

A form says which columns are compared how, but not with what: values are always bound. Names of
columns come from the tables, never from a request.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import attrs
from sqlalchemy import and_, bindparam, literal_column, or_, select, tuple_
from sqlalchemy.dialects import sqlite

from telemetry.model.run import Status
from telemetry.storage.queries.filters import Operator
from telemetry.storage.queries.orders import Leg
from telemetry.storage.tables import METADATA, run_events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, FromClause, Select

    from telemetry.model.values import SqlValue
    from telemetry.storage.queries.filters import Condition
    from telemetry.storage.queries.orders import Order

#: Questions of different forms that are remembered; a client has a handful.
_FORMS_REMEMBERED = 512
_RUNNING, _SUCCESS = Status.RUNNING.value, Status.SUCCESS.value
#: Named marks, which no count of values can exceed by much: see `filters.MAX_VALUES`.
_DIALECT = sqlite.dialect(paramstyle="named")


class Among(str, Enum):
    """
    Statuses that are rare among all runs, and have an index of their own.
    """

    ANY = ""
    RUNNING = "status = running"
    UNSUCCESSFUL = "neither running nor success"


@attrs.frozen
class Claim:
    """
    A condition without its values.
    """

    column: str
    operator: Operator
    value_count: int
    #: Which index has these values alone.
    among: Among


@attrs.frozen(kw_only=True)
class Form:
    """
    All that decides a list's statement.
    """

    table: str
    columns: tuple[str, ...]
    claims: tuple[Claim, ...]
    order: Order
    leg: Leg
    #: Also the events whose writer knew only the run's name.
    with_strays: bool = False


def claims_of(conditions: Sequence[Condition]) -> tuple[Claim, ...]:
    """
    Return the conditions without their values.
    """
    return tuple(
        Claim(one.column, one.operator, len(one.values), _among(one)) for one in conditions
    )


def _among(condition: Condition) -> Among:
    if condition.column != "status" or condition.operator is not Operator.IS:
        return Among.ANY
    if condition.values == (_RUNNING,):
        return Among.RUNNING
    is_rare = not {_RUNNING, _SUCCESS}.intersection(condition.values)
    return Among.UNSUCCESSFUL if is_rare else Among.ANY


def bound(conditions: Sequence[Condition]) -> dict[str, SqlValue]:
    """
    Return the conditions' values under the names of their marks.
    """
    return {
        _mark(number, place): value
        for number, one in enumerate(conditions)
        for place, value in enumerate(one.values)
    }


@lru_cache(maxsize=_FORMS_REMEMBERED)
def list_sql(form: Form) -> str:
    """
    Return a list's statement in SQLite's words.

    It has the marks of `bound`, and ``value``, ``key``, ``limit`` and ``offset``.
    """
    return sql_of(list_statement(form))


def sql_of(statement: Select[Any]) -> str:
    """
    Return a statement in SQLite's words.
    """
    return str(statement.compile(dialect=_DIALECT))


def list_statement(form: Form) -> Select[Any]:
    """
    Return a list's statement, for any database.
    """
    table = METADATA.tables[form.table]
    claims = [claim_on(table, number, claim) for number, claim in enumerate(form.claims)]
    if form.with_strays:
        claims = [or_(and_(*claims), _is_stray())]
    where = [*claims, *_beyond(table, form.order, form.leg)]
    return (
        select(*(table.c[name] for name in form.columns))
        .where(*where)
        .order_by(*_order_by(table, form.order, form.leg))
        .limit(bindparam("limit"))
        .offset(bindparam("offset"))
    )


def _mark(number: int, place: int) -> str:
    return f"v{number}_{place}"


def claim_on(table: FromClause, number: int, claim: Claim) -> ColumnElement[bool]:
    """
    Return a claim as a condition on a table that has its column.

    Args:
        number: The claim's place among all, by which `bound` names its marks.
    """
    column = table.c[claim.column]
    marks = [
        bindparam(_mark(number, place), type_=column.type) for place in range(claim.value_count)
    ]
    if claim.operator is Operator.IS:
        equal = column == marks[0] if len(marks) == 1 else column.in_(marks)
        return and_(equal, *_known_of(table, claim.among))
    if claim.operator is Operator.IS_NOT:
        return column != marks[0] if len(marks) == 1 else column.not_in(marks)
    return _compared(column, claim.operator.value, marks[0])


def _known_of(table: FromClause, among: Among) -> list[ColumnElement[bool]]:
    """
    Return what follows from a claim, written out as the partial index that serves it has it.
    """
    if among is Among.RUNNING:
        return [table.c.status == literal_column(f"'{_RUNNING}'")]
    if among is Among.UNSUCCESSFUL:
        return [table.c.status != literal_column(f"'{word}'") for word in (_SUCCESS, _RUNNING)]
    return []


def _compared(one: Any, operator: str, other: Any) -> ColumnElement[bool]:
    found: ColumnElement[bool] = one.op(operator, is_comparison=True)(other)
    return found


def _is_stray() -> ColumnElement[bool]:
    return and_(
        run_events.c.event_id == literal_column("''"), run_events.c.run_id == bindparam("run_id")
    )


def _beyond(table: FromClause, order: Order, leg: Leg) -> list[ColumnElement[bool]]:
    """
    Return what makes a leg of the whole list.
    """
    column, key = table.c[order.column], table.c[order.key]
    beyond = "<" if order.descending else ">"
    key_beyond = _compared(key, beyond, bindparam("key"))
    if leg is Leg.BEYOND and column is key:
        return [key_beyond]
    if leg is Leg.BEYOND:
        place = tuple_(bindparam("value"), bindparam("key"))
        return [_compared(tuple_(column, key), beyond, place)]
    rest: dict[Leg, list[ColumnElement[bool]]] = {
        Leg.ALL: [],
        Leg.NULLS_BEYOND: [column.is_(None), key_beyond],
        Leg.NULLS: [column.is_(None)],
        Leg.VALUES: [column.is_not(None)],
    }
    return rest[leg]


def _order_by(table: FromClause, order: Order, leg: Leg) -> list[ColumnElement[Any]]:
    column, key = table.c[order.column], table.c[order.key]
    by_key = key.desc() if order.descending else key.asc()
    if column is key or leg in (Leg.NULLS, Leg.NULLS_BEYOND):
        return [by_key]
    by_column = column.desc() if order.descending else column.asc()
    if order.has_nulls and leg is Leg.ALL:
        by_column = by_column.nulls_last() if order.descending else by_column.nulls_first()
    return [by_column, by_key]
