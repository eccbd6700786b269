"""
What a batch makes of the runs' rows, gathered run by run and then written table by table.
"""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING

from telemetry.model.records import Change
from telemetry.model.whole import PLACES, Whole
from telemetry.storage.ddl import RUN_COLUMNS
from telemetry.storage.inserting import insert, rows_at_once
from telemetry.storage.rollups import SOURCES, Tally

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from telemetry.model.fold import Fold
    from telemetry.model.values import SqlValue

_FOLDS = "INSERT INTO run_folds (event_id, state, deleted)"
_FOLDS_TAIL = (
    " ON CONFLICT (event_id) DO UPDATE SET state = excluded.state, deleted = excluded.deleted"
)
_PURGE_SQL = (
    "DELETE FROM agent_runs WHERE event_id = ?",
    "DELETE FROM run_events WHERE event_id = ?",
    "DELETE FROM commits WHERE event_id = ?",
    f"DELETE FROM run_records WHERE event_id = ? AND change <> '{Change.DELETED.value}'",
)
#: New rows that are written together; a statement for rows with nulls could take a few more.
MAX_ROWS = rows_at_once(len(RUN_COLUMNS))
_sources_of = itemgetter(*(PLACES[name] for name in SOURCES))


class Changes:
    """
    What the rows of a batch's runs become.

    New rows are written as soon as there are enough for a statement, all else by `write`.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.tally = Tally()
        self._connection = connection
        self._inserts: dict[tuple[int, ...], list[Sequence[SqlValue]]] = {}
        self._updates: dict[tuple[str, ...], list[tuple[SqlValue, ...]]] = {}
        self._states: list[tuple[str, bytes, bool]] = []
        self._purged: list[str] = []

    def add(self, event_id: str, run: Whole) -> None:
        """
        Take in a run that has no row yet.
        """
        values, nulls = run.values, run.nulls
        self.tally.add(_sources_of(values))
        self._states.append((event_id, run.state, False))
        if nulls:
            values = [value for value in values if value is not None]
        rows = self._inserts.setdefault(nulls, [])
        rows.append(values)
        if len(rows) == MAX_ROWS:
            insert(self._connection, _insert_head(nulls), rows)
            rows.clear()

    def move(self, event_id: str, fold: Fold, before: Mapping[str, SqlValue]) -> None:
        """
        Take in a run as it is now; what its row was before is empty where it had none.
        """
        row = {} if fold.deleted else fold.row()
        if row and not before:
            values = list(row.values())
            nulls = (*[place for place, value in enumerate(values) if value is None],)
            self.add(event_id, Whole(values, nulls, fold.dump()))
            return
        self.tally.move(before, row)
        self._states.append((event_id, fold.dump(), fold.deleted))
        if fold.deleted:
            self._purged.append(event_id)
        else:
            new = {name: value for name, value in row.items() if value != before[name]}
            self._updates.setdefault(tuple(new), []).append((*new.values(), event_id))

    def write(self) -> None:
        """
        Write what is not written yet: rows, states and roll-ups.
        """
        connection = self._connection
        for nulls, rows in self._inserts.items():
            insert(connection, _insert_head(nulls), rows)
        for names, values in self._updates.items():
            if names:
                connection.executemany(_update_sql(names), values)
        insert(connection, _FOLDS, self._states, _FOLDS_TAIL)
        purge(connection, self._purged)
        self.tally.write(connection)


def purge(connection: sqlite3.Connection, event_ids: Sequence[str]) -> None:
    """
    Delete whatever tells of runs, but that they were deleted.
    """
    if event_ids:
        for statement in _PURGE_SQL:
            connection.executemany(statement, [(event_id,) for event_id in event_ids])


@lru_cache(maxsize=256)
def _insert_head(nulls: tuple[int, ...]) -> str:
    """
    Return the statement for a row with null at these places, which it leaves out.

    A run fills half of its columns, and binding the nulls costs more than the rest of an insert.
    """
    names = [name for place, name in enumerate(RUN_COLUMNS) if place not in nulls]
    return f"INSERT INTO agent_runs ({', '.join(names)})"


@lru_cache(maxsize=256)
def _update_sql(names: tuple[str, ...]) -> str:
    """
    Return the statement that sets these columns of a row; the indexes of all others are left alone.
    """
    return f"UPDATE agent_runs SET {', '.join(f'{name} = ?' for name in names)} WHERE event_id = ?"
