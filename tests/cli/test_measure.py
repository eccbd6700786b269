"""
`telemetry measure` as its users meet it; how fast this machine is, is not asked.
"""

from __future__ import annotations

import json
import os
import sys
import time

import pytest

LINE = ("measure", "--runs", "5", "--seconds", "20")


def test_figures_stand_beside_the_baselines(telemetry):
    """
    A table of calls, one line a baseline, and a verdict.
    """
    done = telemetry.ask(*LINE)

    assert done.returncode in {0, 1}
    assert "call start" in done.stdout
    assert "runbook: < 50 ms" in done.stdout
    assert "README: < 5 ms" in done.stdout
    assert f"recording into {telemetry.base}" in done.stdout.splitlines()[-1]


def test_a_short_measurement_waits_for_the_database(telemetry):
    """
    However short the recording: the database gets its time, and nothing is said beside the answer.
    """
    telemetry.base.mkdir()
    done = telemetry("measure", "--runs", "100000", "--seconds", "0.1")

    assert (done.returncode in {0, 1}, done.stderr) == (True, "")
    assert "until they were in the database" in done.stdout
    assert not list(telemetry.base.iterdir())


def test_json_has_every_figure(telemetry):
    """
    The same for programs.
    """
    document = json.loads(telemetry.ask(*LINE, "--json").stdout)

    assert document["measured"]["run_count"] == 5
    assert document["measured"]["calls"]["start"]["count"] == 5
    assert {check["name"] for check in document["baselines"]} >= {"write_p95", "throughput"}


def test_nothing_is_left_and_nothing_touched(telemetry):
    """
    The base directory is as it was, and what a killed measurement left an hour ago is gone.
    """
    telemetry.base.mkdir()
    (telemetry.base / "mine").write_text("x")
    old = telemetry.base / ".telemetry-measure-old"
    old.mkdir()
    hours_ago = time.time() - 7200
    os.utime(old, (hours_ago, hours_ago))

    telemetry.ask(*LINE)
    assert [path.name for path in telemetry.base.iterdir()] == ["mine"]


def test_a_base_that_does_not_exist_is_not_made(telemetry):
    """
    Then the figures are those of where it would be.
    """
    telemetry.ask(*LINE)

    assert not telemetry.base.exists()
    assert not list(telemetry.base.parent.glob(".telemetry-measure-*"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_a_place_that_takes_nothing_is_4(telemetry):
    """
    A file in the place of a directory, and what to do about it.
    """
    done = telemetry.ask(*LINE, "--base-dir", "/proc/nowhere")

    assert done.returncode == 4
    assert "name another place" in done.stderr
