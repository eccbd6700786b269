"""
The syncs that a process asks for on its own thread.
"""

from __future__ import annotations

import os
import stat

import pytest

from telemetry import TelemetryClient, TelemetryConfig

SYNC = "fdatasync" if hasattr(os, "fdatasync") else "fsync"


@pytest.fixture
def syncs(monkeypatch):
    """
    Collect the syncs of files; those of directories do not count.
    """
    found = []
    real = getattr(os, SYNC)

    def sync(fd):
        if stat.S_ISREG(os.fstat(fd).st_mode):
            found.append(fd)
        real(fd)

    monkeypatch.setattr(os, SYNC, sync)
    return found


def client_with(tmp_path, policy):
    # No thread of this process syncs by the clock.
    return TelemetryClient(
        TelemetryConfig.from_env(base_dir=tmp_path, fsync=policy, drain="external")
    )


@pytest.mark.parametrize(("policy", "count"), [("always", 4), ("run_end", 1), ("interval", 0)])
def test_a_policy_decides_which_calls_sync(tmp_path, syncs, policy, count):
    """
    ``always`` syncs each record before the call returns, ``run_end`` each run's end.
    """
    client = client_with(tmp_path, policy)
    run_id = client.start_run("agent", "job")
    client.log_event(run_id, "one")
    client.log_event(run_id, "two")
    client.end_run(run_id)

    assert len(syncs) == count


def test_a_sync_that_fails_is_not_felt(tmp_path, monkeypatch):
    """
    A disk that refuses to sync costs a notice; the records are written and the agent goes on.
    """

    def fail(fd):
        raise OSError(5, "input/output error")

    monkeypatch.setattr(os, SYNC, fail)
    client = client_with(tmp_path, "always")
    run_id = client.start_run("agent", "job")
    client.end_run(run_id)

    lines = [
        line for path in (tmp_path / "raw").iterdir() for line in path.read_bytes().splitlines()
    ]
    assert sum(b'"record_type":"run"' in line for line in lines) == 2
