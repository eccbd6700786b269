"""
What the requirements' README promises of the service, each line as printed there.
"""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import httpx
import pytest
import requests
from servers import ROOT, Server, clean_env

#: The requirements' stale-run clean-up, word for word.
CLEAN_UP = """
import requests
from datetime import datetime, timedelta, timezone

# Query for stale running records (older than 1 hour)
stale_threshold = (datetime.now(timezone.utc) - timedelta(hours=1)).isoformat()
response = requests.get(
    "http://localhost:8765/api/v1/runs",
    params={
        "agent_name": "hugo-translator",
        "status": "running",
        "created_before": stale_threshold
    }
)

# Mark each stale run as cancelled
for run in response.json():
    requests.patch(
        f"http://localhost:8765/api/v1/runs/{run['event_id']}",
        json={
            "status": "cancelled",
            "end_time": datetime.now(timezone.utc).isoformat(),
            "error_summary": f"Stale run cleaned up on startup (created at {run['created_at']})"
        }
    )
"""
#: The eleven fields that may be edited, with a value that is accepted and those that are not.
EDITABLE = {
    "status": ("failed", ["done", 3, None]),
    "end_time": ("2026-11-22T05:13:00+01:00", ["tomorrow", "2026-11-22T05:13:00", 5]),
    "duration_ms": (0, [-1, "long", 1.5, 2**63]),
    "error_summary": ("e" * 500, ["e" * 501, 5]),
    "error_details": ("d" * 5000, ["d" * 5001, {}]),
    "output_summary": ("o" * 1000, ["o" * 1001, []]),
    "items_succeeded": (7, [-1, "7", True]),
    "items_failed": (0, [-1]),
    "items_skipped": (2**63 - 1, [2**63]),
    "metrics_json": ({"pages": 3}, ["no json", [1], 5]),
    "context_json": ({}, ["no json"]),
}
STATUSES = ["running", "success", "failed", "partial", "timeout", "cancelled"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("requirements") / "base") as running:
        yield running


@pytest.fixture(scope="module")
def http(server):
    with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client:
        yield client


def new_run(event_id, **fields):
    return {
        "event_id": event_id,
        "run_id": f"{event_id}-run",
        "agent_name": "hugo-translator",
        "job_type": "translate",
        "start_time": "2026-11-22T05:13:00Z",
        **fields,
    }


def hours_ago(hours):
    return (datetime.now(timezone.utc) - timedelta(hours=hours)).isoformat()


@pytest.fixture
def at_8765(server, monkeypatch):
    """
    Have `requests` find this test's service at the address that the README names.
    """
    send = requests.adapters.HTTPAdapter.send

    def send_here(self, request, **options):
        assert request.url.startswith("http://localhost:8765/")
        request.url = request.url.replace("http://localhost:8765", server.url)
        return send(self, request, **options)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send_here)


def test_the_clean_up_of_stale_runs_works_word_for_word(http, at_8765):
    """
    The README's snippet closes the stale runs of its agent, and no other run.
    """
    posted = {
        "stale-1": {"created_at": hours_ago(2)},
        "stale-2": {"created_at": hours_ago(30), "status": "running"},
        "fresh": {"created_at": hours_ago(0.5)},
        "now": {},
        "ended": {"created_at": hours_ago(2), "status": "failed"},
        "other": {"created_at": hours_ago(2), "agent_name": "another"},
    }
    for event_id, fields in posted.items():
        assert http.post("/api/v1/runs", json=new_run(event_id, **fields)).status_code == 201

    exec(compile(CLEAN_UP, "README.md", "exec"), {})

    rows = {run["event_id"]: run for run in http.get("/api/v1/runs?limit=1000").json()}
    status = {event_id: rows[event_id]["status"] for event_id in posted}
    assert {name for name in status if status[name] == "cancelled"} == {"stale-1", "stale-2"}
    assert (status["fresh"], status["ended"], status["other"]) == ("running", "failed", "running")
    stale = rows["stale-1"]
    assert stale["error_summary"] == (
        f"Stale run cleaned up on startup (created at {stale['created_at']})"
    )
    assert stale["end_time"] > stale["created_at"]


def test_the_query_of_the_readme_is_answered(http):
    """
    The README's own query has the right rows, newest first, as a bare array.
    """
    for number in range(3):
        created = f"2025-12-24T1{number}:00:00Z"
        http.post("/api/v1/runs", json=new_run(f"query-{number}", created_at=created))

    found = http.get(
        "/api/v1/runs?agent_name=hugo-translator&status=running&created_before=2025-12-24T12:00:00Z"
    )

    assert found.status_code == 200
    rows = [run for run in found.json() if run["event_id"].startswith("query-")]
    assert [run["event_id"] for run in rows] == ["query-1", "query-0"]
    assert rows[0]["created_at"] == "2025-12-24T11:00:00.000000Z"


def test_every_endpoint_of_the_readme_answers(http):
    """
    Create, create many, query, update, health and metrics: each as the README lists it.
    """
    created = http.post("/api/v1/runs", json=new_run("all-1"))
    many = http.post("/api/v1/runs/batch", json=[new_run("all-1"), new_run("all-2")])
    listed = http.get("/api/v1/runs", params={"run_id": "all-2-run"})
    patched = http.patch("/api/v1/runs/all-2", json={"status": "success", "items_failed": 0})
    health = http.get("/health")
    metrics = http.get("/metrics")

    assert (created.status_code, created.json()["status"]) == (201, "created")
    assert created.json()["run_id"] == "all-1-run"
    assert many.status_code == 200
    counts = many.json()
    assert (counts["inserted"], counts["duplicates"], counts["errors"], counts["total"]) == (
        1,
        1,
        [],
        2,
    )
    assert [run["event_id"] for run in listed.json()] == ["all-2"]
    assert patched.status_code == 200
    assert patched.json()["updated"] is True
    assert sorted(patched.json()["fields_updated"]) == ["items_failed", "status"]
    assert (health.status_code, health.json()["status"]) == (200, "ok")
    assert {"version", "db_path", "journal_mode", "synchronous"} <= health.json().keys()
    said = metrics.json()
    assert said["total_runs"] >= said["agents"]["hugo-translator"] >= 2
    assert said["recent_24h"] <= said["total_runs"]
    assert "performance" in said


def test_a_repeat_is_a_duplicate(http):
    """
    The same event_id again creates nothing and changes nothing of who ran what.
    """
    http.post("/api/v1/runs", json=new_run("twice"))

    again = http.post("/api/v1/runs", json=new_run("twice", agent_name="somebody else"))

    assert (again.status_code, again.json()["status"]) == (201, "duplicate")
    (row,) = http.get("/api/v1/runs", params={"run_id": "twice-run"}).json()
    assert row["agent_name"] == "hugo-translator"


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_is_understood(http, status):
    """
    Each of the README's statuses is taken by POST, PATCH and the filter.
    """
    event_id = f"status-{status}"
    assert http.post("/api/v1/runs", json=new_run(event_id, status=status)).status_code == 201
    assert http.patch(f"/api/v1/runs/{event_id}", json={"status": status}).status_code == 200

    found = http.get("/api/v1/runs", params={"status": status, "run_id": f"{event_id}-run"})

    assert [run["status"] for run in found.json()] == [status]


@pytest.mark.parametrize("field", EDITABLE)
def test_the_eleven_fields_are_edited_within_their_limits(http, field):
    """
    Each editable field takes what its rule allows, and a 422 names the rule for all else.
    """
    good, bad = EDITABLE[field]
    http.post("/api/v1/runs", json=new_run("edited"))

    assert http.patch("/api/v1/runs/edited", json={field: good}).status_code == 200
    for value in bad:
        refused = http.patch("/api/v1/runs/edited", json={field: value})
        assert refused.status_code == 422, (value, refused.text)
        assert refused.json()["errors"][0]["field"] == field
        assert refused.json()["detail"][0]["loc"][-1] == field


def test_results_come_newest_first(http):
    """
    Every query is ordered by created_at, the newest first.
    """
    created = [run["created_at"] for run in http.get("/api/v1/runs").json()]

    assert created == sorted(created, reverse=True)


def test_the_service_starts_as_the_readme_says(tmp_path):
    """
    ``python telemetry_service.py`` serves, says where, and ends at SIGTERM.
    """
    process = subprocess.Popen(
        [sys.executable, "telemetry_service.py"],
        cwd=ROOT,
        env=clean_env(tmp_path / "base", TELEMETRY_API_PORT="0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        url = re.search(r"http://\S+", process.stdout.readline())[0]
        assert httpx.get(f"{url}/health", trust_env=False).json()["status"] == "ok"
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()
