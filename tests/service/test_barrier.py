"""
Reads, writes and readiness while the database, the journal or the readers take nothing.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from contextlib import closing

import httpx
import pytest

from telemetry.config import TelemetryConfig
from telemetry.model.codec import decode_lines
from telemetry.service.app import create_app
from telemetry.service.routes.health import readyz
from telemetry.service.state import READER_COUNT

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
        while (found := api.get(f"{RUNS}/{run['event_id']}")).status_code == 503:
            pass  # it is tried again after a moment

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["type"] == "urn:telemetry:problem:database-behind"
    assert found.json()["run_id"] == run["run_id"]


@pytest.mark.skipif(sys.platform == "win32", reason="a directory in use keeps its name")
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


def test_slow_questions_do_not_make_it_look_unready(tmp_path):
    """
    While every reader is at work, whether records are taken is told all the same.
    """
    service = create_app(TelemetryConfig.from_env({}, base_dir=tmp_path / "base")).state.service
    release = threading.Event()

    async def ask_while_all_are_busy():
        service.start()
        while (await readyz(service, None)).status != 200:
            pass
        busy = [asyncio.ensure_future(service.ask(release.wait)) for _ in range(READER_COUNT)]
        try:
            return await asyncio.wait_for(readyz(service, None), PATIENCE_S)
        finally:
            release.set()
            await asyncio.gather(*busy)

    try:
        answer = asyncio.run(ask_while_all_are_busy())
    finally:
        service.close(10)

    assert answer.status == 200
