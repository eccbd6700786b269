"""
The service as a process: where it listens, when it refuses to, how it ends.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys

import httpx
import pytest
from servers import ROOT, Server, clean_env

RUNS = "/api/v1/runs"
MOST_POSTS = 5000
needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


def serve(base, *arguments, **settings):
    return subprocess.run(
        [sys.executable, "-m", "telemetry.service", *arguments],
        env=clean_env(base, **settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@needs_signals
def test_a_signal_ends_it_and_nothing_is_lost(own_server, new):
    """
    SIGTERM: code 0, and what was acknowledged is there after the next start; no lock is left.
    """
    runs = [new() for _ in range(50)]
    httpx.post(f"{own_server.url}{RUNS}/batch", json=runs, timeout=60)

    assert own_server.stop() == 0
    messages = [json.loads(line)["message"] for line in own_server.log().splitlines()]
    assert messages == ["started", "stopped"]
    assert not (own_server.base / "state" / "service.json").exists()
    own_server.start()
    assert len(httpx.get(f"{own_server.url}{RUNS}", timeout=60).json()) == 50


def test_what_was_acknowledged_outlives_a_kill(own_server, new):
    """
    Killed right after its answer, it knows the runs when it is back, each once.
    """
    runs = [new() for _ in range(300)]
    for first in range(0, len(runs), 100):
        some = runs[first : first + 100]
        httpx.post(f"{own_server.url}{RUNS}/batch", json=some, timeout=60)
        own_server.kill()
        own_server.start()

    found = httpx.get(f"{own_server.url}{RUNS}?limit=1000", timeout=60).json()
    again = httpx.post(f"{own_server.url}{RUNS}/batch", json=runs, timeout=60).json()
    assert {run["event_id"] for run in found} == {run["event_id"] for run in runs}
    assert (len(found), again["duplicates"]) == (300, 300)


def test_a_second_service_says_who_is_the_first(server):
    """
    One service for a base directory; the second one ends with code 4.
    """
    done = serve(server.base, "--port", "0")

    assert (done.returncode, done.stdout) == (4, "")
    assert f"process {server.process.pid} " in done.stderr
    assert server.url in done.stderr


@needs_signals
def test_a_second_service_may_wait_for_the_end_of_the_first(tmp_path):
    """
    With --wait it takes over when the first one ends; a signal ends the wait.
    """
    first = Server(tmp_path / "base").start()
    command = [sys.executable, "telemetry_service.py", "--port", "0", "--wait"]
    waiting = subprocess.Popen(
        command, cwd=ROOT, env=clean_env(first.base), stdout=subprocess.PIPE, text=True
    )
    try:
        first.stop()
        assert " at http://127.0.0.1:" in waiting.stdout.readline()
    finally:
        waiting.send_signal(signal.SIGINT)
        waiting.communicate(timeout=60)
    assert waiting.returncode == 0


def test_an_address_of_nowhere_is_quoted(tmp_path):
    """
    So that an empty name, or a space in one, is seen.
    """
    name = "example .invalid"
    done = serve(tmp_path, "--port", "0", "--host", name, "--allow-unauthenticated")

    assert done.returncode == 4
    assert "must be one of this machine (got 'example .invalid': " in done.stderr


def test_a_port_that_is_taken_is_named(tmp_path):
    """
    Code 4, and the way out.
    """
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])

        done = serve(tmp_path, "--port", port)

    assert done.returncode == 4
    assert f"port {port} of 127.0.0.1 must be free" in done.stderr
    assert "--port" in done.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "example.invalid"])
def test_strangers_are_not_served_without_a_token(tmp_path, host):
    """
    Another address than loopback's is refused with code 2, unless a token is asked for.
    """
    done = serve(tmp_path, "--host", host, "--port", "0")

    assert done.returncode == 2
    assert "--allow-unauthenticated" in done.stderr


def test_a_token_that_cannot_be_used_opens_nothing(tmp_path):
    """
    Whoever set one wants to be protected: the service says what is wrong, and does not start.
    """
    done = serve(tmp_path, "--port", "0", TELEMETRY_API_AUTH_TOKEN="schlüssel" * 5)

    assert done.returncode == 2
    assert "TELEMETRY_API_AUTH_TOKEN must be" in done.stderr
    assert "schlüssel" not in done.stderr


def test_nobody_says_for_whom_he_asks(tmp_path):
    """
    A header that only a proxy should send changes neither whose requests are counted nor the log.
    """
    limits = {"TELEMETRY_RATE_LIMIT_ENABLED": "1", "TELEMETRY_RATE_LIMIT_RPM": "3"}
    with Server(tmp_path / "base", **limits) as server:
        answers = [
            httpx.get(f"{server.url}{RUNS}", headers={"X-Forwarded-For": f"192.0.2.{n}"})
            for n in range(4)
        ]
        server.stop()

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert "192.0.2" not in server.log()


@pytest.mark.parametrize(
    "settings",
    [
        {"TELEMETRY_API_AUTH_TOKEN": "t" * 40},
        {"TELEMETRY_API_ALLOW_UNAUTHENTICATED": "true"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_strangers_are_served_where_somebody_said_so(tmp_path, settings):
    """
    With a token, or in so many words.
    """
    with Server(tmp_path / "base", TELEMETRY_API_HOST="0.0.0.0", **settings) as found:
        url = found.url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{url}/healthz", timeout=60).status_code == 200


@needs_signals
def test_a_journal_that_takes_nothing_is_said(own_server, new):
    """
    503 with Retry-After, and nothing is changed; when it takes records again, so does the service.
    """
    raw, away = own_server.base / "raw", own_server.base / "away"
    with httpx.Client(base_url=own_server.url, timeout=60) as api:
        good, run = new(), new()
        assert api.post(RUNS, json=good).status_code == 201
        assert api.get(f"{RUNS}/{good['event_id']}").status_code == 200
        raw.rename(away)
        raw.write_text("no directory")
        # The journal makes sure of its file once a second: until then it writes to the old one.
        for _ in range(MOST_POSTS):
            refused = api.post(RUNS, json=new())
            if refused.status_code != 201:
                break
        edit = api.patch(f"{RUNS}/{good['event_id']}", json={"items_failed": 1})
        raw.unlink()
        away.rename(raw)

        assert (refused.status_code, edit.status_code) == (503, 503)
        assert refused.headers["retry-after"]
        assert refused.json()["type"].startswith("urn:telemetry:problem:")
        assert str(own_server.base) not in refused.text
        for _ in range(MOST_POSTS):
            answer = api.post(RUNS, json=run)
            if answer.status_code == 201:
                break
        assert answer.json()["status"] == "created"
        found = api.get(f"{RUNS}/{good['event_id']}").json()
    assert found["items_failed"] == 0
