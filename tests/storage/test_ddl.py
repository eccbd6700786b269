import sqlite3

import pytest

from telemetry.model.run import COLUMNS, Status
from telemetry.storage.ddl import INDEXES, TABLES, schema_sql


@pytest.fixture
def connection():
    """
    Return a database with the schema, in memory.
    """
    connection = sqlite3.connect(":memory:")
    connection.executescript(schema_sql())
    yield connection
    connection.close()


def test_runs_have_the_fields_of_a_run_in_order(connection):
    """
    The columns of ``agent_runs`` are the fields of `Run`, and nothing else.
    """
    columns = [row[1] for row in connection.execute("PRAGMA table_info(agent_runs)")]

    assert columns == list(COLUMNS)


def test_schema_may_run_again(connection):
    """
    Running the schema over itself changes nothing.
    """
    before = connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
    connection.executescript(schema_sql())

    assert connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall() == before
    assert schema_sql().count(";") == len(TABLES) + len(INDEXES)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("status", "failure"),
        ("status", None),
        ("trigger_type", "magic"),
        ("git_commit_source", "guess"),
        ("items_failed", -1),
        ("items_failed", None),
        ("duration_ms", -1),
        ("api_posted", 2),
        ("event_id", None),
    ],
)
def test_checks_refuse_what_is_no_value(connection, column, value):
    """
    Choices, counts and flags hold what they may hold, whoever writes them.
    """
    names = ["event_id", column] if column != "event_id" else ["event_id"]
    values = ["e", value] if column != "event_id" else [value]
    places = ", ".join("?" * len(names))

    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(f"INSERT INTO agent_runs ({', '.join(names)}) VALUES ({places})", values)


def test_every_choice_is_taken(connection):
    """
    Each status is stored, and a row needs no more than its key.
    """
    for number, status in enumerate(Status):
        connection.execute(
            "INSERT INTO agent_runs (event_id, status) VALUES (?, ?)", (number, status.value)
        )
    connection.execute("INSERT INTO agent_runs (event_id) VALUES ('bare')")
    row = connection.execute("SELECT * FROM agent_runs WHERE event_id = 'bare'").fetchone()

    kept = dict(zip(COLUMNS, row))
    assert kept["status"] == "running"
    assert kept["agent_name"] == ""


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT * FROM agent_runs ORDER BY start_time DESC LIMIT 10", "idx_runs_start_time"),
        (
            "SELECT * FROM agent_runs WHERE created_at < ? ORDER BY created_at DESC",
            "idx_runs_created_at",
        ),
        (
            "SELECT * FROM agent_runs WHERE agent_name = ? AND status = ? ORDER BY created_at DESC",
            "idx_runs_agent_status_created",
        ),
        (
            "SELECT agent_name, count(*) FROM agent_runs GROUP BY agent_name",
            "idx_runs_agent_created",
        ),
        (
            "SELECT * FROM agent_runs WHERE agent_name = ? ORDER BY created_at DESC",
            "idx_runs_agent_created",
        ),
        (
            "SELECT * FROM agent_runs WHERE job_type = ? ORDER BY created_at DESC",
            "idx_runs_job_created",
        ),
        ("SELECT * FROM agent_runs WHERE run_id = ?", "idx_runs_run_id"),
        (
            "SELECT run_id FROM agent_runs WHERE insight_id = ? ORDER BY start_time",
            "idx_runs_insight",
        ),
        ("SELECT * FROM agent_runs WHERE parent_run_id = ?", "idx_runs_parent"),
        (
            "SELECT * FROM agent_runs WHERE status = 'running' ORDER BY created_at DESC",
            "idx_runs_running",
        ),
        (
            "SELECT * FROM agent_runs WHERE status = ? AND status <> 'success' AND status <> 'running' ORDER BY created_at DESC",
            "idx_runs_unsuccessful",
        ),
        ("SELECT * FROM run_events WHERE event_id = '' AND run_id = ?", "idx_events_run"),
        ("SELECT 1 FROM run_folds WHERE deleted = 1 LIMIT 1", "idx_folds_deleted"),
        ("SELECT * FROM run_events WHERE event_id = ?", "sqlite_autoindex_run_events_1"),
    ],
)
def test_each_index_serves_its_query(connection, query, index):
    """
    No index without a query that uses it, no sort where an index has the order.
    """
    values = ["x"] * query.count("?")
    plan = " ".join(
        str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", values)
    )

    assert index in plan
    assert "TEMP B-TREE" not in plan


def test_every_index_is_asked_for():
    """
    The queries above are for every index that there is.
    """
    asked = test_each_index_serves_its_query.pytestmark[0].args[1]

    named = {index for _, index in asked if index.startswith("idx_")}
    assert named == {statement.split()[5] for statement in INDEXES}
