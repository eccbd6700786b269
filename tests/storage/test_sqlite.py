import sqlite3

import pytest

from telemetry.model.errors import PausedSinkError, TransientSinkError
from telemetry.storage.ddl import DATABASE_VERSION
from telemetry.storage.sqlite import (
    MalformedDatabaseError,
    checkpoint,
    concerns_the_database,
    connect,
    connect_read_only,
    identity,
    immediate,
    journal_mode,
    translate,
    translated,
    wal_bytes,
)


@pytest.fixture
def connection(db):
    """
    Return a writer's connection.
    """
    connection = connect(db)
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (sqlite3.OperationalError("database is locked"), TransientSinkError),
        (sqlite3.OperationalError("database or disk is full"), TransientSinkError),
        (sqlite3.OperationalError("disk I/O error"), TransientSinkError),
        (sqlite3.OperationalError("attempt to write a readonly database"), TransientSinkError),
        (sqlite3.OperationalError("no such table: agent_runs"), MalformedDatabaseError),
        (sqlite3.DatabaseError("database disk image is malformed"), MalformedDatabaseError),
        (sqlite3.DatabaseError("file is not a database"), MalformedDatabaseError),
        (PermissionError(13, "Permission denied"), TransientSinkError),
        (sqlite3.IntegrityError("CHECK constraint failed"), sqlite3.IntegrityError),
        (OverflowError("too large"), OverflowError),
        (PausedSinkError("later"), PausedSinkError),
    ],
)
def test_errors_have_a_sinks_meaning(db, error, kind):
    """
    What concerns the database is an outage or damage; what concerns a value stays what it is.
    """
    assert type(translate(error, db)) is kind
    about_a_value = isinstance(error, sqlite3.IntegrityError)
    assert concerns_the_database(error) == (
        isinstance(error, sqlite3.DatabaseError) and not about_a_value
    )


def test_messages_say_what_to_do(db):
    """
    A message names the database, the rule, what SQLite said, and what happens now.
    """
    with (
        pytest.raises(
            TransientSinkError, match=r"telemetry\.sqlite must be usable now .*locked.*doctor"
        ),
        translated(db),
    ):
        raise sqlite3.OperationalError("database is locked")


def test_what_concerns_a_value_is_not_translated(db):
    """
    A value that SQLite refuses is no outage.
    """
    with pytest.raises(sqlite3.IntegrityError), translated(db):
        raise sqlite3.IntegrityError("CHECK constraint failed")


@pytest.mark.parametrize("rolls_back", [True, False])
def test_failed_transaction_leaves_nothing(connection, rolls_back):
    """
    An error undoes the transaction, also where SQLite has done so by itself.
    """
    connection.execute("CREATE TABLE t (v)")
    with pytest.raises(ValueError, match="in the middle"), immediate(connection):
        connection.execute("INSERT INTO t VALUES (1)")
        if rolls_back:
            connection.execute("ROLLBACK")
        raise ValueError("in the middle")

    assert not connection.in_transaction
    assert connection.execute("SELECT * FROM t").fetchall() == []


def test_writer_is_set_up(connection, db):
    """
    A writer logs ahead, syncs at checkpoints, and checkpoints seldom.
    """
    asked = ("synchronous", "wal_autocheckpoint", "busy_timeout", "trusted_schema")

    assert journal_mode(connection) == "wal"
    assert [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in asked] == [
        1,
        10_000,
        250,
        0,
    ]
    assert connection.isolation_level is None


def test_two_writers_take_turns(connection, db):
    """
    An immediate transaction waits for the other writer, and is told so in the end.
    """
    other = connect(db)
    connection.execute("CREATE TABLE t (v)")
    connection.execute("BEGIN IMMEDIATE")

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    connection.execute("COMMIT")
    other.execute("BEGIN IMMEDIATE")
    other.execute("COMMIT")
    other.close()


def test_reader_needs_a_database(db):
    """
    A reader creates nothing.
    """
    with pytest.raises(TransientSinkError, match="unable to open"):
        connect_read_only(db)
    assert not db.parent.exists()


def test_reader_cannot_checkpoint(connection, db):
    """
    Only writers write the log back.
    """
    connection.execute("CREATE TABLE t (v)")
    before = wal_bytes(db)
    reader = connect_read_only(db)
    with pytest.raises(sqlite3.OperationalError):
        reader.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    reader.close()

    assert wal_bytes(db) == before > 0
    assert checkpoint(connection)
    assert wal_bytes(db) == 0


def test_names_with_odd_characters(tmp_path):
    """
    A path may hold whatever a path may hold.
    """
    path = tmp_path / "a b?c#d%20é" / "t.sqlite"
    writer = connect(path)
    writer.execute("CREATE TABLE t (v)")
    writer.execute(f"PRAGMA user_version = {DATABASE_VERSION}")
    writer.close()
    reader = connect_read_only(path)

    assert reader.execute("SELECT name FROM sqlite_master").fetchall() == [("t",)]
    reader.close()


def test_identity_follows_the_file(db):
    """
    A file that takes another's place is another one; none has none.
    """
    assert identity(db) is None
    db.parent.mkdir()
    db.touch()
    first = identity(db)
    (db.parent / "other").touch()
    (db.parent / "other").replace(db)

    assert first is not None
    assert identity(db) != first
    assert wal_bytes(db) == 0
