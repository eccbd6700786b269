"""
Where what was found waits until all of it is found: a table in a temporary file.

A run is spoken of in several places of a source, and an event may stand before its run. However
large the source is, memory is not.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, Optional

import msgspec

from telemetry.exchange.candidates import Candidate
from telemetry.exchange.found import FoundEvent

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE pieces (run_id TEXT, event_id TEXT, time TEXT, rank INTEGER, place TEXT, fields BLOB);
CREATE TABLE events (id TEXT PRIMARY KEY, run_id TEXT, event_type TEXT, timestamp TEXT,
    place TEXT, payload BLOB);
CREATE TABLE runs (event_id TEXT PRIMARY KEY, was_known INTEGER, is_changed INTEGER) WITHOUT ROWID;
CREATE TABLE skipped (event_id TEXT PRIMARY KEY, reason TEXT) WITHOUT ROWID;
"""
_ROWS_AT_ONCE = 1000
_encode = msgspec.json.Encoder(enc_hook=repr).encode
_decode = msgspec.json.Decoder().decode


class Staging:
    """
    Holds candidates and events of one import, and which runs it touched.
    """

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="telemetry-import-")
        path = Path(self._directory.name) / "staging.sqlite"
        path.parent.chmod(0o700)  # what a umask left of it
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.executescript(_SCHEMA)
        self._connection.execute("BEGIN")
        self._is_indexed = False

    def close(self) -> None:
        """
        Remove all that was kept.
        """
        self._connection.close()
        self._directory.cleanup()

    def add_piece(self, piece: Candidate) -> None:
        """
        Keep what was said of a run.
        """
        self._connection.execute(
            "INSERT INTO pieces VALUES (?, ?, ?, ?, ?, ?)",
            (
                piece.run_id,
                piece.event_id,
                piece.time,
                piece.rank,
                piece.place,
                _encode(piece.fields),
            ),
        )

    def add_event(self, record_id: str, found: FoundEvent) -> None:
        """
        Keep an event; one that is there already is the same.
        """
        self._connection.execute(
            "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?)",
            (
                record_id,
                found.run_id,
                found.event_type,
                found.timestamp,
                found.place,
                _encode(found.payload),
            ),
        )

    def skip(self, event_id: str, reason: str) -> None:
        """
        Remember that a run is not to be brought in.
        """
        self._connection.execute("INSERT OR IGNORE INTO skipped VALUES (?, ?)", (event_id, reason))

    def is_skipped(self, event_id: str) -> bool:
        """
        Return whether a run is not to be brought in.
        """
        sql = "SELECT 1 FROM skipped WHERE event_id = ?"
        return self._connection.execute(sql, (event_id,)).fetchone() is not None

    def skipped(self) -> Counter[str]:
        """
        Return how many runs are not brought in, by reason.
        """
        sql = "SELECT reason, count(*) FROM skipped GROUP BY 1"
        return Counter(dict(self._connection.execute(sql)))

    def touch(self, event_id: str, *, was_known: bool, is_changed: bool) -> None:
        """
        Remember what an import did to a run; that it was known before is only asked the first time.
        """
        self._connection.execute(
            "INSERT INTO runs VALUES (?, ?, ?) ON CONFLICT (event_id) DO UPDATE"
            " SET is_changed = max(is_changed, excluded.is_changed)",
            (event_id, was_known, is_changed),
        )

    def touched(self, event_id: str) -> Optional[bool]:
        """
        Return whether a run was known before this import; None for one that it has not met.
        """
        sql = "SELECT was_known FROM runs WHERE event_id = ?"
        found = self._connection.execute(sql, (event_id,)).fetchone()
        return None if found is None else bool(found[0])

    def counts(self) -> Counter[str]:
        """
        Return how many runs are ``new``, ``updated`` and ``known``.
        """
        sql = "SELECT was_known, is_changed, count(*) FROM runs GROUP BY 1, 2"
        found: Counter[str] = Counter()
        for was_known, is_changed, count in self._connection.execute(sql):
            found["new" if not was_known else "updated" if is_changed else "known"] += count
        return found

    def event_id_of(self, run_id: str) -> str:
        """
        Return the key that the source has for a run id; empty for none.
        """
        self._index()
        sql = "SELECT event_id FROM pieces WHERE run_id = ? AND event_id <> '' LIMIT 1"
        found = self._connection.execute(sql, (run_id,)).fetchone()
        return found[0] if found else ""

    def groups(self) -> Iterator[list[Candidate]]:
        """
        Yield all that was said of each run; what names no key goes with its run id.
        """
        self._index()
        rows = self._read(
            "SELECT run_id, event_id, time, rank, place, fields FROM ("
            " SELECT *, CASE WHEN event_id <> '' THEN event_id ELSE coalesce((SELECT o.event_id"
            " FROM pieces o WHERE o.run_id = pieces.run_id AND o.event_id <> '' LIMIT 1),"
            " run_id) END AS key FROM pieces) ORDER BY key, time, rank"
        )
        pieces = (self._piece(row) for row in rows)
        for _, group in groupby(pieces, key=lambda piece: piece.event_id or piece.run_id):
            yield list(group)

    def events(self) -> Iterator[tuple[str, FoundEvent]]:
        """
        Yield the events with their ids, in the order of the source.
        """
        sql = "SELECT id, run_id, event_type, timestamp, payload, place FROM events ORDER BY rowid"
        for id_, run_id, event_type, timestamp, payload, place in self._read(sql):
            yield id_, FoundEvent(run_id, event_type, timestamp, _decode(payload), place)

    def _piece(self, row: tuple[Any, ...]) -> Candidate:
        run_id, event_id, time, rank, place, fields = row
        return Candidate(
            run_id=run_id,
            event_id=event_id or self.event_id_of(run_id),
            time=time,
            rank=rank,
            fields=_decode(fields),
            place=place,
        )

    def _index(self) -> None:
        if not self._is_indexed:
            self._connection.execute("CREATE INDEX by_run_id ON pieces (run_id, event_id)")
            self._is_indexed = True

    def _read(self, sql: str) -> Iterator[tuple[Any, ...]]:
        cursor = self._connection.execute(sql)
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            yield from rows
