"""
Read-only connections to the database, one for each thread that asks.

A database that does not exist yet is no error; one that was replaced, by a recovery or because it
was damaged, is opened anew. Each use has a time limit, which SQLite itself looks after: what runs
longer is given up.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Optional

from telemetry.storage.handles import Handle
from telemetry.storage.queries.errors import SlowQueryError
from telemetry.storage.sqlite import connect_read_only, translate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEFAULT_TIME_LIMIT_S = 10.0
#: Steps of SQLite's machine between two looks at the clock, less than a millisecond.
_STEPS_BETWEEN_LOOKS = 10_000


class Connections:
    """
    Hands each thread its own connection.

    Args:
        time_limit_s: How long one use may take, in seconds.
    """

    def __init__(self, db_path: Path, *, time_limit_s: float = DEFAULT_TIME_LIMIT_S) -> None:
        self._path = db_path
        self._time_limit_s = time_limit_s
        self._places: dict[int, _Place] = {}

    @contextlib.contextmanager
    def reading(self) -> Iterator[Optional[sqlite3.Connection]]:
        """
        Lend this thread's connection; None where there is no database yet.

        Raises:
            SlowQueryError: The time limit has passed.
            TransientSinkError: The database cannot be read now.
            MalformedDatabaseError: It is damaged.
        """
        place = self._place()
        with place.handle.held():
            try:
                connection = self._open(place)
                place.deadline = time.monotonic() + self._time_limit_s
                yield connection
            except (sqlite3.Error, OSError) as error:
                meaning = self._meaning(place, error)
                if meaning is error:
                    raise
                raise meaning from error

    def close(self) -> None:
        """
        Close the connections of all threads; a later use opens another.
        """
        for place in list(self._places.values()):
            with place.handle.held():
                place.handle.drop()

    def _meaning(self, place: _Place, error: BaseException) -> BaseException:
        if "interrupted" in str(error):
            return SlowQueryError(
                f"a query must take at most {self._time_limit_s:g} s (it was given up); ask for"
                " less, or by a column that has an index"
            )
        place.handle.drop()
        return translate(error, self._path)

    def _place(self) -> _Place:
        # A thread that ends leaves its place to the next one of the same number.
        ident = threading.get_ident()
        place = self._places.get(ident)
        if place is None:
            place = self._places[ident] = _Place(self._path)
        return place

    def _open(self, place: _Place) -> Optional[sqlite3.Connection]:
        if place.handle.was_replaced():
            place.handle.drop()
        if place.handle.file is None and not self._path.exists():
            return None
        return place.handle.get()


class _Place:
    """
    One thread's connection, and until when it may be busy.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.deadline = 0.0
        self.handle = Handle(path, self._connect)

    def _connect(self) -> sqlite3.Connection:
        connection = connect_read_only(self._path)
        connection.set_progress_handler(self._is_late, _STEPS_BETWEEN_LOOKS)
        return connection

    def _is_late(self) -> int:
        return time.monotonic() > self.deadline
