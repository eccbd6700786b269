"""
The fixtures: isolated, and loaded lazily.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from telemetry import TelemetryClient, current_run, tracked_run
from telemetry.hookspecs import hookimpl
from telemetry.testing import MemorySink


def test_a_base_directory_is_the_tests_own(telemetry_base, tmp_path):
    """
    No setting of the machine reaches the test.
    """
    assert telemetry_base.parent == tmp_path
    assert {name for name in os.environ if name.startswith(("TELEMETRY_", "METRICS_API_"))} == {
        "TELEMETRY_BASE_DIR",
        "TELEMETRY_PLUGINS",
    }
    assert TelemetryClient().config.base_dir == telemetry_base


def test_a_client_records_and_captured_runs_reads(telemetry_client, captured_runs):
    """
    What a test records is there to be looked at when the call returns.
    """
    with telemetry_client.track_run("agent", "job") as run:
        run.log_event("step", {"n": 1})
        assert captured_runs.only().status == "running"
        run.set_metrics(items_discovered=3)

    done = captured_runs.only("agent")
    assert (done.status, done.items_discovered, done.run_id) == ("success", 3, run.run_id)
    assert captured_runs.events(run.run_id) == [("step", {"n": 1})]
    assert captured_runs.runs("another") == []


def test_decorated_functions_record_there_too(captured_runs):
    """
    An agent under test needs no change to be looked at.
    """

    @tracked_run("agent", "job")
    def work():
        current_run().log_event("inside")
        raise KeyError("broken")

    with pytest.raises(KeyError):
        work()

    assert captured_runs.only().status == "failed"
    assert [event_type for event_type, _ in captured_runs.events()] == ["inside"]


@pytest.fixture
def settings_of_the_machine(monkeypatch):
    """
    Set what a user's machine may have set, before the base directory is made.
    """
    for name in ("TELEMETRY_DISABLED", "METRICS_API_URL", "TRACEPARENT", "AGENT_OWNER"):
        monkeypatch.setenv(name, "1")


def test_the_machines_settings_are_gone(settings_of_the_machine, telemetry_base):
    """
    A test records the same wherever it runs.
    """
    config = TelemetryClient().config

    assert (config.disabled, config.metrics_api_url, config.agent_owner) == (False, None, None)
    assert "TRACEPARENT" not in os.environ


def test_only_says_what_there_is(telemetry_client, captured_runs):
    """
    None and two are not one.
    """
    with pytest.raises(AssertionError, match="got 0"):
        captured_runs.only()
    for _ in range(2):
        telemetry_client.start_run("agent", "job")
    with pytest.raises(AssertionError, match="got 2"):
        captured_runs.only()


def test_a_client_can_be_made_with_plugins_and_settings(make_telemetry_client):
    """
    A plugin's author tries it without installing it.
    """
    sink = MemorySink()

    class Plugin:
        @hookimpl
        def telemetry_register_sinks(self):
            return [sink]

    client = make_telemetry_client(plugins=[Plugin()], agent_owner="me")
    client.end_run(client.start_run("agent", "job"))

    assert client.flush(60)
    assert [record.change for record in sink.records] == ["started", "ended"]
    assert client.config.agent_owner == "me"


def test_one_test_does_not_see_the_runs_of_another_first(telemetry_client, captured_runs):
    """
    The same agent in the next test begins with nothing.
    """
    telemetry_client.start_run("twin", "job")
    assert len(captured_runs.runs("twin")) == 1


def test_one_test_does_not_see_the_runs_of_another_second(telemetry_client, captured_runs):
    """
    The same agent in the next test begins with nothing.
    """
    telemetry_client.start_run("twin", "job")
    assert len(captured_runs.runs("twin")) == 1


def test_pytest_loads_next_to_nothing():
    """
    Every test run of every user imports the plugin; it brings the fixtures and no more of telemetry.
    """
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]; import pytest; before = set(sys.modules)\n"
        "import telemetry.testing\n"
        "[getattr(telemetry.testing, name) for name in dir(telemetry.testing)]\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )

    done = subprocess.run(
        [sys.executable, "-S", "-c", program, *filter(None, sys.path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert done.stdout.split() == ["telemetry", "telemetry.testing", "telemetry.testing.fixtures"]
