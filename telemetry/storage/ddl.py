"""
The tables of the database, derived from the fields of `telemetry.model.run.Run`.

Every statement says ``IF NOT EXISTS``, so that each may run again on a database that has it. A
table that is only ever read by its key has no rowid: one tree instead of two, and the rows of one
run side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telemetry.model.run import COLUMNS, Group, Kind, Status

if TYPE_CHECKING:
    from telemetry.model.run import Column

#: Kept in ``PRAGMA user_version``: the version of the layout, tables that only follow from others
#: included. The field list has a version of its own.
DATABASE_VERSION = 9

_KEY = "event_id"
_SQL_TYPES = {Kind.COUNT: "INTEGER", Kind.FLAG: "INTEGER"}


def _literal(value: object) -> str:
    if isinstance(value, (bool, int)):
        return str(int(value))
    return "'" + str(getattr(value, "value", value)).replace("'", "''") + "'"


def _check(column: Column) -> str:
    name = column.name
    choices: tuple[object, ...] = column.choices
    if column.kind is Kind.FLAG:
        choices = (0, 1)
    # Not `IN`: SQLite would build its set of choices anew for each row, a third of an insert.
    claims = [f"{name} = {_literal(choice)}" for choice in choices]
    if column.kind is Kind.COUNT:
        claims = [f"{name} >= 0"]
    return f"CHECK ({' OR '.join(claims)})" if claims else ""


def column_ddl(column: Column) -> str:
    """
    Return one column's definition, also as ``ALTER TABLE … ADD COLUMN`` takes it.
    """
    parts = [column.name, _SQL_TYPES.get(column.kind, "TEXT")]
    if column.name == _KEY:
        return " ".join([*parts, "NOT NULL PRIMARY KEY"])
    if column.required or column.default is not None:
        parts.append(f"NOT NULL DEFAULT {_literal('' if column.required else column.default)}")
    return " ".join(part for part in (*parts, _check(column)) if part)


RUN_COLUMNS = tuple(COLUMNS)

#: What one roll-up is of. A span of ``all`` has one period, the empty text. Its rows, told apart by
#: ``part``, are added up: a batch adds a row, and when they are many they are made one.
ROLLUP_KEYS = ("span", "period", "agent_name", "job_type")
#: The column that counts the runs of each status.
STATUS_COUNTS = {status.value: f"{status.value}_count" for status in Status}
#: The counts of a run that are added up, each in two columns: sums of its low 32 bits and of the
#: bits above, for counts go up to 2**63 - 1 and sums beyond.
SUMMED = (
    *(name for name, column in COLUMNS.items() if column.group is Group.ITEMS),
    "duration_ms",
)
ROLLUP_NUMBERS = (
    *STATUS_COUNTS.values(),
    *(f"{name}_{part}" for name in SUMMED for part in ("low", "high")),
)

TABLES = (
    "CREATE TABLE IF NOT EXISTS agent_runs (\n    "
    + ",\n    ".join(map(column_ddl, COLUMNS.values()))
    + "\n)",
    # The key begins with the run: its events lie together, and the key alone serves
    # "the events of this run". A record's id makes a second delivery of it no second row.
    """CREATE TABLE IF NOT EXISTS run_events (
    id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    timestamp TEXT NOT NULL,
    payload_json TEXT,
    PRIMARY KEY (event_id, id)
)""",
    # What a run's row was folded from, so that a late record needs nothing read again. It outlives
    # a deleted run: nothing that comes late may bring the run back.
    """CREATE TABLE IF NOT EXISTS run_folds (
    event_id TEXT NOT NULL PRIMARY KEY,
    state BLOB NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1))
)""",
    # The audit trail: the lines themselves, of every record but an agent's updates and events.
    """CREATE TABLE IF NOT EXISTS run_records (
    id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    change TEXT NOT NULL,
    timestamp TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (event_id, id)
)""",
    """CREATE TABLE IF NOT EXISTS commits (
    id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    commit_hash TEXT NOT NULL,
    commit_source TEXT,
    commit_author TEXT,
    commit_timestamp TEXT,
    timestamp TEXT NOT NULL,
    PRIMARY KEY (event_id, id)
) WITHOUT ROWID""",
    # Counts and sums over the runs of an agent and kind of work, by the UTC day and month that they
    # began in and over all time. They follow from `agent_runs`, in the transaction that changes it.
    "CREATE TABLE IF NOT EXISTS run_rollups (\n    "
    "span TEXT NOT NULL CHECK (span = 'day' OR span = 'month' OR span = 'all'),\n    "
    + "".join(f"{name} TEXT NOT NULL,\n    " for name in ROLLUP_KEYS[1:])
    + "".join(f"{name} INTEGER NOT NULL,\n    " for name in ("part", *ROLLUP_NUMBERS))
    + "durations_json TEXT NOT NULL,\n    "
    f"PRIMARY KEY ({', '.join(ROLLUP_KEYS)}, part)\n) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS cursors (
    sink TEXT NOT NULL,
    segment TEXT NOT NULL,
    offset INTEGER NOT NULL,
    fingerprint INTEGER NOT NULL,
    PRIMARY KEY (sink, segment)
) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS schema_migrations (
    version INTEGER NOT NULL PRIMARY KEY,
    applied_at TEXT NOT NULL,
    description TEXT NOT NULL
)""",
)

#: What each index is on, below the query that it is there for: every row written pays for each.
_INDEXES = {
    # "the newest runs", as the README asks for them
    "idx_runs_start_time": "agent_runs (start_time)",
    # "runs recorded before / after", and the pages of a list
    "idx_runs_created_at": "agent_runs (created_at)",
    # "the runs of an agent, of one status, newest first"
    "idx_runs_agent_status_created": "agent_runs (agent_name, status, created_at)",
    # "the runs of an agent, newest first", and the counts by agent
    "idx_runs_agent_created": "agent_runs (agent_name, created_at)",
    # "the runs of a kind of work, newest first"
    "idx_runs_job_created": "agent_runs (job_type, created_at)",
    # "the run of this name", by which the CLI and other processes know it
    "idx_runs_run_id": "agent_runs (run_id)",
    # "the chain of an insight, in order"
    "idx_runs_insight": "agent_runs (insight_id, start_time) WHERE insight_id IS NOT NULL",
    # "the runs nested in this one"
    "idx_runs_parent": "agent_runs (parent_run_id) WHERE parent_run_id IS NOT NULL",
    # "the runs that are still open, newest first": the dead are looked for every few seconds
    "idx_runs_running": "agent_runs (created_at) WHERE status = 'running'",
    # "the runs that did not succeed, newest first": few, so that most runs never touch it
    "idx_runs_unsuccessful": "agent_runs (created_at, status)"
    " WHERE status <> 'success' AND status <> 'running'",
    # "the events of a run whose key their writer did not know"
    "idx_events_run": "run_events (run_id) WHERE event_id = ''",
    # "whether a run was deleted", asked for the runs of late events
    "idx_folds_deleted": "run_folds (event_id) WHERE deleted = 1",
}

INDEX_NAMES = tuple(_INDEXES)
#: Columns of runs by which some of many are found at once: the key, and what an index begins with.
LOOKED_UP = tuple(
    dict.fromkeys(
        (
            "event_id",
            *(
                on.partition("(")[2].partition(",")[0].partition(")")[0]
                for on in _INDEXES.values()
                if on.startswith("agent_runs ")
            ),
            # By partial indexes, whose condition it is.
            "status",
        )
    )
)
INDEXES = tuple(f"CREATE INDEX IF NOT EXISTS {name} ON {on}" for name, on in _INDEXES.items())


def schema_sql() -> str:
    """
    Return the whole schema as a script.
    """
    return "".join(f"{statement};\n\n" for statement in (*TABLES, *INDEXES))
