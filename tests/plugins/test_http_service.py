"""
The records sink against the real service of another base directory.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3

import pytest
from agents import WITHOUT_GIT
from servers import Server

from telemetry.client import TelemetryClient
from telemetry.config import TelemetryConfig
from telemetry.model.records import Change
from telemetry.storage.ddl import RUN_COLUMNS
from telemetry_plugins.ndjson import NdjsonJournal

TIMEOUT_S = 60


@pytest.fixture
def service(tmp_path):
    with Server(tmp_path / "service", **WITHOUT_GIT) as made:
        yield made


def client_of(base, url):
    environ = {"TELEMETRY_BASE_DIR": str(base), "TELEMETRY_API_URL": url, **WITHOUT_GIT}
    return TelemetryClient(TelemetryConfig.from_env(environ))


def record(client, count):
    for number in range(count):
        with client.track_run("agent", "job", item_name=f"item-{number}") as run:
            run.log_event("step", {"number": number})
            run.set_metrics(items_discovered=number)
        event_id = client._runtime.find(run.run_id)
        edit = {"status": "partial", "output_summary": "mended", "base_status": "success"}
        client._runtime.recorder.change(Change.EDITED, event_id, run.run_id, edit)
        client.associate_commit(run.run_id, "a1b2c3d4", "ci")


def ship(base, url, count):
    """
    Record so many runs and deliver them, as one process of an agent does.
    """
    client = client_of(base, url)
    record(client, count)
    assert client.flush(TIMEOUT_S)
    client.close()


def journal_ids(base):
    journal = NdjsonJournal(base / "raw")
    found = []
    for segment in journal.segments():
        found += [record.id for record in journal.read(segment, None, 1 << 26).records]
    return found


def rows(base, sql):
    path = base / "db" / "telemetry.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def tables(base):
    """
    Return what two databases of the same records agree on.
    """
    columns = ", ".join(RUN_COLUMNS)
    return {
        "runs": rows(base, f"SELECT {columns} FROM agent_runs ORDER BY event_id"),
        "events": rows(base, "SELECT id, payload_json FROM run_events ORDER BY id"),
        "commits": rows(base, "SELECT id, commit_hash FROM commits ORDER BY id"),
    }


def test_every_record_arrives_once(service, tmp_path):
    """
    Runs, events, commits and edits: the service's database says what the agent's says.
    """
    agent = tmp_path / "agent"
    ship(agent, service.url, 20)
    service.stop()

    assert journal_ids(tmp_path / "service") == journal_ids(agent)
    found = tables(tmp_path / "service")
    assert found == tables(agent)
    assert (len(found["runs"]), len(found["events"])) == (20, 20)
    assert not (agent / "state" / "dead").exists()


def test_a_run_at_work_is_not_taken_for_dead_there(service, tmp_path):
    """
    The lock that shows that its process lives is in the agent's directory, though on one machine.
    """
    client = client_of(tmp_path / "agent", service.url)
    run_id = client.start_run("agent", "job")
    assert client.flush(TIMEOUT_S)
    service.stop()
    there = TelemetryClient(base_dir=tmp_path / "service")

    assert there.reap() == []

    assert rows(tmp_path / "service", "SELECT run_id, status FROM agent_runs") == [
        (run_id, "running")
    ]
    client.end_run(run_id)
    client.close()
    there.close()


def test_a_service_that_is_killed_misses_nothing(service, tmp_path, hurried):
    """
    Killed between and during requests, and started again: in the end it has everything, once.
    """
    agent = tmp_path / "agent"
    client = client_of(agent, service.url)
    for _ in range(2):
        record(client, 10)
        service.kill()
        record(client, 2)
        service.start()
    assert client.flush(TIMEOUT_S)
    client.close()
    service.stop()

    assert tables(tmp_path / "service") == tables(agent)
    assert set(journal_ids(tmp_path / "service")) == set(journal_ids(agent))


def test_a_service_that_lost_everything_is_sent_it_again(service, tmp_path):
    """
    Without the file that says how far the sink is, it begins at the beginning; nothing is twice.
    """
    agent = tmp_path / "agent"
    ship(agent, service.url, 3)
    service.stop()
    shutil.rmtree(tmp_path / "service")
    service.start()
    for _ in range(2):
        (agent / "state" / "cursors" / "http_records.json").unlink()
        ship(agent, service.url, 1)
    service.stop()

    assert tables(tmp_path / "service") == tables(agent)
    assert sorted(journal_ids(tmp_path / "service")) == sorted(journal_ids(agent))


def test_what_an_agent_deletes_goes_there_too(service, tmp_path):
    """
    A deletion is a record like any other, and needs the scope for edits.
    """
    client = client_of(tmp_path / "agent", service.url)
    record(client, 2)
    with client.track_run("agent", "job") as run:
        event_id = client._runtime.find(run.run_id)
    client._runtime.recorder.change(Change.DELETED, event_id, run.run_id, {})
    assert client.flush(TIMEOUT_S)
    client.close()
    service.stop()

    found = rows(tmp_path / "service", "SELECT event_id FROM agent_runs")
    assert (len(found), (event_id,) in found) == (2, False)


def test_a_service_of_the_same_directory_is_sent_nothing(service, tmp_path):
    """
    Each record is in the journal once, and in the database.
    """
    ship(tmp_path / "service", service.url, 5)
    service.stop()

    found = journal_ids(tmp_path / "service")
    assert len(found) == len(set(found))
    assert len(tables(tmp_path / "service")["runs"]) == 5
