from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys

import pytest

from telemetry.client import TelemetryClient
from telemetry.config import TelemetryConfig
from telemetry.storage.integrity import check_database
from telemetry.storage.looking import UnreachableError, look_into
from telemetry.storage.reader import Reader
from telemetry.storage.recovery import check

_READS = """
import resource, sys
from pathlib import Path

from telemetry.storage.reader import Reader
from telemetry.storage.recovery import check

# No file may grow, as on a full disk.
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
path = Path(sys.argv[1])
print([row["agent_name"] for row in Reader(path).runs()], check(path))
"""


@pytest.fixture
def path(tmp_path):
    """
    A database with one run, at rest.
    """
    client = TelemetryClient(TelemetryConfig(base_dir=tmp_path / "base"))
    with client.track_run("agent", "job"):
        pass
    assert client.close(60)
    return client.config.db_path


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_a_database_at_rest_is_read_where_nothing_can_be_written(path):
    """
    Where no file can be made beside it, a sound database is read and found sound.
    """
    for _ in range(2):  # the first leaves an empty file behind
        done = subprocess.run(
            [sys.executable, "-c", _READS, str(path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert done.stdout == "['agent'] []\n", done.stderr


def test_a_locked_database_is_not_damaged(path, monkeypatch):
    """
    Who holds the lock keeps a database from being looked into; that is no damage.
    """
    monkeypatch.setattr("telemetry.storage.sqlite.READER_BUSY_TIMEOUT_S", 0.05)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        for look in (look_into, check, check_database):
            with pytest.raises(UnreachableError, match=r"must be readable now .*telemetry doctor"):
                look(path)


def test_what_is_no_database_is_damage(path):
    """
    A file that holds something else is said to be damaged, and not to be out of reach.
    """
    path.write_bytes(b"not a database, " * 1000)

    assert check(path)
    assert check_database(path)


def test_an_answer_shows_what_was_written_before(path):
    """
    Each look shows all that is committed, also what still stands in the log.
    """
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("UPDATE agent_runs SET agent_name = 'renamed'")

        assert [row["agent_name"] for row in Reader(path).runs()] == ["renamed"]
