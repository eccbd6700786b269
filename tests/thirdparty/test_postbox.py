"""
A distribution of a stranger's, installed for real: found by its entry point, it sinks, observes, signs and answers.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "postbox"
RECORD = """
from telemetry import TelemetryClient
client = TelemetryClient()
with client.track_run("agent", "job") as run:
    run.log_event("sent", {"to": "you"})
print(client.flush(60))
"""


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """
    Install the distribution with pip into a directory of its own, without a network.
    """
    place = tmp_path_factory.mktemp("thirdparty")
    source = shutil.copytree(SOURCE, place / "source")
    target = place / "site"
    command = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
        "--no-compile",
    ]
    subprocess.run(
        [sys.executable, *command, "--disable-pip-version-check", "--target", target, source],
        check=True,
        timeout=100,
        env={**os.environ, "PIP_NO_CACHE_DIR": "1", "PIP_ROOT_USER_ACTION": "ignore"},
    )
    return target


@pytest.fixture
def run(installed, telemetry_base, tmp_path):
    """
    Run Python where the distribution is installed, and return what it printed.
    """

    def run(*arguments, **variables):
        environ = {
            **{name: text for name, text in os.environ.items() if name != "TELEMETRY_PLUGINS"},
            "PYTHONPATH": os.pathsep.join([str(installed), *filter(None, sys.path)]),
            "TELEMETRY_POSTBOX_DIRECTORY": str(tmp_path / "box"),
            "TELEMETRY_POSTBOX_SENDER": "me",
            **variables,
        }
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            check=False,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        assert done.stderr == ""
        return done.stdout

    return run


def test_it_is_found_by_its_entry_point(run):
    """
    `telemetry plugins` says where it comes from and what it adds.
    """
    listed = json.loads(run("-m", "telemetry", "plugins", "--json"))

    (found,) = [each for each in listed["plugins"] if each["name"] == "postbox"]
    assert (
        found["distribution"],
        found["version"],
        found["module"],
        found["state"],
        found["problem"],
    ) == ("telemetry-postbox", "1.2.3", "telemetry_postbox", "loaded", "")
    assert found["hooks"] == [
        "telemetry_register_commands",
        "telemetry_register_processors",
        "telemetry_register_sinks",
        "telemetry_run_ended",
    ]


def test_it_takes_part_in_every_way(run, captured_runs, tmp_path):
    """
    Its sink has every record, its processor signs, its hook adds a field, its command answers.
    """
    assert run("-c", RECORD) == "True\n"

    cards = (tmp_path / "box" / "cards").read_text().split()
    records = captured_runs.records()
    assert cards == [record.id for record in records]
    assert captured_runs.events() == [("sent", {"to": "you", "sender": "me"})]
    assert captured_runs.only().target_ref == "postbox:agent"
    assert run("-m", "telemetry", "postbox", tmp_path / "box") == f"{len(cards)} cards\n"


@pytest.mark.parametrize(
    "variables", [{"TELEMETRY_PLUGINS_DISABLED": "postbox"}, {"TELEMETRY_PLUGINS": "ndjson,sqlite"}]
)
def test_it_stays_out_when_it_is_told_to(variables, run, captured_runs, tmp_path):
    """
    A plugin that the lists exclude is not even imported.
    """
    assert (
        run("-c", RECORD + "import sys; print('telemetry_postbox' in sys.modules)", **variables)
        == "True\nFalse\n"
    )

    assert captured_runs.events() == [("sent", {"to": "you"})]
    assert not (tmp_path / "box").exists()


def test_its_own_tests_pass(run, installed):
    """
    A stranger's tests use telemetry's fixtures and conformance checks with nothing but pip install.
    """
    output = run(
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "--rootdir",
        installed.parent / "source",
        installed.parent / "source" / "checks.py",
    )

    assert " passed" in output
