"""
Base directories for the checks: recorded by real clients, spoilt by hand.
"""

from __future__ import annotations

import pytest

from telemetry import TelemetryClient
from telemetry.config import TelemetryConfig
from telemetry.health import Limits, Scene, perform


@pytest.fixture
def config(tmp_path):
    """
    Settings for a directory of this test.
    """
    return TelemetryConfig(base_dir=tmp_path / "base", agent_owner="tests")


@pytest.fixture
def recorded(config):
    """
    A base directory with four runs that ended, one of them badly.
    """
    client = TelemetryClient(config)
    for number in range(4):
        run_id = client.start_run("agent", "job")
        client.log_event(run_id, "step", {"n": number})
        client.end_run(run_id, status="failed" if number == 3 else "success")
    assert client.close(60)
    return config


@pytest.fixture
def results_of():
    """
    Make checks over a base directory; return what one of them said.
    """

    def look(config, checks, name, **limits):
        scene = Scene(config, Limits(**limits))
        return [result for result in perform(checks, scene) if result.name == name]

    return look
