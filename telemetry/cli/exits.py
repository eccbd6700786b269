"""
How a command ends: every exit code, and what each error means for it.

This is the only list; the documentation and ``telemetry --help`` take it from here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from enum import IntEnum
from typing import NoReturn

import click

from telemetry.model.errors import CodecError, TelemetryError


class Exit(IntEnum):
    """
    Exit codes of every command but ``telemetry run``, which passes its child's on.
    """

    FINE = 0
    FINDINGS = 1
    USAGE = 2
    NOT_FOUND = 3
    UNAVAILABLE = 4
    INTEGRITY = 5
    INTERRUPTED = 130


MEANINGS: Mapping[Exit, str] = {
    Exit.FINE: "fine",
    Exit.FINDINGS: "done, and something was found that needs attention",
    Exit.USAGE: "the command was not understood, or a setting cannot be used",
    Exit.NOT_FOUND: "no such run, file or directory",
    Exit.UNAVAILABLE: "the base directory, the journal or the database cannot be used now",
    Exit.INTEGRITY: "the journal or the database is damaged",
    Exit.INTERRUPTED: "interrupted by Ctrl+C",
}

# SQLite's own words; its result codes reach Python only from 3.11 on.
_DAMAGED_DATABASE = ("malformed", "not a database", "corrupt")


class CommandError(click.ClickException):
    """
    A command cannot go on; shown as one line on standard error.
    """

    def __init__(self, message: str, exit_code: Exit) -> None:
        super().__init__(message)
        self.meaning = exit_code


def fail(message: str, exit_code: Exit) -> NoReturn:
    """
    End the command with a message that names the thing, the rule, the value and the way out.

    Raises:
        CommandError: Always.
    """
    raise CommandError(message, exit_code)


def exit_code_of(error: Exception) -> Exit:
    """
    Return the exit code that an error of the library or the system stands for.
    """
    if isinstance(error, CodecError) or _is_damage(error):
        return Exit.INTEGRITY
    if isinstance(error, ValueError):
        return Exit.USAGE
    if isinstance(error, (FileNotFoundError, LookupError)):
        return Exit.NOT_FOUND
    return Exit.UNAVAILABLE


def is_expected(error: Exception) -> bool:
    """
    Return whether an error describes the world, not a defect of a command.
    """
    return _is_no_text(error) or isinstance(error, (TelemetryError, OSError, sqlite3.Error))


def sentence_of(error: Exception) -> str:
    """
    Return what an error says; the system's own, which names no way out, as a sentence of ours.
    """
    if isinstance(error, UnicodeEncodeError):
        return (
            f"what is asked for must be text in the terminal's encoding (got {error.object!r});"
            " type it anew, or set LC_ALL to what it is typed in"
        )
    if not isinstance(error, OSError) or error.errno is None:
        return str(error)
    place = error.filename if error.filename is not None else "what this command works on"
    reason = error.strerror or str(error)
    if isinstance(error, FileNotFoundError):
        return f"{place} must exist ({reason}); check the name"
    return (
        f"{place} must be usable ({reason});"
        " telemetry doctor says more about each place, and about the disk"
    )


def _is_no_text(error: Exception) -> bool:
    """
    Tell whether a word of the line, as Python hands over what it cannot decode, was looked for.
    """
    return isinstance(error, UnicodeEncodeError) and all(
        "\udc80" <= character <= "\udcff" for character in error.object[error.start : error.end]
    )


def _is_damage(error: Exception) -> bool:
    cause = error.__cause__ or error
    if not isinstance(cause, sqlite3.DatabaseError):
        return False
    return any(words in str(cause) for words in _DAMAGED_DATABASE)
