"""
Many clients, and a server that is killed again and again: nothing lost, nothing twice.

``TELEMETRY_TEST_STORM=full`` kills it for a minute, a second after each start.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
import subprocess
import sys
import uuid
from contextlib import closing

import attrs
import pytest
from servers import Server, clean_env

from telemetry.api import AsyncTelemetryAPI, TelemetryAPI, UnavailableError
from telemetry.model.codec import encode_line
from telemetry.model.ids import new_writer
from telemetry.model.run import COLUMNS

IS_FULL = os.environ.get("TELEMETRY_TEST_STORM") == "full"
CLIENT_COUNT = 50
KILL_COUNT = 60 if IS_FULL else 8
#: Answers after which it is killed, in the short form.
ANSWERS_PER_LIFE = 40
EVENTS_PER_RUN = 5
TIME_LIMIT_S = 600
START = "2026-11-22T05:13:00.000000Z"
RUNS_SQL = f"SELECT {', '.join(COLUMNS)} FROM agent_runs ORDER BY event_id"
RECORDED_SQL = (
    "SELECT event_id, count(*) AS count FROM run_records WHERE change = 'recorded'"
    " GROUP BY event_id"
)
EVENTS_SQL = "SELECT event_id, count(*), count(DISTINCT id) FROM run_events GROUP BY event_id"


@attrs.define
class Said:
    """
    What clients were answered: the runs with what must be true of each, and their events.
    """

    rows: dict[str, dict[str, object]] = attrs.field(factory=dict)
    events: dict[str, int] = attrs.field(factory=dict)
    #: How often each run was handed over with something new.
    recorded: dict[str, int] = attrs.field(factory=dict)
    answers: int = 0
    tries: int = 0
    is_over: bool = False


class Client:
    """
    Hands over runs and records and corrects them, each until it is acknowledged.
    """

    def __init__(self, number, api, said):
        self._chance = random.Random(number)
        self._name = f"client-{number}"
        self._api = api
        self._said = said
        self._writer = new_writer()
        self._number = 0
        self._count = 0

    async def work(self):
        acts = (self._single, self._batch, self._ship)
        while not self._said.is_over:
            await self._chance.choice(acts)()

    async def _until_said(self, call, *args, **options):
        """
        Make a call again and again until it is answered.
        """
        while True:
            self._said.tries += 1
            try:
                done = await call(*args, **options)
            except UnavailableError:
                # A pause of a client, not a way to wait for something.
                await asyncio.sleep(0.5)
            else:
                self._said.answers += 1
                return done

    def _run(self, **fields):
        self._count += 1
        return {
            "event_id": str(uuid.uuid4()),
            "run_id": f"{self._name}-{self._count}",
            "agent_name": self._name,
            "job_type": "storm",
            "start_time": START,
            "items_discovered": self._count,
            **fields,
        }

    def _keep(self, run, **fields):
        names = ("run_id", "agent_name", "items_discovered")
        kept = {name: run[name] for name in names}
        self._said.rows[run["event_id"]] = {"status": "running", **kept, **fields}

    async def _single(self):
        run = self._run()
        await self._until_said(self._api.create_run, run)
        self._keep(run)
        for failed in range(1, 3):
            fields = {"items_failed": failed, "error_summary": f"edit {failed} of {run['run_id']}"}
            await self._until_said(self._api.update_run, run["event_id"], fields)
            self._keep(run, **fields)
        # The outcome, handed over again as the requirements' clients do.
        await self._until_said(self._api.create_run, {**run, "status": "success"})
        self._keep(run, **fields, status="success")
        self._said.recorded[run["event_id"]] = 2

    async def _batch(self):
        runs = [self._run(status="partial") for _ in range(10)]
        done = await self._until_said(self._api.create_runs, runs)
        assert (done.total, done.errors) == (10, ())
        for run in runs:
            self._keep(run, status="partial")
            self._said.recorded[run["event_id"]] = 1

    async def _ship(self):
        run = self._run()
        keys = {"event_id": run["event_id"], "run_id": run["run_id"]}
        lines = [self._line("run", "started", keys, body={**run, "status": "running"})]
        for number in range(EVENTS_PER_RUN):
            payload = json.dumps({"n": number}).encode()
            lines.append(self._line("event", "", keys, event_type="row", payload=payload))
        lines.append(self._line("run", "ended", keys, body={**run, "status": "failed"}))
        done = await self._until_said(self._api.send_records, lines)
        assert (done.total, done.refused) == (len(lines), ())
        self._keep(run, status="failed")
        self._said.events[run["event_id"]] = EVENTS_PER_RUN

    def _line(self, kind, change, keys, *, body=None, **more):
        self._number += 1
        rest = {k: v for k, v in (body or {}).items() if k not in keys} if body else None
        name = f"{self._writer}-{self._number}"
        return encode_line(kind, id=name, timestamp=START, change=change, body=rest, **keys, **more)


async def _storm(server, said):
    async with AsyncTelemetryAPI(server.url, "", retries=0) as api:
        clients = [asyncio.ensure_future(Client(n, api, said).work()) for n in range(CLIENT_COUNT)]
        for _ in range(KILL_COUNT):
            await _life(said, clients)
            server.kill()
            await asyncio.get_running_loop().run_in_executor(None, server.start)
        said.is_over = True
        await asyncio.wait_for(asyncio.gather(*clients), TIME_LIMIT_S)


async def _life(said, clients):
    """
    Let the server live: for a second, or until it has answered so often.
    """
    if IS_FULL:
        await asyncio.sleep(1)
        return
    wanted = said.answers + ANSWERS_PER_LIFE
    while said.answers < wanted:
        await asyncio.sleep(0.01)
        for client in clients:
            if client.done():
                client.result()


def _database(base):
    return base / "db" / "telemetry.sqlite"


def _rows(path, sql):
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql)]


def _as_said(rows, said):
    return {
        row["event_id"]: {name: row[name] for name in said[row["event_id"]]}
        for row in rows
        if row["event_id"] in said
    }


@pytest.mark.timeout(TIME_LIMIT_S + 60)
def test_nothing_is_lost_and_nothing_is_there_twice(tmp_path):
    """
    Whatever was acknowledged between the deaths of the server is there once, and after a rebuild.
    """
    base = tmp_path / "base"
    said = Said()
    server = Server(base).start()
    try:
        asyncio.run(_storm(server, said))
        with TelemetryAPI(server.url, "") as api:
            found = {run.event_id: run for run in api.runs(job_type="storm")}
    finally:
        code = server.stop()

    assert code == 0
    assert found.keys() == said.rows.keys()
    live = _rows(_database(base), RUNS_SQL)
    assert _as_said(live, said.rows) == said.rows
    assert len(live) == len(said.rows)
    recorded = _rows(_database(base), RECORDED_SQL)
    assert {row["event_id"]: row["count"] for row in recorded} == said.recorded
    counted = [tuple(row.values()) for row in _rows(_database(base), EVENTS_SQL)]
    assert {key: count for key, count, _ in counted} == said.events
    assert all(count == ids for _, count, ids in counted)
    _rebuild(base)
    rebuilt = _rows(_database(base), RUNS_SQL)
    assert rebuilt == live
    assert [tuple(row.values()) for row in _rows(_database(base), EVENTS_SQL)] == counted
    # It was a storm: many calls had to be made again.
    assert said.tries > said.answers > KILL_COUNT


def _rebuild(base):
    for path in _database(base).parent.iterdir():
        path.unlink()
    done = subprocess.run(
        [sys.executable, "-m", "telemetry", "recover"],
        env=clean_env(base),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
