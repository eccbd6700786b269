"""
Reads and writes while the database takes nothing.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

import httpx

RUNS = "/api/v1/runs"
#: More than a failing database is waited for, less than one that is only behind.
PATIENCE_S = 15


def test_who_asks_a_database_that_takes_nothing_is_not_held_up(own_server, new):
    """
    What was acknowledged stays so; the read that cannot see it yet is told to come again.
    """
    run = new()
    path = own_server.base / "db" / "telemetry.sqlite"
    with httpx.Client(base_url=own_server.url, timeout=PATIENCE_S) as api:
        api.post(RUNS, json=new())
        api.get(RUNS)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert api.post(RUNS, json=run).status_code == 201
            answer = api.get(f"{RUNS}/{run['event_id']}")
            other.execute("ROLLBACK")
        found = api.get(f"{RUNS}/{run['event_id']}")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["type"] == "urn:telemetry:problem:database-behind"
    assert found.json()["run_id"] == run["run_id"]
