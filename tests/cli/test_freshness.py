"""
Whether the database has all that the journal has, told without reading the journal.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from telemetry import TelemetryClient
from telemetry.cli.freshness import is_current
from telemetry.config import TelemetryConfig
from telemetry.runtime.alive import LOCK_NAME, all_live

TIMEOUT_S = 60
ONE_RUN = """
from telemetry import tracked_run

@tracked_run("agent", "job")
def main():
    pass

main()
"""
AT_WORK = """
import sys
from telemetry import TelemetryClient

client = TelemetryClient()
client.start_run("agent", "job")
# Twice: where the run works is recorded by what the first one waits for.
print(client.flush(60) and client.flush(60), flush=True)
sys.stdin.read()
"""
#: A line as the original system wrote it.
FOREIGN = b'{"record_type":"run","run_id":"old-1","agent_name":"old"}\n'


class Base:
    """
    A base directory, and what a command would find in it.
    """

    def __init__(self, path):
        self.config = TelemetryConfig.from_env({}, base_dir=path)

    def record(self):
        client = TelemetryClient(self.config)
        client.end_run(client.start_run("agent", "job"))
        assert client.flush(TIMEOUT_S)
        client.close(TIMEOUT_S)

    def catch_up(self):
        client = TelemetryClient(self.config)
        assert client.catch_up(TIMEOUT_S)
        client.close(TIMEOUT_S)

    @property
    def segment(self):
        (path,) = self.config.ndjson_dir.glob("events_*.ndjson")
        return path

    @property
    def is_current(self):
        return is_current(str(self.config.db_path), str(self.config.ndjson_dir))

    @property
    def is_current_for_a_reader(self):
        config = self.config
        return is_current(str(config.db_path), str(config.ndjson_dir), str(config.state_dir))


@pytest.fixture(name="base")
def _base(tmp_path):
    base = Base(tmp_path / "base")
    base.record()
    return base


def test_what_was_followed_is_current(base):
    """
    Nothing is outstanding behind a flush, and something is once a line was added.
    """
    assert base.is_current

    with base.segment.open("ab") as file:
        file.write(FOREIGN)
    assert not base.is_current

    base.catch_up()
    assert base.is_current


def test_a_torn_tail_is_nothing(base):
    """
    The beginning of a line, which a killed process or a full disk left, can never be followed.
    """
    with base.segment.open("ab") as file:
        file.write(b'{"lt":1,"record_type":"ev')

    assert base.is_current


def test_a_file_without_a_header_is_known_by_its_name(base):
    """
    Also a file of the original system is read to its end once.
    """
    base.segment.with_name("events_20250101.ndjson").write_bytes(FOREIGN)
    assert not base.is_current

    base.catch_up()
    assert base.is_current


def test_a_copy_is_known_by_its_name(base):
    """
    A copy beside its original is another file, followed once.
    """
    shutil.copy(base.segment, base.segment.with_name("events_29991231.ndjson"))
    assert not base.is_current

    base.catch_up()
    assert base.is_current


def test_other_files_are_not_looked_at(base):
    """
    What the journal does not read is not waited for.
    """
    directory = base.config.ndjson_dir
    for name in ("notes.ndjson", "events_today.ndjson", "events_20260101.txt"):
        (directory / name).write_bytes(FOREIGN)

    assert base.is_current


def test_a_file_that_was_written_anew_is_outstanding(base):
    """
    A file shorter than what was followed is another one.
    """
    base.segment.write_bytes(FOREIGN)

    assert not base.is_current


@pytest.mark.parametrize("is_killed", [False, True], ids=["at work", "killed"])
def test_an_open_run_is_nothing_to_do_while_its_process_lives(tmp_path, is_killed):
    """
    A run in progress needs no look at anything else; one whose process is gone does.
    """
    base = Base(tmp_path / "base")
    agent = subprocess.Popen(
        [sys.executable, "-c", AT_WORK],
        env={**os.environ, "TELEMETRY_BASE_DIR": str(tmp_path / "base")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with agent:
        assert agent.stdout.readline() == b"True\n"
        if is_killed:
            agent.kill()
            agent.wait(TIMEOUT_S)

        assert not base.is_current
        assert base.is_current_for_a_reader is not is_killed
        agent.stdin.close()


def test_an_open_run_without_an_owner_is_something_to_do(base):
    """
    Whether the process of a run lives that was recorded from elsewhere, another way must tell.
    """
    with closing(sqlite3.connect(base.config.db_path)) as connection, connection:
        connection.execute("DELETE FROM run_records")
        connection.execute("UPDATE agent_runs SET status = 'running'")

    assert not base.is_current_for_a_reader


def test_without_the_file_of_locks_nobody_is_known_to_live(tmp_path):
    """
    Nor by a writer that is none.
    """
    lock = tmp_path / LOCK_NAME

    assert not all_live(str(lock), ["0123456789abcdef"])

    lock.touch()
    assert not all_live(str(lock), ["0123456789abcdef"])
    assert not all_live(str(lock), ["nobody"])


def test_a_program_that_has_ended_left_nothing_behind(tmp_path, monkeypatch):
    """
    Where a run worked is recorded behind its end, and stored with it.
    """
    work_dir = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", work_dir], check=True, timeout=TIMEOUT_S)
    monkeypatch.setenv("TELEMETRY_BASE_DIR", str(tmp_path / "base"))
    monkeypatch.setenv("TELEMETRY_EXIT_TIMEOUT_S", str(TIMEOUT_S))

    subprocess.run([sys.executable, "-c", ONE_RUN], check=True, cwd=work_dir, timeout=TIMEOUT_S)

    base = Base(tmp_path / "base")
    assert b'"git_repo"' in base.segment.read_bytes()
    assert base.is_current
