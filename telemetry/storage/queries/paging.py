"""
Pages of a list: read from a position on, in either direction, with the positions of the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

import attrs

from telemetry.model.run import MAX_INTEGER
from telemetry.storage.queries.errors import FilterError
from telemetry.storage.queries.filters import Operator
from telemetry.storage.queries.orders import Leg
from telemetry.storage.queries.positions import Position, read_position
from telemetry.storage.queries.statements import Form, bound, claims_of, list_sql

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from telemetry.model.values import SqlValue
    from telemetry.storage.queries.filters import Condition
    from telemetry.storage.queries.orders import Order

#: Bounds that a position beyond them already implies, by whether the highest comes first.
_IMPLIED = {
    True: (Operator.BELOW, Operator.TO),
    False: (Operator.ABOVE, Operator.FROM),
}


@attrs.frozen
class Page:
    """
    Some rows of a list, and the cursors of the pages beside it; None where there is none.
    """

    rows: list[dict[str, Any]]
    next: Optional[str] = None
    previous: Optional[str] = None


@attrs.frozen(kw_only=True)
class Listing:
    """
    A list of which pages can be had.
    """

    #: What its cursors say that they are of.
    name: str
    table: str
    columns: Sequence[str]
    conditions: Sequence[Condition]
    order: Order
    #: The run whose events are also found by its name.
    stray_run_id: Optional[str] = None

    def page(
        self,
        connection: Optional[sqlite3.Connection],
        *,
        limit: int,
        offset: int = 0,
        after: Optional[str] = None,
    ) -> Page:
        """
        Return a page.

        Raises:
            FilterError: The cursor is none of this list; a number is out of its range.
        """
        _check(limit, offset, after)
        position = None
        if after:
            position = read_position(after, listing=self.name, sort=self.order.sort)
        if connection is None:
            return Page([])
        # One more than asked for tells whether there is a next page.
        found = self._read(connection, position, limit + 1, offset)
        is_backward = position is not None and position.is_backward
        has_more = len(found) > limit
        del found[limit:]
        if is_backward:
            found.reverse()
        is_first = position is None and not offset
        has_next, has_previous = (True, has_more) if is_backward else (has_more, not is_first)
        rows = [dict(zip(self.columns, values)) for values in found]
        return Page(
            rows,
            self._beside(found[-1], is_backward=False) if found and has_next else None,
            self._beside(found[0], is_backward=True) if found and has_previous else None,
        )

    def _read(
        self,
        connection: sqlite3.Connection,
        position: Optional[Position],
        count: int,
        offset: int,
    ) -> list[tuple[Any, ...]]:
        is_backward = position is not None and position.is_backward
        order = self.order.reversed() if is_backward else self.order
        values: dict[str, SqlValue] = {"offset": offset, "run_id": self.stray_run_id}
        if position is not None:
            values.update(value=position.value, key=position.key)
        found: list[tuple[Any, ...]] = []
        for leg in order.legs(position):
            values["limit"] = count - len(found)
            if values["limit"]:
                conditions = self._needed(order, position, leg)
                sql = list_sql(self._form(conditions, order, leg))
                found += connection.execute(sql, {**values, **bound(conditions)}).fetchall()
        return found

    def _form(self, conditions: Sequence[Condition], order: Order, leg: Leg) -> Form:
        return Form(
            table=self.table,
            # The order's own columns stand behind the others: a row is cut to what was asked for.
            columns=(*self.columns, order.column, order.key),
            claims=claims_of(conditions),
            order=order,
            leg=leg,
            with_strays=self.stray_run_id is not None,
        )

    def _needed(self, order: Order, position: Optional[Position], leg: Leg) -> Sequence[Condition]:
        """
        Return the conditions that the position does not imply in a leg.

        Of two bounds on one side SQLite looks up one and checks the other row by row: it must be
        left no choice, or a deep page would be read from the top.
        """
        if position is None or leg is not Leg.BEYOND:
            return self.conditions
        return [
            one
            for one in self.conditions
            if one.column != order.column
            or one.operator not in _IMPLIED[order.descending]
            or not _is_inside(position.value, one)
        ]

    def _beside(self, row: tuple[Any, ...], *, is_backward: bool) -> str:
        return Position(
            listing=self.name,
            sort=self.order.sort,
            is_backward=is_backward,
            value=row[-2],
            key=row[-1],
        ).text()


def _is_inside(value: Any, bound_on_it: Condition) -> bool:
    limit: Any = bound_on_it.values[0]
    if type(value) is not type(limit):
        return False
    below = bound_on_it.operator in (Operator.BELOW, Operator.TO)
    return bool(value <= limit if below else value >= limit)


def _check(limit: int, offset: int, after: Optional[str]) -> None:
    if not 1 <= limit < MAX_INTEGER:
        raise FilterError("limit", "must be an integer >= 1", limit, "such as 100")
    if not 0 <= offset <= MAX_INTEGER:
        raise FilterError("offset", f"must be from 0 to {MAX_INTEGER}", offset, "such as 0")
    if offset and after:
        raise FilterError("offset", "must be 0 beside a cursor", offset, "leave one of them out")
