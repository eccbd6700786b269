"""
Who is alive, with processes that are killed, stopped and resumed for real.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest
import time_machine

from telemetry import TelemetryClient, TelemetryConfig
from telemetry.model.codec import decode_lines, encode_line, relayed
from telemetry.model.records import Change
from telemetry.runtime.liveness import Liveness
from telemetry.runtime.vigil import Vigil
from telemetry.storage.reader import Reader

#: Begins a run, says that it did, and waits to be told to end it.
AGENT = """
import sys
from telemetry import TelemetryClient
client = TelemetryClient(base_dir=sys.argv[1])
run_id = client.start_run("my_agent", "job")
client.log_event(run_id, "working")
assert client.flush(60)
print(run_id, flush=True)
if sys.stdin.readline():
    client.end_run(run_id, items_succeeded=1)
    client.close(60)
    print("ended", flush=True)
"""
NOW = datetime.now(timezone.utc)


@pytest.fixture
def client(tmp_path):
    """
    The next process to look at the base directory.
    """
    client = TelemetryClient(base_dir=tmp_path)
    yield client
    client.close(60)


@pytest.fixture
def agent(child):
    """
    Start an agent; its process and its run id.
    """

    def start():
        process = child(AGENT)
        return process, process.stdout.readline().strip()

    return start


def row(client, run_id):
    """
    Return a run as the database has it, once everything has arrived there.
    """
    assert client.catch_up(20)
    connection = sqlite3.connect(client.config.db_path)
    connection.row_factory = sqlite3.Row
    try:
        found = connection.execute("SELECT * FROM agent_runs WHERE run_id = ?", [run_id])
        return dict(found.fetchone())
    finally:
        connection.close()


def test_a_killed_process_is_found_dead_at_once(client, agent):
    """
    The next process need wait for no time-out; the run ends as failed, at its last sign of life.
    """
    process, run_id = agent()
    assert client.reap() == []
    process.kill()
    process.wait()

    assert client.reap() == [run_id]

    found = row(client, run_id)
    assert found["status"] == "failed"
    assert found["error_summary"].startswith(f"OwnerDied: process {process.pid} on ")
    begun, ended = (
        datetime.fromisoformat(found[name].replace("Z", "+00:00"))
        for name in ("start_time", "end_time")
    )
    assert timedelta(0) <= ended - begun < timedelta(milliseconds=found["duration_ms"] + 1)
    assert client.reap() == []


@pytest.mark.parametrize(
    "journal",
    [
        "raw",
        "shared",
        pytest.param(
            "link",
            marks=pytest.mark.skipif(os.name == "nt", reason="a link needs a privilege there"),
        ),
    ],
)
def test_who_shares_only_the_journal_sees_the_same_lock(tmp_path, journal):
    """
    With a database each, nobody's process is taken for dead because its lock is elsewhere.
    """
    (tmp_path / "shared").mkdir()
    if journal == "link":
        (tmp_path / "link").symlink_to("shared")
    one, other = (
        TelemetryClient(
            TelemetryConfig.from_env(
                {
                    "TELEMETRY_DB_PATH": str(tmp_path / name / "db" / "t.sqlite"),
                    "TELEMETRY_NDJSON_DIR": str(tmp_path / where),
                }
            )
        )
        for name, where in (("one", journal), ("other", journal.replace("link", "shared")))
    )
    run_id = one.start_run("my_agent", "job")
    assert row(other, run_id)["status"] == "running"

    assert other.reap() == []

    one.end_run(run_id)
    one.close(60)
    assert row(other, run_id)["status"] == "success"
    other.close(60)


@pytest.mark.parametrize(("silent_h", "is_dead"), [(0, False), (1, True)])
def test_where_locks_cannot_be_seen_silence_tells(client, silent_h, is_dead):
    """
    A file of locks that is another user's, or that the file system cannot lock.
    """
    run_id = client.start_run("my_agent", "job")
    client.flush(60)
    (found,) = Reader(client.config.db_path).open_runs()
    lock = client.config.state_dir / "alive.lock"
    lock.rename(lock.with_suffix(".old"))
    lock.mkdir()

    with time_machine.travel(NOW + timedelta(hours=silent_h), tick=True):
        death = client._runtime.liveness.death_of({**found, "owner": "0123456789abcdef"})

    assert (death is not None) is is_dead
    client.end_run(run_id)


def test_what_others_add_is_no_sign_of_life(client, agent):
    """
    A dead run ended when its process was last heard of, not when another linked it to a commit.
    """
    process, run_id = agent()
    process.kill()
    process.wait()
    gone = datetime.now(timezone.utc)
    assert client.associate_commit(run_id, "a1b2c3d4", "ci")[0]
    assert row(client, run_id)["git_commit_hash"] == "a1b2c3d4"

    assert client.reap() == [run_id]

    ended = datetime.fromisoformat(row(client, run_id)["end_time"].replace("Z", "+00:00"))
    assert ended < gone


def test_the_command_line_sees_the_death(client, agent, child_environ, tmp_path):
    """
    `telemetry runs` shows what became of it, though nobody has reaped.
    """
    process, run_id = agent()
    process.kill()
    process.wait()

    done = subprocess.run(
        [sys.executable, "-m", "telemetry", "--json", "--base-dir", str(tmp_path), "runs"],
        env=child_environ,
        capture_output=True,
        text=True,
        check=True,
    )

    (shown,) = (run for run in json.loads(done.stdout)["runs"] if run["run_id"] == run_id)
    assert shown["status"] == "failed"
    assert shown["error_summary"].startswith("OwnerDied")


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system cannot stop a process")
def test_a_stopped_process_lives(client, agent):
    """
    Nobody is declared dead for being silent: it goes on where it was, and its end counts.
    """
    process, run_id = agent()
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    # As if it had been asleep for a month.
    with time_machine.travel(NOW + timedelta(days=30), tick=False):
        assert client.reap() == []
    process.send_signal(signal.SIGCONT)
    process.stdin.write("end\n")
    process.stdin.flush()

    assert process.stdout.readline().strip() == "ended"
    assert row(client, run_id)["status"] == "success"


@pytest.mark.parametrize("days", [-400, 400])
def test_a_jump_of_the_clock_kills_nobody(client, agent, days):
    """
    On one host, time is not what death is told by.
    """
    _, run_id = agent()

    with time_machine.travel(NOW + timedelta(days=days), tick=False):
        assert client.reap() == []

    assert row(client, run_id)["status"] == "running"


def test_a_run_of_this_process_lives(client):
    """
    One's own lock cannot be seen, so one's own runs are known by their writer.
    """
    run_id = client.start_run("my_agent", "job")
    client.flush(60)

    assert client.reap() == []
    client.end_run(run_id)


def test_the_owner_s_end_wins_over_the_inferred_one(client):
    """
    An agent that was taken for dead and was not has the last word, however late.
    """
    run_id = client.start_run("my_agent", "job")
    run = client._runtime.runs.find(run_id)
    client._runtime.recorder.change(
        Change.INFERRED,
        run.event_id,
        run_id,
        {"status": "failed", "error_summary": "dead"},
    )
    client.flush(60)
    assert row(client, run_id)["status"] == "failed"

    client.end_run(run_id, status="partial")

    found = row(client, run_id)
    assert found["status"] == "partial"
    assert found["error_summary"] is None


@pytest.mark.parametrize(("silent_h", "is_dead"), [(0, False), (1000, True)])
def test_another_host_is_judged_by_its_silence(client, silent_h, is_dead):
    """
    Its locks cannot be seen from here; a heartbeat keeps its runs alive.
    """
    run_id = client.start_run("my_agent", "job", host="elsewhere")
    client.flush(60)

    with time_machine.travel(NOW + timedelta(hours=silent_h), tick=True):
        assert client.reap() == ([run_id] if is_dead else [])

    if is_dead:
        assert "host elsewhere has been silent" in row(client, run_id)["error_summary"]
    client.end_run(run_id)


@pytest.mark.parametrize("said", ["2020-01-01T00:00:00.000000Z", "2096-01-01T00:00:00.000000Z"])
def test_a_run_shipped_here_is_judged_by_what_was_waited_here(client, said):
    """
    Its machine's clock may be wrong, and its records late: only who heard nothing for so long knows.
    """
    now = [1000.0]
    runtime = client._runtime
    vigil = Vigil(lambda: now[0])
    liveness = Liveness(client.config, runtime.runs, runtime.emitter, runtime.recorder, vigil)

    def ship(change, number, timestamp, **body):
        key = {"event_id": "key-1", "run_id": "run-1", "timestamp": timestamp}
        line = encode_line("run", id=f"{'b' * 16}-{number}", change=change, body=body, **key)
        assert runtime.journal.append(relayed(line[:-1]) + b"\n", 1_795_348_800)
        assert client.catch_up(20)

    ship("started", 1, said, agent_name="seo", host="elsewhere", status="running")
    assert liveness.reap() == []
    now[0] += 899
    ship("updated", 2, said.replace("00Z", "01Z"))
    assert liveness.reap() == []
    now[0] += 899
    assert liveness.reap() == []
    now[0] += 1

    assert liveness.reap() == ["run-1"]

    found = row(client, "run-1")
    assert (found["status"], found["end_time"]) == ("failed", said.replace("00Z", "01Z"))
    assert "host elsewhere has been silent for 900 s" in found["error_summary"]


@pytest.mark.parametrize("text", [None, "", "yesterday", 7])
def test_a_run_without_a_time_is_left_alone(client, text):
    """
    What cannot be dated cannot be judged.
    """
    foreign = {"host": "elsewhere", "owner": "", "updated_at": text, "start_time": text}

    assert client._runtime.liveness.death_of(foreign) is None


def test_a_state_directory_that_cannot_be_written_is_a_notice(tmp_path, capfd):
    """
    The run is recorded all the same.
    """
    (tmp_path / "state").write_text("a file")
    client = TelemetryClient(base_dir=tmp_path)

    run_id = client.start_run("my_agent", "job")
    client.end_run(run_id)
    client.close(0.2)

    assert "alive.lock must be writable" in capfd.readouterr().err
    journal = b"".join(path.read_bytes() for path in client.config.ndjson_dir.iterdir())
    assert journal.count(run_id.encode()) == 2


def test_a_silent_run_sends_heartbeats(client):
    """
    One that has said nothing for long enough, and only that one.
    """
    run_id = client.start_run("my_agent", "job")
    talker = client.start_run("my_agent", "job")
    run = client._runtime.runs.find(run_id)
    run.last_us -= int(client.config.heartbeat_s * 2_000_000)

    client._runtime.liveness.beat()
    client._runtime.liveness.beat()

    journal = b"".join(path.read_bytes() for path in client.config.ndjson_dir.iterdir())
    updates = [each for each in decode_lines(journal).records if each.change == "updated"]
    # What observers found out about a run is no heartbeat: it says more than whose it is.
    beats = [each for each in updates if each.fields().keys() == {"event_id", "run_id"}]
    assert [each.run_id for each in beats] == [run_id]
    for each in (run_id, talker):
        client.end_run(each)
