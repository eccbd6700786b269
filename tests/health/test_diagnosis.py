"""
The checks of `telemetry doctor` over real base directories, and what each finds in spoilt ones.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from datetime import datetime, timezone
from importlib import metadata

import attrs
import pytest

from telemetry import TelemetryClient
from telemetry.config import TelemetryConfig
from telemetry.health import Outcome, Scene
from telemetry.health.clocks import clock
from telemetry.health.diagnosis import DOCTOR_CHECKS
from telemetry.health.installation import has_wal_reset_bug
from telemetry.health.times import moment

posix = pytest.mark.skipif(sys.platform == "win32", reason="modes and owners are POSIX's")

_HOLDER = """
import sys
from pathlib import Path
from telemetry.runtime.leadership import Leadership
leadership = Leadership(Path(sys.argv[1]), "sqlite")
assert leadership.may_work()
print("held", flush=True)
sys.stdin.readline()
"""

_COUNT_HOLDERS = """
import sys
from pathlib import Path
from telemetry.runtime.locks import holders
print(len(holders(Path(sys.argv[1]))))
"""


@pytest.fixture
def said(results_of):
    """
    Return everything that one of the checks says.
    """

    def look(config, name):
        found = results_of(config, DOCTOR_CHECKS, name)
        assert found, name
        return found

    return look


def worst(results):
    return max(result.outcome for result in results)


def test_a_sound_base_has_no_findings(recorded, results_of):
    """
    Whatever this machine warns of, nothing is wrong with what was just recorded.
    """
    for check in DOCTOR_CHECKS:
        found = results_of(recorded, [check], check.name)
        assert found, check.name
        assert worst(found) is not Outcome.FINDING, found


@pytest.mark.parametrize(
    ("version", "has_it"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 53, 0), False),
    ],
)
def test_the_wal_reset_bug_is_known_by_release(version, has_it):
    """
    From 3.7.0 to 3.51.2, but for the two releases it was mended in besides.
    """
    assert has_wal_reset_bug(version) is has_it


def test_a_missing_library_is_found(recorded, said, monkeypatch):
    """
    What the package needs and is missing or too old is named.
    """
    monkeypatch.setattr(
        metadata, "requires", lambda name: ["nowhere-to-be-found>=1", "attrs>=9999", 'x; a == "b"']
    )
    (found,) = said(recorded, "package")

    assert found.outcome is Outcome.FINDING
    assert found.sentence.startswith("nowhere-to-be-found is missing; attrs must be 9999 or newer")


def test_settings_are_told_with_their_source(config, said, tmp_path):
    """
    What is set, from where; secrets stay masked; what cannot be used is a finding.
    """
    config = TelemetryConfig.from_env(
        {
            "TELEMETRY_BASE_DIR": str(tmp_path),
            "TELEMETRY_API_TOKEN": "abc-secret-token",
            "TELEMETRY_BATCH_SIZE": "many",
        }
    )
    results = said(config, "settings")

    details = {detail.name: detail.actual for detail in results[-1].details}
    assert details["base_dir"] == f"{tmp_path} (TELEMETRY_BASE_DIR)"
    assert "abc-secret-token" not in str(results)
    assert worst(results) is Outcome.FINDING
    assert "TELEMETRY_BATCH_SIZE" in results[0].sentence


def test_a_broken_plugin_is_found(recorded, said):
    """
    A name in the lists that is no plugin's leaves the others; those that load are told.
    """
    (found,) = said(recorded, "plugins")
    assert "sqlite" in {detail.name for detail in found.details}
    disabled = attrs.evolve(recorded, plugins_disabled=("git_linker",))
    (found,) = said(disabled, "plugins")
    states = {detail.name: detail.actual.split()[0] for detail in found.details}
    assert (states["git_linker"], states["sqlite"]) == ("disabled", "loaded")


@posix
def test_what_others_may_read_is_told(recorded, said):
    """
    Directories beyond 0700 and files beyond 0600, each with the mode it has.
    """
    recorded.ndjson_dir.chmod(0o755)
    recorded.db_path.chmod(0o644)
    (found,) = said(recorded, "permissions")

    assert found.outcome is Outcome.WARNING
    assert {(detail.name, detail.actual, detail.expected) for detail in found.details} == {
        (str(recorded.ndjson_dir), "0755", "0700"),
        (str(recorded.db_path), "0644", "0600"),
    }
    assert "--fix" in found.way_out


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root gives files away"
)
def test_what_belongs_to_somebody_else_is_found(recorded, said):
    """
    A file that root left behind is what agents fail on.
    """
    os.chown(recorded.db_path, 12345, -1)
    (found,) = said(recorded, "owner")

    assert found.outcome is Outcome.FINDING
    assert "chown" in found.way_out


def test_another_journal_mode_is_told_and_not_changed(recorded, said):
    """
    Looking at a database does not change its file.
    """
    with contextlib.closing(sqlite3.connect(recorded.db_path)) as connection:
        assert connection.execute("PRAGMA journal_mode = delete").fetchone() == ("delete",)
    results = said(recorded, "pragmas")

    assert worst(results) is Outcome.WARNING
    assert "journal_mode" in results[0].sentence
    assert {result.subject for result in results} == {"file", "reader"}
    with contextlib.closing(sqlite3.connect(recorded.db_path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_pragmas_are_told_beside_what_they_should_be(recorded, said):
    """
    The file, a reader and a writer, value by value.
    """
    results = said(recorded, "pragmas")

    assert [result.subject for result in results] == ["file", "reader", "writer"]
    writer = {detail.name: (detail.actual, detail.expected) for detail in results[2].details}
    assert writer["synchronous"] == ("NORMAL", "NORMAL")
    assert worst(results) is Outcome.OK


def test_without_a_database_there_are_no_pragmas(config, said):
    """
    That is a finding, with the way to one.
    """
    (found,) = said(config, "pragmas")

    assert (found.outcome, "telemetry init" in found.way_out) == (Outcome.FINDING, True)


def test_a_missing_index_is_told(recorded, said):
    """
    Without it questions are slow, and right.
    """
    with contextlib.closing(sqlite3.connect(recorded.db_path)) as connection:
        connection.execute("DROP INDEX idx_runs_parent")
        connection.commit()
    (found,) = said(recorded, "indexes")

    assert (found.outcome, "idx_runs_parent" in found.sentence) == (Outcome.WARNING, True)


@pytest.fixture
def holder(recorded):
    """
    A process that drains the database and does nothing.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(recorded.state_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.communicate("\n", timeout=60)


@pytest.mark.skipif(not sys.platform.startswith(("linux", "darwin")), reason="tells no holders")
def test_who_holds_a_lock_is_told(recorded, said, holder):
    """
    The process, and that it drains; once it shows nothing for long, a warning.
    """
    (found,) = said(recorded, "locks")
    (detail,) = [one for one in found.details if one.name == "drain-sqlite.lock"]
    assert detail.actual.startswith(f"process {holder.pid}")
    assert detail.actual.endswith("drains")

    long_ago = time.time() - 3600
    os.utime(recorded.state_dir / "drain-sqlite.lock", (long_ago, long_ago))
    stuck = said(recorded, "locks")[0]
    assert stuck.outcome is Outcome.WARNING
    assert f"process {holder.pid} drains sqlite" in stuck.sentence


@pytest.mark.skipif(not sys.platform.startswith(("linux", "darwin")), reason="tells no holders")
def test_looking_at_locks_takes_none(config, said):
    """
    A process that holds locks itself still holds them after it has looked.
    """
    client = TelemetryClient(config)
    run_id = client.start_run("agent", "job")
    assert client.flush(60)
    try:
        assert worst(said(config, "locks")) is Outcome.OK
        other = subprocess.run(
            [
                sys.executable,
                "-c",
                _COUNT_HOLDERS,
                str(config.state_dir / "alive.lock"),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert other.stdout == "1\n"
    finally:
        client.end_run(run_id)
        client.close(60)


def test_a_clock_that_was_set_back_is_told(recorded, said):
    """
    Records of the future show it.
    """
    (newest,) = recorded.ndjson_dir.iterdir()
    from telemetry.model.codec import encode_line

    with newest.open("ab") as file:
        file.write(
            encode_line(
                "event",
                id="00000000000000aa-1",
                timestamp="2199-01-01T00:00:00.000000Z",
                event_id="e",
                run_id="r",
                event_type="x",
                body=None,
                payload=None,
            )
        )
    found = said(recorded, "clock")

    assert worst(found) is Outcome.WARNING
    assert "set back" in found[0].sentence


def test_a_clock_before_this_release_is_told(recorded):
    """
    A machine without a battery begins in another century.
    """
    scene = Scene(recorded)
    scene.now = datetime(2001, 1, 1, tzinfo=timezone.utc)
    found = [result for result in clock(scene) if "before this release" in result.sentence]

    assert [result.outcome for result in found] == [Outcome.WARNING]


def test_a_package_that_was_never_installed_is_found(recorded, said, monkeypatch):
    """
    Without its metadata no plugin is found, so that nothing would be recorded.
    """

    def unknown(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", unknown)
    (found,) = said(recorded, "package")

    assert (found.outcome, "pip install" in found.way_out) == (Outcome.FINDING, True)


def test_an_old_sqlite_is_found(recorded, said, monkeypatch):
    """
    One without upserts cannot write; one without a known defect is sound.
    """
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 23, 1))
    assert said(recorded, "sqlite")[0].outcome is Outcome.FINDING
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 3))
    assert said(recorded, "sqlite")[0].outcome is Outcome.OK


@pytest.mark.parametrize(
    ("text", "year"),
    [
        ("2026-11-22T00:42:17.123456Z", 2026),
        ("2026-11-22T00:42:17", 2026),
        ("yesterday", None),
        (None, None),
    ],
)
def test_times_are_read_as_the_columns_hold_them(text, year):
    """
    What is none is none.
    """
    found = moment(text)

    assert (found and (found.year, found.tzinfo)) == (year and (year, timezone.utc))
