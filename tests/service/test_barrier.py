"""
Reads and writes while the database takes nothing.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

import httpx

from telemetry.model.codec import decode_lines

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


def test_a_service_whose_journal_was_away_is_ready_again_by_itself(own_server, new):
    """
    A balancer sends nothing to record to a service that is not ready: it finds out alone.
    """
    raw = own_server.base / "raw"
    away = own_server.base / "away"
    with httpx.Client(base_url=own_server.url, timeout=60) as api:
        api.post(RUNS, json=new())
        raw.rename(away)
        raw.write_text("no directory")
        while (refused := api.post(RUNS, json=new())).status_code == 201:
            pass  # the file that is open is looked at once a second
        batch = api.post(f"{RUNS}/batch", json=[new(), new()])
        failing = api.get("/readyz")
        raw.unlink()
        away.rename(raw)
        while api.get("/readyz").status_code != 200:
            pass
        lines = b"".join(path.read_bytes() for path in raw.iterdir())
        stored = api.get(RUNS, params={"limit": 1000}).json()

    assert (refused.status_code, batch.status_code, failing.status_code) == (503, 503, 503)
    assert "nothing was changed" in refused.json()["detail"]
    assert "send all of it again" in batch.json()["detail"]
    assert len(stored) == lines.count(b'"change":"recorded"')
    assert not decode_lines(lines).damaged_count
