"""
Connections to the database, and SQLite's errors in the words of a sink.

    MalformedDatabaseError   the file is damaged, or no database at all: it can be rebuilt
    TransientSinkError       locked, full, read-only, I/O: it may pass
    PausedSinkError          the file is another program's, or a newer version's

Invariant: nothing here opens a database that exists, or its ``-wal`` and ``-shm``, with a plain
file call: closing such a file would drop the locks that SQLite holds on it for the whole process.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from telemetry.model.errors import PausedSinkError, TransientSinkError
from telemetry.storage.appendfile import create_exclusively, make_private_directory
from telemetry.storage.ddl import DATABASE_VERSION
from telemetry.storage.filesystems import file_system, is_local

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How long one statement waits for another process; what lasts longer is retried by the follower.
BUSY_TIMEOUT_S = 0.25
#: Readers have no follower behind them.
READER_BUSY_TIMEOUT_S = 5.0
#: SQLite's own, passive checkpoint after a commit: rarely, it costs the committing batch 0.1 s.
AUTOCHECKPOINT_PAGES = 10_000
STATEMENT_CACHE_SIZE = 256

#: What a read-only connection says of a database that waits to be rolled back.
_NEEDS_ROLLBACK = "readonly database"
_MALFORMED = (
    "malformed",
    "not a database",
    "no such table",
    "no such column",
    "has no column",
    "unsupported file format",
)


class MalformedDatabaseError(TransientSinkError):
    """
    The database is damaged; what the journal has can be followed into a new one.
    """


def concerns_the_database(error: BaseException) -> bool:
    """
    Return whether an error is about the whole, file or machine, and not about one record.
    """
    return (
        isinstance(error, (sqlite3.OperationalError, MalformedDatabaseError, MemoryError))
        or type(error) is sqlite3.DatabaseError
    )


def translate(error: BaseException, path: Path) -> BaseException:
    """
    Return what a sink raises for an error of SQLite; an error of another kind as it is.

    Values that SQLite refuses (IntegrityError and its like) are not translated: they concern a
    record, not the database.
    """
    if isinstance(error, sqlite3.DatabaseError):
        text = str(error)
        if any(word in text for word in _MALFORMED):
            return MalformedDatabaseError(
                f"the database {path} must be whole (got {text!r}); it is rebuilt from the journal"
            )
        if concerns_the_database(error):
            return TransientSinkError(
                f"the database {path} must be usable now (got {text!r}); telemetry doctor says more"
            )
    if isinstance(error, OSError):
        return TransientSinkError(f"the database {path} must be reachable (got {error})")
    return error


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """
    Raise SQLite's errors as a sink's.
    """
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        meaning = translate(error, path)
        if meaning is error:
            raise
        raise meaning from error


def identity(path: Path) -> Optional[tuple[int, int]]:
    """
    Return which file a path now names; None where it names none.
    """
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def connect(path: Path, *, mode: str = "") -> sqlite3.Connection:
    """
    Open the database for writing, created when it is missing, without looking at its tables.

    Transactions are explicit: an immediate ``BEGIN`` takes the write lock at once, where a deferred
    one would fail half-way in, at any busy timeout.

    Args:
        mode: Journal mode, "wal" or "delete"; empty for what the file system allows.

    Raises:
        PausedSinkError: A newer version, or another program, made it; it is left as it is.
        TransientSinkError: It cannot be opened now.
        MalformedDatabaseError: It is damaged.
    """
    with translated(path):
        _create(path)
        _refuse_what_is_not_ours(path)
        connection = sqlite3.connect(
            path,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,  # closed by whoever closes the sink; used by one thread only
            cached_statements=STATEMENT_CACHE_SIZE,
        )
        try:
            _configure(connection, mode or wanted_journal_mode(path))
        except BaseException:
            connection.close()
            raise
        return connection


def connect_read_only(path: Path, *, is_at_rest: bool = False) -> sqlite3.Connection:
    """
    Open an existing database for reading; it can neither write nor checkpoint.

    Args:
        is_at_rest: Nobody works with it, so nothing is made or locked beside it.
    """
    at_rest = "&immutable=1" if is_at_rest else ""
    with translated(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro{at_rest}",
            uri=True,
            timeout=READER_BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=STATEMENT_CACHE_SIZE,
        )
        connection.execute("PRAGMA query_only = ON")
        return connection


@contextmanager
def immediate(connection: sqlite3.Connection) -> Iterator[None]:
    """
    Hold the write lock from the first statement on; commit at the end, or leave nothing behind.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # After some errors SQLite has rolled back by itself.
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise


def wanted_journal_mode(path: Path) -> str:
    """
    Return the journal mode that the database's file system allows: "wal" or "delete".
    """
    return "wal" if is_local(file_system(path.parent)) else "delete"


def journal_mode(connection: sqlite3.Connection) -> str:
    """
    Return the journal mode that the connection really has.
    """
    return str(connection.execute("PRAGMA journal_mode").fetchone()[0]).lower()


def wal_bytes(path: Path) -> int:
    """
    Return how long the database's write-ahead log is.
    """
    try:
        return Path(f"{path}-wal").stat().st_size
    except OSError:
        return 0


def checkpoint(connection: sqlite3.Connection) -> bool:
    """
    Write the log back and cut it, unless somebody is reading or writing; never waits.

    Returns:
        Whether all of it was written back.
    """
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
    return not busy


def user_version(connection: sqlite3.Connection) -> int:
    """
    Return the version of the database's layout; 0 for one without.
    """
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _create(path: Path) -> None:
    """
    Create the file for its owner only; its sidecars take over the mode.
    """
    make_private_directory(path.parent)
    if not path.exists():
        with suppress(FileExistsError):  # another process was faster
            create_exclusively(path, b"")


def _refuse_what_is_not_ours(path: Path) -> None:
    """
    Look before opening for writing: only a read-only connection is sure to change no byte.

    Whoever was killed in the middle of a transaction with a rollback journal left a database that
    cannot be read before SQLite has put it back as it was; then it is looked at again.
    """
    try:
        _look(path)
    except sqlite3.OperationalError as error:
        if _NEEDS_ROLLBACK not in str(error):
            raise
        _roll_back(path)
        _look(path)


def _roll_back(path: Path) -> None:
    """
    Let SQLite take back what a killed process had half written; nothing else is changed.
    """
    with closing(
        sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_TIMEOUT_S)
    ) as connection:
        user_version(connection)


def _look(path: Path) -> None:
    if path.stat().st_size == 0:
        return
    connection = connect_read_only(path)
    try:
        # One transaction: between two, another process could create the tables.
        connection.execute("BEGIN")
        version = user_version(connection)
        if version > DATABASE_VERSION:
            raise PausedSinkError(
                f"the database {path} must have at most version {DATABASE_VERSION}"
                f" (got {version}); install the newer release that made it"
            )
        if version == 0 and connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            raise PausedSinkError(
                f"the database {path} must be this library's (got another program's tables);"
                " move it away, or name another file in TELEMETRY_DB_PATH;"
                " telemetry import takes over runs of the original system"
            )
    finally:
        connection.close()


def _configure(connection: sqlite3.Connection, wanted: str) -> None:
    if journal_mode(connection) != wanted:
        # Read back: SQLite answers with the mode that it has, and does not raise.
        connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {AUTOCHECKPOINT_PAGES}")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA foreign_keys = OFF")
