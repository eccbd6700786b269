"""
validate: whether a configuration can work on this machine.
"""

from __future__ import annotations

import os

import pytest

from telemetry.config import TelemetryConfig


def made(base):
    """
    Make the directories that `telemetry init` makes.
    """
    for name in ("raw", "db"):
        (base / name).mkdir(parents=True)
    return base


def test_a_base_directory_that_is_ready_is_fine(tmp_path):
    """
    Nothing to say is the answer True and no line.
    """
    assert TelemetryConfig(base_dir=made(tmp_path / "t")).validate() == (True, [])


@pytest.mark.parametrize(
    ("strict", "skip", "expected"), [(True, False, False), (True, True, True), (False, False, True)]
)
def test_a_missing_directory_is_an_error_only_when_strict(strict, skip, expected, tmp_path):
    """
    TELEMETRY_SKIP_VALIDATION and strict=False turn it into a remark, which is still there.
    """
    config = TelemetryConfig(base_dir=tmp_path / "missing", skip_validation=skip)

    fine, lines = config.validate(strict=strict)

    assert fine is expected
    assert len(lines) == 3
    assert config.validate(strict) == (fine, lines)


def test_a_file_where_a_directory_belongs_is_always_an_error(tmp_path):
    """
    No flag makes a file a directory.
    """
    (tmp_path / "t").write_text("")
    config = TelemetryConfig(base_dir=tmp_path / "t", skip_validation=True)

    fine, lines = config.validate(strict=False)

    assert not fine
    assert f"base_dir must be a directory ({str(tmp_path / 't')!r} is none); name another" in lines


def test_a_directory_where_the_database_belongs_is_an_error(tmp_path):
    """
    A directory cannot be opened as a database.
    """
    (made(tmp_path) / "db" / "telemetry.sqlite").mkdir()

    fine, lines = TelemetryConfig(base_dir=tmp_path).validate(strict=False)

    assert not fine
    assert len(lines) == 1


def test_a_directory_that_cannot_be_written_is_an_error(tmp_path, monkeypatch):
    """
    What nobody may write to cannot keep anything.
    """
    # A superuser may write anywhere, so the question is asked of a file system that says no.
    monkeypatch.setattr(os, "access", lambda *_: False)

    fine, lines = TelemetryConfig(base_dir=made(tmp_path / "t")).validate(strict=False)

    assert not fine
    assert "must be writable" in lines[0]


def test_what_from_env_replaced_counts_when_strict(tmp_path):
    """
    A value that was replaced by its default is a remark.
    """
    config = TelemetryConfig.from_env({"TELEMETRY_BATCH_SIZE": "x"}, base_dir=made(tmp_path / "t"))

    assert config.validate() == (False, list(config.problems))
    assert config.validate(strict=False) == (True, list(config.problems))


def test_authentication_without_a_token_is_an_error(tmp_path):
    """
    A service that asks for a token which does not exist answers nobody.
    """
    config = TelemetryConfig(base_dir=made(tmp_path / "t"), api_auth_enabled=True)

    fine, lines = config.validate(strict=False)

    assert not fine
    assert lines[0].startswith("TELEMETRY_API_AUTH_ENABLED needs a token")


@pytest.mark.parametrize(("enabled", "expected"), [(True, False), (False, True)])
def test_posting_runs_back_to_the_service_is_a_remark(enabled, expected, tmp_path):
    """
    The two URLs name two different servers.
    """
    config = TelemetryConfig(
        base_dir=made(tmp_path / "t"),
        metrics_api_url="http://localhost:8765/api/v1/runs",
        metrics_api_enabled=enabled,
    )

    fine, _ = config.validate()

    assert fine is expected
