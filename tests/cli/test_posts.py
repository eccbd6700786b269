"""
``telemetry posts``: what a server does not have, and sending it again.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from badserver import TIMEOUT_S, BadServer

TOKEN = "canary-0123456789"
REFUSE = {"do": "answer", "status": 422, "body": "no such sheet"}
AGENT = """
from telemetry import TelemetryClient

client = TelemetryClient()
for number in range(3):
    with client.track_run("agent", "job", item_name=f"item-{number}"):
        pass
client.flush(60)
"""


@pytest.fixture
def server():
    with BadServer() as server:
        yield server


@pytest.fixture
def begin(telemetry):
    """
    Start a process that records three runs, and waits until they are sent.
    """
    started = []

    def start(**env):
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", AGENT],
                env=telemetry.env(**env),
                stderr=subprocess.DEVNULL,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def record(begin):
    """
    Record three runs that a server takes or refuses.
    """
    return lambda **env: begin(**env).wait(TIMEOUT_S)


def answer(done, code):
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_nothing_is_unsent_where_nothing_is_posted(telemetry):
    """
    An empty directory is fine, and it is said that posting is off.
    """
    done = telemetry.ask("posts", "list")
    plan = telemetry.ask("posts", "retry", "--all", "--dry-run")

    assert "0 would be sent" in plan.stdout
    assert (done.returncode, "nothing is unsent" in done.stdout) == (0, True)
    assert "METRICS_API_URL is not set" in done.stderr
    assert answer(telemetry.ask("posts", "list", "--json"), 0) == {
        "posting": False,
        "passed_over": 0,
        "waiting": [],
        "failed": [],
    }


def test_waiting_runs_are_listed_with_their_tries(telemetry, begin, server):
    """
    A list sends nothing; a retry sends what waits.
    """
    server.will(then={"do": "answer", "status": 503, "headers": {"Retry-After": "3600"}})
    env = {"METRICS_API_URL": f"{server.url}/hook"}
    process = begin(**env)
    server.wait_for(1)
    process.kill()
    process.wait()
    before = len(server.seen())
    found = answer(telemetry.ask("posts", "list", "--json", **env), 0)
    assert len(server.seen()) == before
    assert [each["state"] for each in found["waiting"]] == ["waiting"] * 3
    assert found["waiting"][0]["attempts"] == before
    assert (
        len(answer(telemetry.ask("posts", "list", "--limit", "1", "--json", **env), 0)["waiting"])
        == 1
    )
    assert "waiting" in telemetry.ask("posts", "list", **env).stdout

    server.will(then={"do": "answer"})
    run_id = found["waiting"][0]["run_id"]
    assert answer(telemetry.ask("posts", "retry", run_id, "--json", **env), 0)["complete"]
    assert answer(telemetry.ask("posts", "list", "--json", **env), 0)["waiting"] == []
    assert len(server.kept()) == 3
    assert [run["api_posted"] for run in telemetry.json("runs")["runs"]] == [1] * 3


def test_refused_runs_are_put_back(telemetry, record, server):
    """
    Listed with the reason; sent again by name or all; refused once more, kept once more.
    """
    server.will(then=REFUSE)
    env = {"METRICS_API_URL": server.url, "METRICS_API_TOKEN": TOKEN}
    record(**env)
    failed = answer(telemetry.ask("posts", "list", "--json", **env), 1)["failed"]
    assert [(each["reason"], each["attempts"]) for each in failed] == [
        ("422: no such sheet", 1)
    ] * 3
    assert "422: no such sheet" in telemetry.ask("posts", "list", **env).stdout

    plan = answer(telemetry.ask("posts", "retry", "--all", "--dry-run", "--json", **env), 0)
    assert plan["would_send"] == failed
    assert "3 would be sent" in telemetry.ask("posts", "retry", "--all", "--dry-run", **env).stdout
    assert len(server.seen()) == 3

    server.will({"do": "answer"}, then=REFUSE)
    done = answer(telemetry.ask("posts", "retry", failed[1]["event_id"], "--json", **env), 0)
    assert (done["delivered"], done["refused"]) == (1, 0)
    done = answer(telemetry.ask("posts", "retry", "--all", "--json", **env), 1)
    assert (done["delivered"], done["refused"]) == (0, 2)
    left = answer(telemetry.ask("posts", "list", "--json", **env), 1)["failed"]
    assert {each["run_id"] for each in left} == {failed[0]["run_id"], failed[2]["run_id"]}

    server.will(then={"do": "answer"})
    assert "2 sent" in telemetry.ask("posts", "retry", "--all", **env).stdout
    assert answer(telemetry.ask("posts", "list", "--json", **env), 0)["failed"] == []
    assert sorted(server.kept()) == sorted(each["event_id"] for each in failed)
    runs = telemetry.json("runs")["runs"]
    assert [(run["api_posted"], run["api_retry_count"]) for run in runs] != [(0, 0)] * 3
    assert all(run["api_posted"] for run in runs)


def test_refused_records_are_put_back(telemetry, record, server):
    """
    Also what a telemetry service would not take.
    """
    server.will(then={"do": "records", "refuses": ["item-1"]})
    env = {"TELEMETRY_API_URL": server.url}
    record(**env)
    failed = answer(telemetry.ask("posts", "list", "--json", **env), 1)["failed"]
    assert {(each["sink"], each["reason"]) for each in failed} == {
        ("http_records", "never: no item-1")
    }

    server.will(then={"do": "records"})
    done = answer(telemetry.ask("posts", "retry", "--all", "--json", **env), 0)
    assert done["delivered"] == len(failed)
    kept = server.kept()
    assert len(kept) == len(set(kept))
    assert {each["record_id"] for each in failed} <= set(kept)


def test_a_server_that_is_away_keeps_everything(telemetry, record, server):
    """
    Exit code 4, and the letters are where they were.
    """
    server.will(then=REFUSE)
    env = {"METRICS_API_URL": server.url, "METRICS_API_TOKEN": TOKEN}
    record(**env)
    server.close()
    before = answer(telemetry.ask("posts", "list", "--json", **env), 1)["failed"]
    done = telemetry.ask("posts", "retry", "--all", "--timeout", "0", **env)
    after = answer(telemetry.ask("posts", "list", "--json", **env), 1)["failed"]

    assert done.returncode == 4
    assert "must answer" in done.stderr
    assert TOKEN not in done.stderr + done.stdout
    assert [each["record_id"] for each in after] == [each["record_id"] for each in before]


def test_what_cannot_be_meant_is_refused(telemetry, record, server):
    """
    An unknown run is not found; no run and no --all is a mistake, as are both.

    An address that is no longer set is named.
    """
    server.will(then=REFUSE)
    record(METRICS_API_URL=server.url)

    assert telemetry.ask("posts", "retry", "nobody").returncode == 3
    assert telemetry.ask("posts", "retry").returncode == 2
    assert telemetry.ask("posts", "retry", "x", "--all").returncode == 2
    done = telemetry.ask("posts", "retry", "--all")
    assert (done.returncode, "METRICS_API_URL must be set" in done.stderr) == (2, True)


def test_a_look_at_the_runs_waits_for_no_server(telemetry, record, server):
    """
    Commands that answer from this machine send nothing.
    """
    server.will(then={"do": "hang"})
    record(TELEMETRY_DRAIN="external")
    env = {"METRICS_API_URL": server.url, "TELEMETRY_API_URL": server.url}
    done = telemetry.ask("runs", "--json", **env)

    assert len(json.loads(done.stdout)["runs"]) == 3
    assert server.seen() == []
    assert server.connection_count == 0


def test_damaged_letters_are_shown_by_their_record(telemetry):
    """
    What cannot be read is listed, and left alone.
    """
    dead = telemetry.base / "state" / "dead"
    dead.mkdir(parents=True)
    letter = {
        "timestamp": "2026-11-22T12:00:00.000000Z",
        "sink": "http_posts",
        "error": "PermanentSinkError",
        "reason": "422: no",
        "id": "00000000000000aa-7",
        "line": "{",
    }
    (dead / "http_posts.ndjson").write_text(json.dumps(letter) + "\n")
    env = {"METRICS_API_URL": "http://127.0.0.1:9/"}
    done = telemetry.ask("posts", "list", **env)

    assert (done.returncode, "00000000000000aa-7" in done.stdout) == (1, True)
    assert telemetry.ask("posts", "retry", "--all", **env).returncode == 0
    assert telemetry.ask("posts", "list", **env).returncode == 1


def test_what_only_waits_may_have_to_wait_on(telemetry, begin, server):
    """
    Exit code 4, and one line that says so.
    """
    server.will(then={"do": "answer", "status": 503, "headers": {"Retry-After": "3600"}})
    env = {"METRICS_API_URL": server.url}
    process = begin(**env)
    server.wait_for(1)
    process.kill()
    process.wait()
    (first, *_) = answer(telemetry.ask("posts", "list", "--json", **env), 0)["waiting"]
    done = telemetry.ask("posts", "retry", first["run_id"], "--timeout", "0.1", **env)

    assert (done.returncode, "tried again by whoever records" in done.stderr) == (4, True)


def test_an_address_that_is_set_later_hears_of_later_runs(telemetry, record, server):
    """
    What ended before is passed over and counted, and sent when somebody asks for it: each once.
    """
    record()
    env = {"METRICS_API_URL": server.url}
    record(**env)
    later = server.kept()
    found = answer(telemetry.ask("posts", "list", "--json", **env), 0)
    assert (len(later), found["passed_over"], found["waiting"]) == (3, 3, [])
    told = telemetry.ask("posts", "list", **env)
    assert "3 runs ended before posting began" in told.stdout + told.stderr
    assert (
        "3 would be sent"
        in telemetry.ask("posts", "retry", "--since", "1d", "--dry-run", **env).stdout
    )

    server.will({"do": "answer"}, REFUSE)
    assert answer(telemetry.ask("posts", "retry", "--since", "1d", "--json", **env), 1) == {
        "delivered": 2,
        "refused": 1,
        "complete": True,
        "problem": None,
    }
    assert answer(telemetry.ask("posts", "retry", "--all", "--json", **env), 0)["delivered"] == 1

    kept = server.kept()
    assert len(kept) == len(set(kept)) == 6
    assert answer(telemetry.ask("posts", "list", "--json", **env), 0)["passed_over"] == 0
    assert telemetry.ask("posts", "retry", "--since", "1d").returncode == 2
    assert telemetry.ask("posts", "retry", "--since", "1d", "--all", **env).returncode == 2
