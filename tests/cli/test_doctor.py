"""
`telemetry doctor` as its users meet it.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys

import pytest


def test_a_sound_base_is_0(sound):
    """
    Every check is told, warnings of this machine included.
    """
    done = sound.ask("doctor")

    assert (done.returncode, done.stderr) == (0, "")
    for name in ("python", "sqlite", "settings", "permissions", "pragmas", "locks", "backlog"):
        assert f" {name} " in done.stdout
    assert f"base_dir = {sound.base} (TELEMETRY_BASE_DIR)" in done.stdout
    assert f"{sound.base} is sound" in done.stdout.splitlines()[-1]


def test_nothing_is_made_without_being_asked(telemetry):
    """
    A base directory that does not exist is told with code 3, and does not exist afterwards.
    """
    done = telemetry.ask("doctor")

    assert done.returncode == 3
    assert telemetry.ask("doctor", "--only", "python").returncode == 0
    assert "needs attention" in done.stdout.splitlines()[-1]
    assert not telemetry.base.exists()


def test_fix_makes_what_is_missing_and_says_so(telemetry):
    """
    From nothing to sound; a second time there is nothing to do.
    """
    done = telemetry.ask("doctor", "--fix")
    assert done.returncode == 0, done.stdout
    assert f"made the directory {telemetry.base}" in done.stdout
    assert "made the database" in done.stdout

    again = telemetry.json("doctor", "--fix", "--only", "storage")
    assert again["fixed"] == ["there was nothing to repair"]


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")
def test_fix_takes_rights_from_others_and_makes_indexes(sound):
    """
    Modes and indexes; the runs stay as they are.
    """
    database = sound.base / "db" / "telemetry.sqlite"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("DROP INDEX idx_runs_parent")
        connection.commit()
    database.chmod(0o644)
    (sound.base / "raw").chmod(0o755)

    line = ["doctor", "--only", "permissions", "--only", "indexes", "--strict"]
    assert sound.ask(*line).returncode == 1
    fixed = sound.json(*line, "--fix")["fixed"]
    assert fixed == [
        f"made the directory {sound.base / 'backups'}",
        "made the indexes idx_runs_parent",
        f"changed the mode of {sound.base / 'raw'} from 0755 to 0700",
        f"changed the mode of {database} from 0644 to 0600",
    ]
    assert sound.ask(*line).returncode == 0
    assert len(sound.json("runs")["runs"]) == 1


def test_fix_leaves_a_damaged_database_alone(sound):
    """
    What holds data is for recover.
    """
    database = sound.base / "db" / "telemetry.sqlite"
    database.write_bytes(b"no database at all" * 100)

    done = sound.ask("doctor", "--fix")
    assert done.returncode == 1
    assert "telemetry recover" in done.stdout
    assert database.read_bytes().startswith(b"no database")


def test_only_makes_some_checks(sound):
    """
    One or several by name; an unknown one is refused with the list.
    """
    document = sound.json("doctor", "--only", "pragmas", "--only", "locks")
    assert {check["name"] for check in document["checks"]} == {"pragmas", "locks"}
    done = sound.ask("doctor", "--only", "everything")
    assert done.returncode == 2
    assert "they are python, package, sqlite" in done.stderr


def test_json_has_values_beside_what_is_expected(sound):
    """
    Each PRAGMA with its actual and its expected value.
    """
    done = sound.ask("doctor", "--json", "--only", "pragmas")
    (of_file, *_) = json.loads(done.stdout)["checks"]

    assert of_file["subject"] == "file"
    first = of_file["details"][0]
    assert (first["name"], first["actual"]) == ("journal_mode", first["expected"])


def test_a_service_that_does_not_answer_is_a_warning(sound):
    """
    Checks of plugins are made, too: nothing listens at the discard port.
    """
    line = ["doctor", "--only", "service"]
    done = sound.ask(*line, TELEMETRY_API_URL="http://127.0.0.1:9")

    assert done.returncode == 0
    assert "http://127.0.0.1:9 does not answer" in done.stdout
    assert "records wait in the journal" in done.stdout


def test_a_service_that_answers_is_told(sound, httpserver):
    """
    Any service at the address that says that it is well.
    """
    httpserver.expect_request("/healthz").respond_with_json({"status": "ok"})
    line = ["doctor", "--only", "service"]
    done = sound.ask(*line, TELEMETRY_API_URL=httpserver.url_for("").rstrip("/"))
    assert (done.returncode, " answers\n" in done.stdout) == (0, True)

    httpserver.clear()
    httpserver.expect_request("/healthz").respond_with_data("no", status=503)
    done = sound.ask(*line, "--strict", TELEMETRY_API_URL=httpserver.url_for("").rstrip("/"))
    assert (done.returncode, "answers with 503" in done.stdout) == (1, True)
