"""
Telemetry switched off: free, silent, and of the same shape.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import telemetry
from telemetry import TelemetryClient, TelemetryConfig, current_run, tracked_run

RUN_ID = re.compile(r"\d{8}T\d{6}Z-my_agent-[0-9a-f]{8}")

#: Does all that a program can do, badly too, and says what is left of it in the process.
PROGRAM = """
import asyncio, sys, threading
from telemetry import TelemetryClient, current_run, tracked_run

client = TelemetryClient.from_env()
run_id = client.start_run("my_agent", "job", items_discoverd=3, items_failed=-1)
client.log_event(run_id, "step", {"a": object()})
client.log_event("nobody's", "step")
client.end_run(run_id, status="odd")
client.end_run(run_id)
client.end_run("nobody's")
client.start_run(7, None, run_id="a/b")
with client.track_run("my_agent", "job") as run:
    run.log_event("step")
    run.set_metrics(unknown=1)
    assert current_run() is run

@tracked_run
def work():
    return 7

assert work() == 7
assert client.associate_commit(run_id, "a1b2c3d", "llm")[0] is False
assert client.get_stats()["total_runs"] == 0
assert client.flush() and client.catch_up() and client.close()
assert client.reap() == []
assert threading.active_count() == 1
for name in ("telemetry_plugins", "sqlite3", "rich", "click", "structlog"):
    assert name not in sys.modules, name
"""


@pytest.fixture
def client(tmp_path):
    """
    A client that is switched off.
    """
    return TelemetryClient(TelemetryConfig.from_env({}, base_dir=tmp_path / "b", disabled=True))


@pytest.mark.parametrize("strict", ["0", "1"])
def test_a_program_leaves_no_trace(tmp_path, strict):
    """
    No file, no thread, no plugin and no word, whatever the program does, strictly or not.
    """
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(telemetry.__file__).parents[1]),
        "TELEMETRY_DISABLED": "1",
        "TELEMETRY_STRICT": strict,
        "TELEMETRY_BATCH_SIZE": "many",
        "TELEMETRY_BASE_DRI": "misspelt",
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(home.iterdir()) == []


def test_ids_are_of_the_usual_form(client):
    """
    A program that prints its run's id or hands it on does what it always does.
    """
    with client.track_run("my_agent", "job") as run:
        pass

    assert RUN_ID.fullmatch(client.start_run("my_agent", "job"))
    assert client.start_run("my_agent", "job", run_id="mine") == "mine"
    assert RUN_ID.fullmatch(run.run_id)
    assert len(run.event_id) == 36
    assert len(run.trace_id) == 32


def test_nested_runs_share_their_trace(client):
    """
    What a run says about itself to others holds together.
    """

    async def nest():
        async with client.track_run("my_agent", "outer") as outer:
            async with client.track_run("my_agent", "inner") as inner:
                assert current_run() is inner
            assert current_run() is outer
        return outer.trace_id, inner.trace_id

    outer, inner = asyncio.run(nest())

    assert outer == inner


def test_a_commit_is_refused_with_the_reason(client):
    """
    The answer says what is the matter.
    """
    run_id = client.start_run("my_agent", "job")

    linked, message = client.associate_commit(run_id, "a1b2c3d", "llm")

    assert not linked
    assert message.startswith("telemetry is disabled")


def test_stats_have_the_shape_of_real_ones(client, tmp_path):
    """
    Zeros, under the names of an empty database's.
    """
    real = TelemetryClient(base_dir=tmp_path / "real")
    try:
        assert client.get_stats() == real.get_stats()
    finally:
        real.close()


def test_an_exception_goes_on_as_it_is(client):
    """
    A block and a decorated function change nothing about it.
    """
    error = ValueError("x")

    @tracked_run("my_agent", "job", client=client)
    def fail():
        raise error

    with pytest.raises(ValueError, match="x") as caught:
        fail()

    assert caught.value is error
    assert not current_run()


def test_everything_answers_at_once(client):
    """
    There is nothing to wait for, so all of nothing has arrived; also after `close`.
    """
    assert client.close()

    assert client.flush()
    assert client.catch_up()
    assert client.reap() == []
    client.end_run(client.start_run("my_agent", "job"))
