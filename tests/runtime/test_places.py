"""
Where records go when the base directory cannot take them.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile

import pytest
from forking import in_child

from telemetry import TelemetryClient, TelemetryConfig
from telemetry.runtime.places import make_private, unusable, usable

posix = pytest.mark.skipif(sys.platform == "win32", reason="modes and users are those of POSIX")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """
    A user's own state directory and a directory for temporary files, both of this test.
    """
    state, temporary = tmp_path / "user", tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("platformdirs.user_state_dir", lambda name: str(state / name))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    return state, temporary


@pytest.fixture
def blocked(tmp_path):
    """
    Settings whose base directory is a file.
    """
    place = tmp_path / "file"
    place.write_text("a file")
    return TelemetryConfig.from_env({}, base_dir=place)


@pytest.mark.parametrize("umask", [0, 0o277, 0o777])
def test_a_directory_that_is_missing_is_made_private(tmp_path, umask):
    """
    With all that is missing above it, whatever the umask.
    """
    before = os.umask(umask)
    try:
        make_private(tmp_path / "a" / "b")
    finally:
        os.umask(before)

    assert (tmp_path / "a" / "b").is_dir()
    if sys.platform != "win32":
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_settings_that_work_are_left_as_they_are(tmp_path):
    """
    The same object, and nothing is said.
    """
    config = TelemetryConfig.from_env({}, base_dir=tmp_path / "new")

    assert usable(config) is config
    assert unusable(config.ndjson_dir) is None


def test_records_go_to_the_user_s_state_directory(blocked, elsewhere, capfd):
    """
    Where a file stands in the way; the notice names both places and the way out.
    """
    state, _ = elsewhere
    client = TelemetryClient(blocked)
    with client.track_run("my_agent", "job") as run:
        pass

    assert client.flush(60)
    assert client.config.base_dir == state / "telemetry"
    assert client.get_stats()["total_runs"] == 1
    client.close()
    said = capfd.readouterr().err
    assert said.count(f"recording into {state / 'telemetry'} instead") == 1
    assert "set TELEMETRY_BASE_DIR" in said
    assert run.run_id


@posix
def test_then_to_a_directory_for_temporary_files(blocked, elsewhere):
    """
    Of the user's own name there.
    """
    state, temporary = elsewhere
    state.write_text("a file")

    assert usable(blocked).base_dir == temporary / f"telemetry-{os.getuid()}"


@posix
def test_a_trap_in_the_directory_for_temporary_files_is_not_taken(blocked, elsewhere, capfd):
    """
    A link that somebody else may have put there leads nowhere; records wait in memory.
    """
    state, temporary = elsewhere
    state.write_text("a file")
    (temporary / "trap").mkdir()
    (temporary / f"telemetry-{os.getuid()}").symlink_to(temporary / "trap")
    client = TelemetryClient(blocked)

    with client.track_run("my_agent", "job") as run:
        run.log_event("x")

    assert client.config.base_dir == blocked.base_dir
    assert list((temporary / "trap").iterdir()) == []
    client.close(0.2)
    assert "records wait in memory" in capfd.readouterr().err


@posix
def test_a_directory_of_somebody_else_is_not_usable(tmp_path):
    """
    Neither itself nor a new one in it.
    """
    others = tmp_path / "others"
    others.mkdir(mode=0o700)
    others.chmod(0o500)
    if os.getuid() != 0:
        assert unusable(others) == "no permission to write"
        assert unusable(others / "raw") is not None
        return

    # Nothing is closed to root, so a child asks as somebody else.
    def as_somebody_else():
        os.setuid(65534)
        return unusable(others)

    assert in_child(as_somebody_else) not in {"None", ""}


def test_a_directory_deleted_while_running_is_made_again(tmp_path):
    """
    What was in it is gone; what is recorded later is kept.
    """
    base = tmp_path / "base"
    client = TelemetryClient(base_dir=base)
    client.end_run(client.start_run("my_agent", "before"))
    assert client.flush(60)
    client.close(60)
    shutil.rmtree(base)

    with client.track_run("my_agent", "after") as run:
        pass
    assert client.flush(60)

    journal = b"".join(path.read_bytes() for path in client.config.ndjson_dir.iterdir())
    assert run.run_id.encode() in journal
    assert client.get_stats()["total_runs"] == 1
    client.close()
