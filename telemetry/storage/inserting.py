"""
Rows into a table, many by one statement.

To run a statement costs as much as the writing of a small row; and at each the thread gives up the
interpreter's lock, and waits for it again while the program is busy.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

#: What SQLite takes by default before 3.32.
MAX_PARAMETERS = 999
#: More at once is no faster.
MAX_ROWS = 32


def insert(
    connection: sqlite3.Connection, head: str, rows: Sequence[Sequence[Any]], tail: str = ""
) -> None:
    """
    Insert rows that have a value for each column that the statement names.

    Args:
        head: The statement up to ``VALUES``.
        tail: What it says after the rows.
    """
    if not rows:
        return
    width = len(rows[0])
    at_once = min(MAX_ROWS, MAX_PARAMETERS // width)
    end = len(rows) - len(rows) % at_once
    if end:
        many = [[*chain.from_iterable(rows[at : at + at_once])] for at in range(0, end, at_once)]
        connection.executemany(_statement(head, width, at_once, tail), many)
    if end < len(rows):
        connection.executemany(_statement(head, width, 1, tail), rows[end:])


@lru_cache(maxsize=256)
def _statement(head: str, width: int, count: int, tail: str) -> str:
    row = f"({', '.join('?' * width)})"
    return f"{head} VALUES {', '.join([row] * count)}{tail}"
