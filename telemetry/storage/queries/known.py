"""
Whether runs are known, asked before each write: by key alone, and nothing but the status is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

#: Few statements of fixed sizes, so that each is prepared once.
_SIZES = (1, 8, 64, 512)
_AT_ONCE = _SIZES[-1]
_MARKS = {size: ", ".join("?" * size) for size in _SIZES}
_STATUSES_SQL = {
    size: f"SELECT event_id, status FROM agent_runs WHERE event_id IN ({marks})"
    for size, marks in _MARKS.items()
}
_DELETED_SQL = {
    size: f"SELECT event_id FROM run_folds WHERE deleted = 1 AND event_id IN ({marks})"
    for size, marks in _MARKS.items()
}


class Known(NamedTuple):
    """
    What is known of a run that was recorded before.
    """

    #: Empty for a run that was deleted.
    status: str
    deleted: bool


def known(connection: sqlite3.Connection, event_ids: Sequence[str]) -> dict[str, Known]:
    """
    Return those of the runs that are known, the deleted ones too.
    """
    asked = [event_id for event_id in event_ids if is_text(event_id)]
    found: dict[str, Known] = {}
    for size, some in _portions(asked):
        for event_id, status in connection.execute(_STATUSES_SQL[size], some):
            found[event_id] = Known(status, deleted=False)
    for size, some in _portions([one for one in asked if one not in found]):
        for (event_id,) in connection.execute(_DELETED_SQL[size], some):
            found[event_id] = Known("", deleted=True)
    return found


def _portions(event_ids: list[str]) -> Iterator[tuple[int, list[str]]]:
    for first in range(0, len(event_ids), _AT_ONCE):
        some = event_ids[first : first + _AT_ONCE]
        size = next(size for size in _SIZES if size >= len(some))
        yield size, [*some, *some[-1:] * (size - len(some))]


def is_text(event_id: str) -> bool:
    """
    Return whether UTF-8 has it: SQLite cannot be asked for anything else, nor hold it.
    """
    if event_id.isascii():
        return True
    try:
        event_id.encode()
    except UnicodeEncodeError:
        return False
    return True
