"""
What the original system wrote: its databases in every schema, and its NDJSON.

Written from the names and types that are known of them, not from any file of theirs.
"""

from __future__ import annotations

import json
import sqlite3

START = "2025-12-01T10:00:00.123456+00:00"
END = "2025-12-01T10:00:05.654321+00:00"

_V1 = """run_id TEXT PRIMARY KEY, schema_version INTEGER DEFAULT {version}, agent_name TEXT NOT NULL,
agent_owner TEXT, job_type TEXT, trigger_type TEXT {trigger}, start_time TEXT NOT NULL,
end_time TEXT, status TEXT CHECK (status IN ('running', 'success', '{failed}', 'partial',
'timeout', 'cancelled')), items_discovered INTEGER DEFAULT 0, items_succeeded INTEGER DEFAULT 0,
items_failed INTEGER DEFAULT 0, duration_ms INTEGER, input_summary TEXT, output_summary TEXT,
error_summary TEXT, metrics_json TEXT, product TEXT, platform TEXT, git_repo TEXT, git_branch TEXT,
git_run_tag TEXT, host TEXT, api_posted INTEGER DEFAULT 0, api_posted_at TEXT,
api_retry_count INTEGER DEFAULT 0, created_at TEXT DEFAULT (datetime('now')),
updated_at TEXT DEFAULT (datetime('now'))"""
_TRIGGERS = "CHECK (trigger_type IN ('cli', 'web', 'scheduler', 'mcp', 'manual'))"
_SERVICE = """id INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE,
run_id TEXT NOT NULL, created_at TEXT NOT NULL, start_time TEXT NOT NULL, end_time TEXT,
agent_name TEXT NOT NULL, job_type TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'running' CHECK
(status IN ('running', 'success', 'failure', 'partial', 'timeout', 'cancelled')), product TEXT,
product_family TEXT, platform TEXT, subdomain TEXT, website TEXT, website_section TEXT,
item_name TEXT, items_discovered INTEGER DEFAULT 0 CHECK (items_discovered >= 0),
items_succeeded INTEGER DEFAULT 0, items_failed INTEGER DEFAULT 0, items_skipped INTEGER DEFAULT 0,
duration_ms INTEGER DEFAULT 0, input_summary TEXT, output_summary TEXT, source_ref TEXT,
target_ref TEXT, error_summary TEXT, error_details TEXT, git_repo TEXT, git_branch TEXT,
git_commit_hash TEXT, git_run_tag TEXT, host TEXT, environment TEXT, trigger_type TEXT,
metrics_json TEXT, context_json TEXT, api_posted INTEGER DEFAULT 0, api_posted_at TEXT,
api_retry_count INTEGER DEFAULT 0, insight_id TEXT, parent_run_id TEXT"""
#: What each version of the library's table has more than the first: since when.
_LATER = (
    (2, "insight_id TEXT"),
    (3, "product_family TEXT, subdomain TEXT"),
    (4, "git_commit_hash TEXT, git_commit_source TEXT, git_commit_author TEXT"),
    (4, "git_commit_timestamp TEXT"),
    (5, "website TEXT, website_section TEXT, item_name TEXT"),
    (6, "event_id TEXT"),
)  # fmt: skip
LIBRARY = (1, 2, 3, 4, 5, 6, 7)
SERVICE = (6, 7)
SCHEMAS = [f"library-{version}" for version in LIBRARY] + [f"service-{v}" for v in SERVICE]


def columns_of(schema: str) -> str:
    """
    Return the columns of ``agent_runs`` in one schema.
    """
    kind, _, number = schema.partition("-")
    version = int(number)
    if kind == "service":
        more = (
            ", schema_version INTEGER DEFAULT 7, updated_at TEXT, agent_owner TEXT,"
            " git_commit_source TEXT, git_commit_author TEXT, git_commit_timestamp TEXT"
        )
        return _SERVICE + (more if version >= 7 else "")
    failed = "failure" if version >= 7 else "failed"
    text = _V1.format(version=version, failed=failed, trigger=_TRIGGERS)
    return text + "".join(f", {columns}" for since, columns in _LATER if since <= version)


def failed_word(schema: str) -> str:
    """
    Return how a schema says that a run failed.
    """
    return "failed" if schema.startswith("library") and schema < "library-7" else "failure"


def make_database(path, schema, rows):
    """
    Make a database of the original; each row may name columns that the schema does not have.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE agent_runs ({columns_of(schema)})")
    payload = "message TEXT, details TEXT" if schema[0] == "s" else "payload_json TEXT"
    connection.execute(
        "CREATE TABLE run_events (id INTEGER PRIMARY KEY, run_id TEXT, event_type TEXT,"
        f" timestamp TEXT, {payload})"
    )
    connection.execute("CREATE TABLE commits (id INTEGER PRIMARY KEY, run_id TEXT)")
    known = {row[1] for row in connection.execute("PRAGMA table_info(agent_runs)")}
    for row in rows:
        said = {name: value for name, value in row.items() if name in known}
        marks = ", ".join("?" * len(said))
        connection.execute(
            f"INSERT INTO agent_runs ({', '.join(said)}) VALUES ({marks})", list(said.values())
        )
    connection.commit()
    connection.close()
    return path


def run_line(status, *, start=True, **fields):
    """
    Return a run's line as the library wrote it: all keys, twice, with nulls.
    """
    said = {
        "run_id": "20251201T100000Z-seo-aabbccdd",
        "agent_name": "seo",
        "job_type": "crawl",
        "trigger_type": "cli",
        "start_time": START,
        "event_id": None,
        "schema_version": 6,
        "agent_owner": None,
        "end_time": None if start else END,
        "status": status,
        "items_discovered": 0,
        "items_succeeded": 0,
        "items_failed": 0,
        "duration_ms": None if start else 5530,
        **dict.fromkeys(
            (
                "input_summary output_summary error_summary metrics_json insight_id product platform"
                " product_family subdomain website website_section item_name git_repo git_branch"
                " git_run_tag git_commit_hash git_commit_source git_commit_author"
                " git_commit_timestamp host"
            ).split()
        ),
        "api_posted": False,
        "api_posted_at": None,
        "api_retry_count": 0,
        "created_at": START if start else None,
        "updated_at": START if start else None,
        "record_type": "run",
        **fields,
    }
    return json.dumps(said)


def event_line(run_id, event_type, payload=None, timestamp=START):
    """
    Return an event's line as the library wrote it.
    """
    return json.dumps(
        {
            "run_id": run_id,
            "event_type": event_type,
            "timestamp": timestamp,
            "payload_json": None if payload is None else json.dumps(payload),
            "id": None,
            "record_type": "event",
        }
    )
