"""
Whether the database has all that the journal has, told without reading the journal.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from telemetry import TelemetryClient
from telemetry.cli.freshness import is_current
from telemetry.config import TelemetryConfig

TIMEOUT_S = 60
ONE_RUN = """
from telemetry import tracked_run

@tracked_run("agent", "job")
def main():
    pass

main()
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
