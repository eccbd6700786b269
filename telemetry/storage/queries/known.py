"""
Whether runs are known, asked before each write: by key alone, and nothing but the status is read.

How a run that was handed over again came to its end is asked of those alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from telemetry.model.fold import end_is_concluded

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

#: Few statements of fixed sizes, so that each is prepared once. Each binds its ids twice, as marks
#: with a number count as names and take no sequence, and old releases of SQLite bind 999 values.
_SIZES = (1, 8, 64, 128, 256, 480)
_AT_ONCE = _SIZES[-1]
_MARKS = {size: ", ".join("?" * size) for size in _SIZES}
#: One statement: each begins with system calls that cost more than the look-up of a few keys.
_KNOWN_SQL = {
    size: f"SELECT event_id, status, 0 FROM agent_runs WHERE event_id IN ({marks})"
    f" UNION ALL SELECT event_id, '', 1 FROM run_folds WHERE deleted = 1 AND event_id IN ({marks})"
    for size, marks in _MARKS.items()
}
_STATES_SQL = {
    size: f"SELECT event_id, state FROM run_folds WHERE event_id IN ({marks})"
    for size, marks in _MARKS.items()
}
_HIGHEST_SQL = (
    "SELECT (SELECT max(event_id) FROM agent_runs), (SELECT max(event_id) FROM run_folds)"
)


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
    found: dict[str, Known] = {}
    for size, some in _portions([one for one in event_ids if is_text(one)]):
        for event_id, status, deleted in connection.execute(_KNOWN_SQL[size], some + some):
            found[event_id] = Known(status, bool(deleted))
    return found


def concluded(connection: sqlite3.Connection, event_ids: Sequence[str]) -> set[str]:
    """
    Return those of the known runs whose end others concluded, so that their own word still counts.
    """
    return {
        event_id
        for size, some in _portions(list(event_ids))
        for event_id, state in connection.execute(_STATES_SQL[size], some)
        if end_is_concluded(state)
    }


def highest(connection: sqlite3.Connection) -> str:
    """
    Return the highest key of all runs, the deleted ones too; an empty text where there is none.
    """
    return max(found or "" for found in connection.execute(_HIGHEST_SQL).fetchone())


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
