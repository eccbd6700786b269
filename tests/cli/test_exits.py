from __future__ import annotations

import sqlite3

import pytest

from telemetry.cli.exits import MEANINGS, Exit, exit_code_of, is_expected, sentence_of
from telemetry.model.errors import (
    CodecError,
    JournalError,
    PausedSinkError,
    SettingsError,
    TransientSinkError,
)


def _caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("x"), Exit.USAGE),
        (FileNotFoundError("x"), Exit.NOT_FOUND),
        (PermissionError("x"), Exit.UNAVAILABLE),
        (JournalError("x"), Exit.UNAVAILABLE),
        (PausedSinkError("x"), Exit.UNAVAILABLE),
        (sqlite3.OperationalError("database is locked"), Exit.UNAVAILABLE),
        (CodecError("x"), Exit.INTEGRITY),
        (sqlite3.DatabaseError("file is not a database"), Exit.INTEGRITY),
        (
            _caused(TransientSinkError("x"), sqlite3.DatabaseError("disk image is malformed")),
            Exit.INTEGRITY,
        ),
    ],
)
def test_every_error_of_the_world_has_its_code(error, code):
    """
    What the library and the system raise is one of the documented exit codes.
    """
    assert is_expected(error)
    assert exit_code_of(error) is code


def test_every_code_is_documented():
    """
    The help page and the documentation list each code.
    """
    assert set(MEANINGS) == set(Exit)
    assert not is_expected(KeyError("a defect"))


def test_an_error_of_the_system_becomes_a_sentence():
    """
    What the system says without a way out is said with the place first; our own stays as it is.
    """
    refused = OSError(30, "Read-only file system", "/base/state/maintenance.lock")

    assert sentence_of(refused).startswith(
        "/base/state/maintenance.lock must be usable (Read-only file system); telemetry doctor"
    )
    missing = FileNotFoundError(2, "No such file or directory", "gates.toml")
    assert (
        sentence_of(missing) == "gates.toml must exist (No such file or directory); check the name"
    )
    assert "must be usable (No space left)" in sentence_of(OSError(28, "No space left"))
    assert sentence_of(JournalError("the journal must be there")) == "the journal must be there"
