"""
The SQLite database as a follower of the journal.

Rows and cursor are written in one transaction that compares the cursor first, so two drainers can
never both commit a range, and a crash at any point leaves both or neither. A damaged database is
moved aside and followed anew from the journal: recovery is the ordinary path from the beginning.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections import deque
from typing import TYPE_CHECKING, Callable, NoReturn, Optional

from telemetry.hookspecs import hookimpl
from telemetry.model.errors import (
    CursorMovedError,
    PermanentSinkError,
    TransientSinkError,
)
from telemetry.runtime.notices import notice
from telemetry.storage.aside import move_aside
from telemetry.storage.cursors import DATABASE_SINK, advance, read_cursors
from telemetry.storage.filesystems import file_system
from telemetry.storage.handles import Handle
from telemetry.storage.migrations import create_missing_indexes, migrate
from telemetry.storage.rows import apply_all_but
from telemetry.storage.segments import SegmentReader
from telemetry.storage.sqlite import (
    MalformedDatabaseError,
    checkpoint,
    connect,
    identity,
    immediate,
    journal_mode,
    translated,
    wal_bytes,
)
from telemetry.storage.undo import UnknownUndoError, known

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from telemetry.config import TelemetryConfig
    from telemetry.model.records import Record
    from telemetry.sinks import Cursor, Sink
    from telemetry.storage.base import Base

    Decisions = Sequence[Record]

#: A log beyond this is written back and cut when there is nothing else to do.
IDLE_CHECKPOINT_BYTES = 4 * 1024 * 1024
#: A database that keeps breaking lies on a broken disk: so many are replaced in so many seconds.
MAX_REBUILDS = 3
REBUILDS_WINDOW_S = 600.0


def _no_base(decisions: Decisions) -> None:
    """
    Begin with nothing: the journal has everything.
    """


class SqliteSink:
    """
    Follows the journal into ``agent_runs`` and the tables beside it.

    Used by one thread at a time. A forked child opens its own connection and never touches the
    parent's.

    Args:
        db_path: Made when needed, for this user only.
        mode: Journal mode, "wal" or "delete"; empty for what the file system allows.
        base: Returns the backup that a database made anew begins with, where the journal is no
            longer all there was.
    """

    name = DATABASE_SINK

    def __init__(
        self,
        db_path: Path,
        *,
        mode: str = "",
        base: Callable[[Decisions], Optional[Base]] = _no_base,
    ) -> None:
        self._path = db_path
        self._mode = mode
        self._base = base
        self._handle = Handle(db_path, self._open)
        self._handed_out: dict[str, int] = {}
        self._rebuilds: deque[float] = deque(maxlen=MAX_REBUILDS)
        self._is_rebuilding = False

    def cursors(self) -> Mapping[str, Cursor]:
        """
        Return the durable cursors by segment id.
        """
        try:
            return self._read_cursors()
        except CursorMovedError:
            return self._read_cursors()

    def write(self, batch: Sequence[Record], cursor: Cursor, /) -> None:
        """
        Commit a batch's rows together with the cursor after it.

        Records without a segment, from the emergency ring, move no cursor; they come again with the
        journal, by the same ids.

        Raises:
            TransientSinkError: The database is locked, or the disk full; nothing of it was written.
            PermanentSinkError: SQLite cannot store values of some records.
            PausedSinkError: It is a database that this release must leave alone.
            CursorMovedError: Another process committed this range; nothing of it was written.
        """
        try:
            with self._guarded():
                self._commit(self._current(), batch, cursor)
        except CursorMovedError as error:
            if cursor.segment:
                raise
            raise TransientSinkError(str(error), retry_after_s=0.0) from error
        if cursor.segment:
            self._handed_out[cursor.segment] = cursor.offset

    def idle(self) -> None:
        """
        Finish what has waited for a quiet moment: the indexes of a rebuilt database, a long log.
        """
        with self._guarded():
            if self._handle.was_replaced():
                self._handle.drop()
                return
            connection = self._handle.get()
            if self._is_rebuilding:
                create_missing_indexes(connection)
                self._is_rebuilding = False
            if wal_bytes(self._path) > IDLE_CHECKPOINT_BYTES:
                checkpoint(connection)

    def after_fork(self) -> None:
        """
        Park the parent's connection, untouched, for as long as the child lives.
        """
        self._handle.drop()

    def close(self) -> None:
        """
        Close the connection; a later write opens another.
        """
        with self._handle.held():
            self._handle.drop()

    def _read_cursors(self) -> Mapping[str, Cursor]:
        with self._guarded():
            found = read_cursors(self._current(), self.name)
        self._handed_out = {segment: cursor.offset for segment, cursor in found.items()}
        return found

    def _commit(
        self, connection: sqlite3.Connection, batch: Sequence[Record], cursor: Cursor
    ) -> None:
        with immediate(connection):
            if cursor.segment:
                advance(connection, self.name, cursor, self._handed_out)
            refused = apply_all_but(connection, batch)
            if refused:
                raise PermanentSinkError(
                    f"a record must hold values that SQLite stores (got {refused!r}); it is kept"
                    " among the dead letters",
                    record_ids=refused,
                )

    def _current(self) -> sqlite3.Connection:
        """
        Return this thread's connection to the file that the path names now.
        """
        if self._handle.was_replaced():
            self._handle.drop()
            raise CursorMovedError(
                f"the database {self._path} must stay in its place (it was replaced or deleted);"
                " read the cursors again"
            )
        return self._handle.get()

    def _open(self) -> sqlite3.Connection:
        if not self._path.exists():
            base = self._base(())
            if base is not None:
                self._begin_anew(base, (), label="corrupted")
        connection = connect(self._path, mode=self._mode)
        try:
            with translated(self._path):
                migrate(connection, with_indexes=not self._is_rebuilding)
                if journal_mode(connection) != "wal":
                    self._say_slow()
        except BaseException:
            connection.close()
            raise
        return connection

    def _say_slow(self) -> None:
        where = file_system(self._path.parent) or "unknown"
        notice(
            f"sqlite-journal:{self._path}",
            f"the database {self._path} must lie on a local disk for a write-ahead log (got a file"
            f" system of type {where}); it works with a rollback journal, and readers may wait",
        )

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """
        Raise what a sink raises, and let no broken connection stay in use.
        """
        with self._handle.held():
            try:
                with translated(self._path):
                    yield
            except UnknownUndoError as error:
                self._take_back(error)
            except MalformedDatabaseError as error:
                self._replace(error)
            except TransientSinkError:
                self._handle.drop()
                raise

    def _replace(self, error: MalformedDatabaseError) -> NoReturn:
        """
        Move the damaged database aside; the follower then begins the journal anew.
        """
        broken = self._handle.file or identity(self._path)
        self._handle.drop()
        now = time.monotonic()
        if len(self._rebuilds) == MAX_REBUILDS and now - self._rebuilds[0] < REBUILDS_WINDOW_S:
            raise TransientSinkError(
                f"the database {self._path} must stay whole (it broke {MAX_REBUILDS + 1} times in a"
                " short while); check the disk, the journal keeps the records",
                retry_after_s=REBUILDS_WINDOW_S,
            ) from error
        with translated(self._path):
            base = self._base(()) if identity(self._path) == broken else None
            if base is None:
                aside = move_aside(self._path, broken)
            else:
                aside = self._begin_anew(base, (), label="corrupted")
        if aside is not None:  # pragma: no branch (else another process was faster just now)
            self._rebuilds.append(now)
            self._is_rebuilding = True
            notice(
                f"sqlite-malformed:{self._path}",
                f"{error}; the damaged one is kept as {aside.name}",
            )
        raise CursorMovedError(
            f"the database {self._path} begins anew; read the cursors again"
        ) from error

    def _take_back(self, error: UnknownUndoError) -> NoReturn:
        """
        Begin anew without the records that a person took back, and that this database may hold.
        """
        open_file = self._handle.file
        decisions = [*known(self._handle.get()), error.record]
        self._handle.drop()
        if (
            identity(self._path) == open_file
        ):  # pragma: no branch (else another was faster just now)
            base = self._base(decisions)
            self._begin_anew(base, decisions, label="before_undo")
            self._is_rebuilding = True
        raise CursorMovedError(f"{error}; read the cursors again") from error

    def _begin_anew(
        self, base: Optional[Base], decisions: Decisions, *, label: str
    ) -> Optional[Path]:
        from telemetry.storage.base import begin_anew

        return begin_anew(self._path, base, decisions, label=label)


@hookimpl
def telemetry_register_sinks(config: TelemetryConfig) -> list[Sink]:
    """
    Follow the journal into the database of the settings.
    """

    def base(decisions: Decisions) -> Optional[Base]:
        from telemetry.storage.base import base_for

        segments = SegmentReader(config.ndjson_dir).segments()
        return base_for(config.backups_dir, [segment.id for segment in segments], decisions)

    return [SqliteSink(config.db_path, base=base)]
