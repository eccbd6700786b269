"""
The command line as its users meet it: real processes over real base directories.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from telemetry import TelemetryClient
from telemetry.cli.main import invoke
from telemetry.config import TelemetryConfig

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60
#: Text that must never reach a terminal as it is.
HOSTILE = "evil\x1b[31m\x1b]0;title\x07\u202e\x9bname"

_RECORD = """
import os, sys
from telemetry import TelemetryClient

client = TelemetryClient()
hostile = sys.argv[1]
with client.track_run("importer", "nightly", input_summary="a.csv") as parent:
    parent.log_event("begun", {"file": "a.csv"})
    with client.track_run("importer", "part", item_name="rows") as child:
        child.log_event("row", {"n": 1})
        child.set_metrics(items_discovered=3, items_succeeded=2, items_failed=1, status="partial")
    parent.set_metrics(items_discovered=3, items_succeeded=3)
    parent.associate_commit("a1b2c3d4e5f6", "ci", "Ann <ann@example.org>")
try:
    with client.track_run("mailer", "send"):
        raise OSError("no route")
except OSError:
    pass
with client.track_run(hostile, "job", output_summary=hostile) as run:
    run.log_event(hostile, {"text": hostile})
client.start_run("sleeper", "never-ends", run_id="own-1")
client.flush()
os._exit(0)
"""


class Telemetry:
    """
    Calls ``telemetry`` in a process of its own.
    """

    def __init__(self, base):
        self.base = base

    def env(self, **more):
        """
        Return the environment of the process: this one's without settings, colours and sizes.
        """
        begins = (
            "TELEMETRY_",
            "METRICS_API_",
            "AGENT_",
            "NO_COLOR",
            "FORCE_COLOR",
            "COLUMNS",
            "LINES",
            "TTY_",
            "COV_",
        )
        env = {name: text for name, text in os.environ.items() if not name.startswith(begins)}
        env["PYTHONPATH"] = str(ROOT)
        env["PYTHONIOENCODING"] = "utf-8"
        env["TERM"] = "xterm"
        env["TELEMETRY_BASE_DIR"] = str(self.base)
        return {**env, **more}

    def command(self, *args):
        """
        Return the words that start it.
        """
        return [sys.executable, "-m", "telemetry", *map(str, args)]

    def __call__(self, *args, env=None, **options):
        options = {"capture_output": True, "text": True, "encoding": "utf-8", **options}
        return subprocess.run(
            self.command(*args),
            env=self.env(**(env or {})),
            timeout=TIMEOUT_S,
            check=False,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            **options,
        )

    def ask(self, *args, **env):
        """
        Answer in this process: for commands that only read what is settled, many times as fast.
        """
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="\n") for _ in range(2))
        whole = self.env(**env)
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.dict(os.environ, whole, clear=True))
            stack.enter_context(contextlib.redirect_stdout(out))
            stack.enter_context(contextlib.redirect_stderr(err))
            code = invoke([str(arg) for arg in args])
        texts = []
        for stream in (out, err):
            stream.flush()
            texts.append(stream.buffer.getvalue().decode())
        return subprocess.CompletedProcess(args, code, *texts)

    def json(self, *args):
        """
        Return the JSON document that a command answers.
        """
        done = self.ask(*args, "--json")
        assert not done.stderr, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def telemetry(tmp_path):
    """
    The command line over an empty base directory.
    """
    return Telemetry(tmp_path / "base")


@pytest.fixture
def sound(telemetry):
    """
    The command line over a base directory with one run, made in this process.
    """
    client = TelemetryClient(TelemetryConfig(base_dir=telemetry.base))
    with client.track_run("agent", "job"):
        pass
    assert client.close(60)
    return telemetry


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    """
    The command line over a base directory with runs of every kind; tests only read it.

    From the oldest: a run with a nested one, a failed one, one with hostile texts, and one whose
    process has gone.
    """
    shell = Telemetry(tmp_path_factory.mktemp("recorded") / "base")
    subprocess.run(
        [sys.executable, "-c", _RECORD, HOSTILE], env=shell.env(), check=True, timeout=TIMEOUT_S
    )
    # The first look records the death, so that every test sees the same.
    assert shell("runs").returncode == 0
    return shell
