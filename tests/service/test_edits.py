"""
What people correct, link and delete.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

import httpx
import pytest

from telemetry.storage.recovery import rebuild
from telemetry_plugins.ndjson import NdjsonJournal

RUNS = "/api/v1/runs"


@pytest.fixture
def path(api, run):
    """
    Where a run is that has ended.
    """
    api.post(RUNS, json={**run, "status": "success", "error_summary": "none"})
    return f"{RUNS}/{run['event_id']}"


def test_an_edit_sets_and_clears(api, path):
    """
    A value is set, null clears, the rest stays; the answer names what was changed.
    """
    answer = api.patch(path, json={"status": "failure", "error_summary": None, "bogus": 1})

    assert answer.status_code == 200
    assert answer.json() == {
        "event_id": path.rpartition("/")[2],
        "updated": True,
        "fields_updated": ["status", "error_summary"],
        "ignored": [{"field": "bogus", "did_you_mean": None}],
    }
    found = api.get(path)
    assert (found.json()["status"], found.json()["error_summary"]) == ("failed", None)
    assert found.headers["etag"] == answer.headers["etag"]


@pytest.mark.parametrize("body", [{}, {"bogus": 1}, {"agent_name": "x"}])
def test_an_edit_must_set_something(api, path, body):
    """
    A body without any field that may be edited is 400.
    """
    assert api.patch(path, json=body).status_code == 400


@pytest.mark.parametrize(
    "body", [{"status": "x"}, {"status": None}, {"duration_ms": -1}, {"metrics_json": "x"}, []]
)
def test_a_bad_edit_is_refused_before_the_run_is_looked_for(api, body):
    """
    422 wins over 404.
    """
    assert api.patch(f"{RUNS}/nobody", json=body).status_code == 422


def test_an_edit_of_nothing_is_not_found(api):
    """
    There is no run to edit.
    """
    assert api.patch(f"{RUNS}/nobody", json={"status": "failed"}).status_code == 404


def test_an_edit_of_what_has_changed_is_refused(api, path):
    """
    If-Match holds the run as the editor saw it; 412 if it is another one by now.
    """
    seen = api.get(path).headers["etag"]
    first = api.patch(path, json={"items_failed": 1}, headers={"If-Match": seen})

    second = api.patch(path, json={"items_failed": 2}, headers={"If-Match": seen})

    assert (first.status_code, second.status_code) == (200, 412)
    assert api.get(path).json()["items_failed"] == 1
    again = api.patch(path, json={"items_failed": 2}, headers={"If-Match": second.headers["etag"]})
    assert again.status_code == 200


def test_what_a_client_has_is_not_sent_again(api, path):
    """
    If-None-Match with the run's ETag is 304 without a body, until the run is another one.
    """
    seen = api.get(path).headers["etag"]

    for known in (seen, f'"other", W/{seen}', "*"):
        answer = api.get(path, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", seen)
        assert "content-length" not in answer.headers
    api.patch(path, json={"items_failed": 1})
    assert api.get(path, headers={"If-None-Match": seen}).status_code == 200


def test_a_run_that_has_ended_stays_so(api, path, new):
    """
    No edit opens it again; one that is still running may be said to be.
    """
    running = new()
    api.post(RUNS, json=running)

    answer = api.patch(path, json={"status": "running", "items_failed": 3})
    same = api.patch(f"{RUNS}/{running['event_id']}", json={"status": "running"})

    assert (answer.status_code, same.status_code) == (409, 200)
    (error,) = answer.json()["errors"]
    assert (error["field"], error["value"]) == ("status", "'running'")
    found = api.get(path).json()
    assert (found["status"], found["items_failed"]) == ("success", 0)


def test_the_history_tells_who_edited_what(api, path):
    """
    Each edit is a record with what the editor saw.
    """
    api.patch(path, json={"items_failed": 1})

    recorded, edited = api.get(f"{path}/history").json()
    assert (recorded["change"], edited["change"]) == ("recorded", "edited")
    assert edited["fields"] == {
        "base_status": "success",
        "force": True,
        "actor": "anonymous",
        "items_failed": 1,
    }


def test_a_commit_is_linked(api, path, run):
    """
    The commit stands in the run, with where it can be looked at.
    """
    api.patch(path, json={"source_ref": "x"})
    commit = {"commit_hash": "0a1b2c3", "commit_source": "llm", "commit_author": "Ada"}

    answer = api.post(f"{path}/associate-commit", json=commit)

    assert answer.json() == {
        "status": "success",
        "event_id": run["event_id"],
        "run_id": run["run_id"],
        "commit_hash": "0a1b2c3",
    }
    found = api.get(path).json()
    assert (found["git_commit_hash"], found["git_commit_source"]) == ("0a1b2c3", "llm")


@pytest.mark.parametrize(
    ("commit", "field"),
    [
        ({"commit_source": "llm"}, "commit_hash"),
        ({"commit_hash": "xyz", "commit_source": "llm"}, "commit_hash"),
        ({"commit_hash": "0a1b2c3"}, "commit_source"),
        ({"commit_hash": "0a1b2c3", "commit_source": "me"}, "commit_source"),
        (
            {"commit_hash": "0a1b2c3", "commit_source": "ci", "commit_timestamp": "2026-11-22"},
            "commit_timestamp",
        ),
    ],
)
def test_a_bad_commit_is_refused(api, path, commit, field):
    """
    422 names what is wrong.
    """
    answer = api.post(f"{path}/associate-commit", json=commit)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_what_was_deleted_stays_deleted(api, path, run):
    """
    A deleted run is nowhere, and handing it over again does not bring it back.
    """
    assert api.delete(path).json() == {"event_id": run["event_id"], "deleted": True}

    again = api.post(RUNS, json=run)
    assert (again.status_code, again.json()["status"]) == (201, "duplicate")
    (result,) = api.post(f"{RUNS}/batch", json=[run]).json()["results"]
    assert result["message"] == again.json()["message"]
    assert "deleted" in result["message"]
    assert api.get(path).status_code == api.delete(path).status_code == 404


def test_edits_survive_a_rebuild(own_server, tmp_path, new):
    """
    The database is made anew from the journal alone, and says the same, column by column.
    """
    run, gone = new(), new()
    with httpx.Client(base_url=own_server.url, timeout=60) as api:
        for one in (run, gone):
            api.post(RUNS, json=one)
        api.patch(f"{RUNS}/{run['event_id']}", json={"status": "cancelled"})
        api.patch(f"{RUNS}/{run['event_id']}", json={"error_summary": "stale"})
        api.delete(f"{RUNS}/{gone['event_id']}")
    assert own_server.stop() == 0

    rebuild(tmp_path / "again.sqlite", NdjsonJournal(own_server.base / "raw"))
    old, again = own_server.base / "db" / "telemetry.sqlite", tmp_path / "again.sqlite"
    assert rows(old) == rows(again)
    assert len(rows(old)) == 1


def rows(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM agent_runs ORDER BY event_id").fetchall()
