"""
Where the data lie: which of the ways to name a directory wins.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest

from telemetry.config import TelemetryConfig
from telemetry.config.places import base_above, find_base

on_posix = pytest.mark.skipif(os.name == "nt", reason="the paths are POSIX paths")


def test_an_argument_overrules_the_environment_whole(tmp_path):
    """
    A base directory that the program names is not mixed with places of another one.
    """
    environ = {
        "TELEMETRY_DB_PATH": str(tmp_path / "other" / "db" / "x.sqlite"),
        "TELEMETRY_NDJSON_DIR": str(tmp_path / "other" / "raw"),
        "TELEMETRY_BASE_DIR": str(tmp_path / "third"),
    }

    config = TelemetryConfig.from_env(environ, base_dir=tmp_path / "mine")

    assert config.base_dir == tmp_path / "mine"
    assert config.ndjson_dir == tmp_path / "mine" / "raw"
    assert config.db_path == tmp_path / "mine" / "db" / "telemetry.sqlite"
    assert config.sources["base_dir"] == "argument"
    assert config.problems == ()


def test_the_databases_path_overrules_the_base_directory(tmp_path):
    """
    TELEMETRY_DB_PATH decides, the base directory is two levels above it, and the loser is told.
    """
    database = tmp_path / "a" / "db" / "x.sqlite"

    config = TelemetryConfig.from_env(
        {"TELEMETRY_DB_PATH": str(database), "TELEMETRY_BASE_DIR": str(tmp_path / "b")}
    )

    assert (config.base_dir, config.db_path) == (tmp_path / "a", database)
    assert config.ndjson_dir == tmp_path / "a" / "raw"
    assert config.sources["base_dir"] == "above TELEMETRY_DB_PATH"
    assert len(config.problems) == 1


def test_two_ways_that_agree_are_fine(tmp_path):
    """
    A compose file that sets both to the same place is not scolded.
    """
    environ = {
        "TELEMETRY_DB_PATH": str(tmp_path / "db" / "telemetry.sqlite"),
        "TELEMETRY_BASE_DIR": str(tmp_path),
    }

    assert TelemetryConfig.from_env(environ).problems == ()


def test_a_database_given_as_argument_brings_its_base(tmp_path):
    """
    An argument for the database counts like one for the base directory.
    """
    config = TelemetryConfig.from_env(
        {"TELEMETRY_BASE_DIR": str(tmp_path / "b"), "TELEMETRY_NDJSON_DIR": str(tmp_path / "c")},
        db_path=tmp_path / "a" / "db" / "x.sqlite",
    )

    assert config.base_dir == tmp_path / "a"
    assert config.ndjson_dir == tmp_path / "a" / "raw"
    assert config.problems == ()


def test_both_arguments_stand(tmp_path):
    """
    A program may put its database elsewhere.
    """
    config = TelemetryConfig.from_env({}, base_dir=tmp_path / "a", db_path=tmp_path / "b.sqlite")

    assert (config.base_dir, config.db_path) == (tmp_path / "a", tmp_path / "b.sqlite")


@pytest.mark.parametrize(
    "environ",
    [
        {"TELEMETRY_BASE_DIR": "new", "AGENT_METRICS_DIR": "old"},
        {"TELEMETRY_BASE_DIR": "", "AGENT_METRICS_DIR": "new"},
    ],
)
def test_the_older_name_counts_when_the_newer_is_unset_or_empty(environ, tmp_path, monkeypatch):
    """
    AGENT_METRICS_DIR comes after TELEMETRY_BASE_DIR.
    """
    monkeypatch.chdir(tmp_path)

    assert TelemetryConfig.from_env(environ).base_dir == tmp_path / "new"


def test_a_relative_path_holds_when_the_process_moves(tmp_path, monkeypatch):
    """
    A path is made absolute where it is read.
    """
    monkeypatch.chdir(tmp_path)

    config = TelemetryConfig.from_env({"TELEMETRY_BASE_DIR": "data"})

    assert config.base_dir == tmp_path / "data"


@pytest.mark.parametrize("written", ['"{}"', "'{}'", "  {}  "])
def test_quotes_and_spaces_around_a_path_are_not_part_of_it(written, tmp_path):
    """
    `set NAME="D:/x"` and Docker's env files keep the quotes.
    """
    config = TelemetryConfig.from_env({"TELEMETRY_BASE_DIR": written.format(tmp_path)})

    assert config.base_dir == tmp_path


def test_the_home_directory_may_be_abbreviated(tmp_path, monkeypatch):
    """
    An env file does not expand ``~``, so we do.
    """
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))

    assert TelemetryConfig.from_env({"TELEMETRY_BASE_DIR": "~/t"}).base_dir == tmp_path / "t"


@pytest.mark.parametrize("path", ["s3://bucket/x", "sqlite:///x.db", ":memory:", '""', "a\0b"])
def test_what_is_no_path_of_this_system_is_refused(path, tmp_path):
    """
    An address is not made into a directory of that name.
    """
    config = TelemetryConfig.from_env(
        {"TELEMETRY_BASE_DIR": str(tmp_path), "TELEMETRY_DB_PATH": path}
    )

    assert config.db_path == tmp_path / "db" / "telemetry.sqlite"
    assert len(config.problems) == 1


@on_posix
@pytest.mark.parametrize("path", ["D:\\agent-metrics", "c:/agent-metrics", "\\\\server\\share"])
def test_a_windows_path_elsewhere_is_refused(path):
    """
    A copied Windows setting does not become a directory with backslashes in its name.
    """
    assert len(TelemetryConfig.from_env({"TELEMETRY_BASE_DIR": path}).problems) == 1


@on_posix
@pytest.mark.parametrize(
    ("database", "base"),
    [("/x/db/t.sqlite", "/x"), ("/data/t.sqlite", "/data"), ("/t.sqlite", "/")],
)
def test_the_base_directory_is_two_levels_above_a_database(database, base):
    """
    The root of the file system is nobody's base directory while there is a better one.
    """
    assert base_above(Path(database)) == Path(base)


def test_the_first_known_directory_that_exists_is_taken(tmp_path):
    """
    Nothing named: what an earlier version or the image has made is used.
    """
    for name in ("b", "c"):
        (tmp_path / name).mkdir()

    found = find_base([str(tmp_path / name) for name in "abc"])

    assert found == (tmp_path / "b", "existing directory")


@on_posix
def test_a_known_directory_that_cannot_be_written_is_passed_over(tmp_path, monkeypatch):
    """
    Somebody else's directory of that name does not catch our data, and `sources` says so.
    """
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    # A superuser may write anywhere, so the question is asked of a file system that says no.
    monkeypatch.setattr(os, "access", lambda path, _: not str(path).endswith("a"))

    place, source = find_base([str(tmp_path / "a"), str(tmp_path / "b")])

    assert place == tmp_path / "b"
    assert source == f"existing directory; {tmp_path / 'a'} cannot be written"


@on_posix
def test_nothing_known_is_the_users_data_directory(tmp_path, monkeypatch):
    """
    The platform says where a user's data belong.
    """
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))

    place, source = find_base([str(tmp_path / "missing")])

    assert place.name == "telemetry"
    assert place.is_relative_to(tmp_path)
    assert source == "user data directory"


def test_without_a_home_the_place_is_still_absolute(monkeypatch):
    """
    A user without a home directory does not get one below wherever the process stands.
    """
    # Some versions of platformdirs look into the password database, others do not.
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda *_, **__: "relative/telemetry")

    place, _ = find_base([])

    assert place.is_absolute()
