"""
The order of a list, and where in it a page begins.

A list is sorted by one column and, among equals, by its key, so that the order is total and a page
is always the same. Null is the lowest value. SQLite and PostgreSQL differ there unless told, and
no index finds a range that begins in values and ends in nulls: a page that may hold both is read in
two legs, each of which an index serves.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING

import attrs

from telemetry.model.hints import did_you_mean
from telemetry.model.run import COLUMNS, Kind
from telemetry.storage.queries.errors import FilterError
from telemetry.storage.tables import is_nullable

if TYPE_CHECKING:
    from telemetry.model.run import Column
    from telemetry.storage.queries.positions import Position

#: Longer texts are to be read, not sorted by.
_MAX_SORTED_LENGTH = 255
NEWEST_FIRST = "-created_at"


class Leg(str, Enum):
    """
    A stretch of the list, in its order.
    """

    ALL = "all of it"
    BEYOND = "values beyond the position, with a key"
    NULLS_BEYOND = "nulls beyond the position's key"
    NULLS = "nulls"
    VALUES = "values that are no nulls"


@attrs.frozen(kw_only=True)
class Order:
    """
    The column that a list is sorted by, and the key that breaks ties.
    """

    column: str
    key: str
    descending: bool
    has_nulls: bool = False

    @property
    def sort(self) -> str:
        """
        Return how a request asks for it: the column, after a minus where the highest comes first.
        """
        return f"-{self.column}" if self.descending else self.column

    def reversed(self) -> Order:
        """
        Return the same list from its other end.
        """
        return attrs.evolve(self, descending=not self.descending)

    def legs(self, position: Position | None) -> tuple[Leg, ...]:
        """
        Return what lies beyond a position, in the order's own direction.
        """
        if position is None:
            return (Leg.ALL,)
        if position.value is not None:
            return (Leg.BEYOND, Leg.NULLS) if self.has_nulls and self.descending else (Leg.BEYOND,)
        return (Leg.NULLS_BEYOND,) if self.descending else (Leg.NULLS_BEYOND, Leg.VALUES)


def _is_sortable(column: Column) -> bool:
    is_short = column.max_length is None or column.max_length <= _MAX_SORTED_LENGTH
    return column.kind is not Kind.JSON and is_short


#: What a list of runs may be sorted by.
SORTABLE: Mapping[str, Column] = {
    name: column for name, column in COLUMNS.items() if _is_sortable(column)
}


def order_of_runs(sort: str) -> Order:
    """
    Return the order that a request asks for.

    Args:
        sort: A column's name, after a minus where the highest is to come first.

    Raises:
        FilterError: There is no such column, or nobody should sort by it.
    """
    name = sort.removeprefix("-")
    if name not in SORTABLE:
        raise FilterError(
            "sort",
            "must be a column that can be sorted by, after a minus for the highest first",
            sort,
            did_you_mean(name, SORTABLE, f"such as {NEWEST_FIRST}"),
        )
    return Order(
        column=name,
        key="event_id",
        descending=sort.startswith("-"),
        has_nulls=is_nullable(SORTABLE[name]),
    )
