"""
The clean-up of stale runs, against a server that answers as the service does.
"""

from __future__ import annotations

import json
import re
import socket
from datetime import datetime, timedelta, timezone

import pytest
from click.testing import CliRunner
from werkzeug import Response

from telemetry.helpers import cleanup_on_startup, cleanup_stale_runs, main
from telemetry.model.errors import SettingsError
from telemetry.runtime import notices

CREATED = "2026-11-22T01:00:00.000000Z"


class FakeService:
    """
    Runs in a dictionary, listed in pages of two.
    """

    def __init__(self, httpserver):
        self.runs = {}
        self.asked = []
        self.refused = set()
        self.ended_meanwhile = set()
        httpserver.expect_request("/api/v1/runs").respond_with_handler(self._list)
        httpserver.expect_request(re.compile(r"/api/v1/runs/\w+")).respond_with_handler(self._one)

    def add(self, number, status="running"):
        self.runs[f"e{number}"] = {
            "event_id": f"e{number}",
            "run_id": f"r{number}",
            "agent_name": "agent",
            "job_type": "job",
            "status": status,
            "created_at": CREATED,
        }

    def _list(self, request):
        self.asked.append(request.args.to_dict())
        found = [run for run in self.runs.values() if run["status"] == request.args["status"]]
        first = int(request.args.get("cursor", 0))
        page = found[first : first + 2]
        headers = {"Telemetry-Base": "0" * 32}
        if first + 2 < len(found):
            headers["Link"] = f'</api/v1/runs?cursor={first + 2}>; rel="next"'
        return Response(json.dumps(page), 200, headers)

    def _one(self, request):
        run = self.runs[request.path.rpartition("/")[2]]
        if run["event_id"] in self.ended_meanwhile:
            run["status"] = "success"
        headers = {"ETag": f'"{run["status"]}"', "Telemetry-Base": "0" * 32}
        if request.method == "GET":
            return Response(json.dumps(run), 200, headers)
        if run["event_id"] in self.refused:
            return Response('{"detail": "no"}', 400, {"Content-Type": "application/problem+json"})
        assert request.headers["If-Match"] == headers["ETag"]
        run.update(json.loads(request.get_data()))
        return Response(json.dumps({"event_id": run["event_id"], "updated": True}), 200, headers)


@pytest.fixture
def fake(httpserver):
    return FakeService(httpserver)


@pytest.fixture
def nobody():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("telemetry.api.attempts.FIRST_WAIT_S", 0.001)


def test_all_stale_runs_are_closed(fake, httpserver):
    """
    Every run that has been open for too long is closed, also behind the first page, and told.
    """
    for number in range(5):
        fake.add(number)
    fake.add(9, "success")

    result = cleanup_stale_runs(httpserver.url_for(""), "agent", 2, auth_token="t")

    assert (result["found"], result["cleaned"], result["failed"], result["errors"]) == (5, 5, 0, [])
    assert result["stale_runs"][0] == {
        "event_id": "e0",
        "run_id": "r0",
        "agent_name": "agent",
        "created_at": CREATED,
    }
    run = fake.runs["e4"]
    assert run["status"] == "cancelled"
    assert run["error_summary"] == f"Stale run cleaned up on startup (created at {CREATED})"
    ended = datetime.fromisoformat(run["end_time"].replace("Z", "+00:00"))
    before = datetime.fromisoformat(fake.asked[0]["created_before"].replace("Z", "+00:00"))
    assert abs(ended - before - timedelta(hours=2)) < timedelta(minutes=5)
    assert fake.asked[0]["agent_name"] == "agent"
    assert ended.tzinfo == timezone.utc


def test_a_run_that_ends_meanwhile_keeps_its_end(fake, httpserver):
    """
    Between the list and the correction a run may end by itself; that end stands.
    """
    fake.add(1)
    fake.add(2)
    fake.ended_meanwhile.add("e1")

    result = cleanup_stale_runs(httpserver.url_for(""), "agent")

    assert (result["found"], result["cleaned"], result["failed"]) == (2, 1, 0)
    assert fake.runs["e1"]["status"] == "success"


def test_one_failure_does_not_stop_the_rest(fake, httpserver):
    """
    A run that cannot be closed is named, and the others are closed.
    """
    for number in range(3):
        fake.add(number)
    fake.refused.add("e1")

    result = cleanup_stale_runs(
        httpserver.url_for(""), "agent", status_to_check="running", cleanup_status="failed"
    )

    assert (result["cleaned"], result["failed"]) == (2, 1)
    assert [line.partition(":")[0] for line in result["errors"]] == ["e1"]
    assert fake.runs["e2"]["status"] == "failed"


def test_no_service_is_an_error_in_the_result(nobody):
    """
    Where no service is there, the result says so; nothing is raised.
    """
    result = cleanup_stale_runs(nobody, "agent")

    assert (result["found"], result["cleaned"]) == (0, 0)
    assert "must reach a running service" in result["errors"][0]


def test_an_address_that_is_none_is_an_error():
    """
    What cannot be an address is the caller's mistake.
    """
    with pytest.raises(SettingsError):
        cleanup_stale_runs("localhost:8765", "agent")


def test_an_agents_start_is_never_stopped(fake, httpserver, nobody):
    """
    At the start of an agent nothing is raised: the answer says whether all is closed.
    """
    fake.add(1)

    assert cleanup_on_startup(httpserver.url_for(""), "agent") is True
    assert cleanup_on_startup(nobody, "agent") is False
    assert cleanup_on_startup("no address", "agent") is False
    assert cleanup_on_startup(nobody, "agent", 1e300) is False
    assert notices.counts()["cleanup"] == 3


def test_the_command_says_what_it_did(fake, httpserver, nobody):
    """
    The command counts, and ends with 1 where something is left.
    """
    fake.add(1)
    url = httpserver.url_for("")
    runner = CliRunner()

    done = runner.invoke(main, ["--api-url", url, "--agent-name", "agent", "--auth-token", "t"])
    failed = runner.invoke(main, ["--api-url", nobody, "--agent-name", "agent"])
    refused = runner.invoke(main, ["--api-url", "nowhere", "--agent-name", "agent"])

    assert (done.exit_code, done.output) == (0, "1 run left open, 1 closed, 0 failed\n")
    assert (failed.exit_code, refused.exit_code) == (1, 1)
    assert "url must be" in refused.output
