"""
What a base directory already has, so that nothing is brought in twice.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from telemetry.model.records import Record, as_number
from telemetry.storage.chunks import chunks_of
from telemetry.storage.rows import load_fold
from telemetry.storage.sqlite import connect_read_only

if TYPE_CHECKING:
    from pathlib import Path

    from telemetry.sinks import Journal

#: What a record changes of a row by being a record.
_ALWAYS = frozenset({"created_at", "updated_at", "schema_version"})


class KnownIds:
    """
    The ids of the journal's records: of each writer the ranges of its numbers.
    """

    def __init__(self) -> None:
        self._ranges: dict[str, tuple[list[int], list[int]]] = {}

    @classmethod
    def of(cls, journal: Journal) -> KnownIds:
        """
        Return the ids of all records of a journal.
        """
        known = cls()
        for segment in journal.segments():
            for chunk in chunks_of(journal, segment):
                for record in chunk.records:
                    known.add(record.id)
        return known

    def __contains__(self, record_id: str) -> bool:
        writer, _, number = record_id.partition("-")
        firsts, lasts = self._ranges.get(writer, ((), ()))
        at = bisect_right(firsts, as_number(number)) - 1
        return at >= 0 and as_number(number) <= lasts[at]

    def add(self, record_id: str) -> None:
        """
        Add an id.
        """
        writer, _, digits = record_id.partition("-")
        number = as_number(digits)
        firsts, lasts = self._ranges.setdefault(writer, ([], []))
        at = bisect_right(firsts, number) - 1
        if at >= 0 and number <= lasts[at] + 1:
            lasts[at] = max(lasts[at], number)
        else:
            at += 1
            firsts.insert(at, number)
            lasts.insert(at, number)
        if at + 1 < len(firsts) and firsts[at + 1] <= lasts[at] + 1:
            lasts[at] = max(lasts[at], lasts[at + 1])
            del firsts[at + 1], lasts[at + 1]


class Rows:
    """
    The database as it stands, asked about runs and events.

    A database that does not exist knows nothing.
    """

    def __init__(self, db_path: Path) -> None:
        self._connection = connect_read_only(db_path) if db_path.exists() else None

    def close(self) -> None:
        """
        Close the connection.
        """
        if self._connection is not None:
            self._connection.close()

    def has_run(self, event_id: str) -> bool:
        """
        Return whether anything is known of a run.
        """
        return self._has("SELECT 1 FROM run_folds WHERE event_id = ?", event_id)

    def is_deleted(self, event_id: str) -> bool:
        """
        Return whether a run was deleted here.
        """
        return self._has(
            "SELECT 1 FROM run_folds WHERE event_id = ? AND deleted = 1 LIMIT 1", event_id
        )

    def has_record(self, record: Record) -> bool:
        """
        Return whether a record is among the rows; of an agent's updates none is.
        """
        table = "run_events" if record.record_type == "event" else "run_records"
        return self._has(
            f"SELECT 1 FROM {table} WHERE event_id IN (?, '') AND id = ?",  # noqa: S608 (ours)
            record.event_id,
            record.id,
        )

    def event_id_of(self, run_id: str) -> str:
        """
        Return the key of the newest run of that run id; empty for none.
        """
        if self._connection is None:
            return ""
        sql = "SELECT event_id FROM agent_runs WHERE run_id = ? ORDER BY start_time DESC LIMIT 1"
        found = self._connection.execute(sql, (run_id,)).fetchone()
        return str(found[0]) if found else ""

    def said(self, event_id: str, names: Sequence[str]) -> dict[str, Any]:
        """
        Return what a run's row says under some names, without what is null.
        """
        if self._connection is None:
            return {}
        sql = f"SELECT {', '.join(names)} FROM agent_runs WHERE event_id = ?"  # noqa: S608 (ours)
        found = self._connection.execute(sql, (event_id,)).fetchone() or ()
        return {name: value for name, value in zip(names, found) if value is not None}

    def would_change(self, record: Record) -> bool:
        """
        Return whether a record says anything of a known run that its row does not.
        """
        if self._connection is None:
            return True
        fold = load_fold(self._connection, record.event_id)
        before = fold.row()
        fold.apply(record)
        after = fold.row()
        return any(before[name] != after[name] for name in after if name not in _ALWAYS)

    def _has(self, sql: str, *values: str) -> bool:
        if self._connection is None:
            return False
        try:
            return self._connection.execute(sql, values).fetchone() is not None
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):  # it is being made
                return False
            raise
