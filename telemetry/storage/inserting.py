"""
Rows into a table, many by one statement.

To run a statement costs as much as the writing of a small row; and at each the thread gives up the
interpreter's lock, and waits for it again while the program is busy.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

#: What SQLite takes by default before 3.32.
MAX_PARAMETERS = 999
#: More at once is no faster.
MAX_ROWS = 32


def insert(
    connection: sqlite3.Connection, head: str, rows: Iterable[Sequence[Any]], tail: str = ""
) -> None:
    """
    Insert rows that have a value for each column that the statement names.

    Rows are taken as they are needed: what is made for a few at a time stays in the cache.

    Args:
        head: The statement up to ``VALUES``.
        tail: What it says after the rows.
    """
    waiting = iter(rows)
    first = next(waiting, None)
    if first is None:
        return
    width = len(first)
    at_once = rows_at_once(width)
    some = [first, *islice(waiting, at_once - 1)]
    while len(some) == at_once:
        connection.execute(_statement(head, width, at_once, tail), [*chain.from_iterable(some)])
        some = [*islice(waiting, at_once)]
    connection.executemany(_statement(head, width, 1, tail), some)


def rows_at_once(width: int) -> int:
    """
    Return how many rows of so many columns one statement inserts.
    """
    return min(MAX_ROWS, MAX_PARAMETERS // width)


@lru_cache(maxsize=256)
def _statement(head: str, width: int, count: int, tail: str) -> str:
    row = f"({', '.join('?' * width)})"
    return f"{head} VALUES {', '.join([row] * count)}{tail}"
