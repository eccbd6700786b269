import sqlite3
import threading

import pytest

from telemetry.model.run import COLUMNS
from telemetry.storage.ddl import DATABASE_VERSION, INDEXES, TABLES, schema_sql
from telemetry.storage.migrations import create_missing_indexes, migrate
from telemetry.storage.sqlite import connect, user_version


@pytest.fixture
def connection(tmp_path):
    """
    Return a connection to an empty database.
    """
    connection = connect(tmp_path / "telemetry.sqlite")
    yield connection
    connection.close()


def _columns(connection):
    return {row[1] for row in connection.execute("PRAGMA table_info(agent_runs)")}


def _schema(connection):
    return sorted(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


def _older(connection, lacking):
    """
    Make the database of an older release: fewer columns, no table of commits, an older number.
    """
    kept = [
        line for line in TABLES[0].splitlines() if line.split()[:1] not in [[n] for n in lacking]
    ]
    kept[-2] = kept[-2].rstrip(",")
    connection.execute("\n".join(kept))
    for statement in TABLES[1:]:
        if "commits" not in statement:
            connection.execute(statement)
    connection.execute("INSERT INTO agent_runs (event_id, status) VALUES ('e', 'success')")
    connection.execute("INSERT INTO cursors VALUES ('sqlite', 'seg', 10, 1)")
    connection.execute(f"PRAGMA user_version = {DATABASE_VERSION - 1}")


def test_empty_database_becomes_current(connection):
    """
    A new database has every table and index, the version, and a line about it.
    """
    migrate(connection)

    assert user_version(connection) == DATABASE_VERSION
    assert connection.execute("SELECT version FROM schema_migrations").fetchall() == [
        (DATABASE_VERSION,)
    ]
    whole = sqlite3.connect(":memory:")
    whole.executescript(schema_sql())
    assert _schema(connection) == _schema(whole)
    whole.close()


def test_current_database_is_left(connection):
    """
    Nothing is written to a database that is current.
    """
    migrate(connection)
    before = connection.total_changes
    migrate(connection)

    assert connection.total_changes == before


def test_older_database_gains_what_it_lacks(connection):
    """
    New columns and tables are added, rows stay, and the journal is followed once more.
    """
    _older(connection, lacking=("trace_id", "work_dir", "items_skipped", "environment"))
    migrate(connection)

    assert _columns(connection) == set(COLUMNS)
    assert user_version(connection) == DATABASE_VERSION
    row = connection.execute("SELECT status, items_skipped, trace_id FROM agent_runs").fetchone()
    assert row == ("success", 0, None)
    assert connection.execute("SELECT count(*) FROM commits").fetchone() == (0,)
    assert connection.execute("SELECT sum(offset) FROM cursors").fetchone() == (0,)


def test_another_process_is_faster(connection, tmp_path):
    """
    Who waited for the write lock finds the work done, and does nothing.
    """
    other = connect(tmp_path / "telemetry.sqlite")
    other.execute("BEGIN IMMEDIATE")
    waiting = threading.Event()
    connection.set_trace_callback(lambda sql: waiting.set() if sql == "BEGIN IMMEDIATE" else None)
    connection.execute("PRAGMA busy_timeout = 10000")
    thread = threading.Thread(target=migrate, args=(connection,))
    thread.start()
    assert waiting.wait(60)
    for statement in (*TABLES, *INDEXES, f"PRAGMA user_version = {DATABASE_VERSION}", "COMMIT"):
        other.execute(statement)
    thread.join()

    assert connection.execute("SELECT count(*) FROM schema_migrations").fetchone() == (0,)
    other.close()


def test_failed_migration_leaves_no_half(connection):
    """
    What cannot be migrated is as it was before.
    """
    connection.execute("CREATE VIEW commits AS SELECT 1")
    connection.execute(f"PRAGMA user_version = {DATABASE_VERSION - 1}")
    connection.execute("CREATE TABLE run_events (id TEXT)")
    connection.execute("CREATE VIEW agent_runs AS SELECT 1 AS x")
    before = _schema(connection)

    with pytest.raises(sqlite3.OperationalError):
        migrate(connection)
    assert _schema(connection) == before
    assert not connection.in_transaction


def test_indexes_may_wait(connection):
    """
    A database that is about to be filled gets its indexes afterwards, each that it lacks.
    """
    migrate(connection, with_indexes=False)
    without = len(_schema(connection))
    create_missing_indexes(connection)

    assert len(_schema(connection)) == without + len(INDEXES)
    connection.execute("DROP INDEX idx_runs_run_id")
    migrate(connection)
    assert len(_schema(connection)) == without + len(INDEXES)


def test_failed_index_leaves_no_transaction(connection):
    """
    An index that cannot be made is an error, and not a transaction left open.
    """
    migrate(connection, with_indexes=False)
    connection.execute("ALTER TABLE agent_runs DROP COLUMN insight_id")

    with pytest.raises(sqlite3.OperationalError):
        create_missing_indexes(connection)
    assert not connection.in_transaction
