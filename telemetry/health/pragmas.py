"""
The PRAGMAs of the database's file and of the connections that the library opens to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from telemetry.health.database import missing_indexes
from telemetry.health.results import Check, Detail, Outcome, Result
from telemetry.storage.ddl import DATABASE_VERSION
from telemetry.storage.sqlite import (
    AUTOCHECKPOINT_PAGES,
    BUSY_TIMEOUT_S,
    READER_BUSY_TIMEOUT_S,
    connect,
    translated,
    wanted_journal_mode,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from telemetry.health.scene import Scene

#: What a connection says as a number, and people as a word.
_SYNCHRONOUS = {"0": "OFF", "1": "NORMAL", "2": "FULL", "3": "EXTRA"}
_WRITER: Mapping[str, str] = {
    "synchronous": "NORMAL",
    "busy_timeout": str(int(BUSY_TIMEOUT_S * 1000)),
    "wal_autocheckpoint": str(AUTOCHECKPOINT_PAGES),
    "foreign_keys": "0",
}
_READER: Mapping[str, str] = {
    "query_only": "1",
    "busy_timeout": str(int(READER_BUSY_TIMEOUT_S * 1000)),
}


def pragmas(scene: Scene) -> Iterator[Result]:
    """
    Compare the file and both kinds of connections with what they should be.
    """
    if not scene.has_database:
        yield Result(
            name="pragmas",
            outcome=Outcome.FINDING,
            sentence=f"{scene.config.db_path} must be a database to be asked, and there is none",
            way_out="telemetry init makes it",
        )
        return
    if not scene.has_runs:
        return  # said of the database
    path = scene.config.db_path
    wanted = {"journal_mode": wanted_journal_mode(path), "user_version": str(DATABASE_VERSION)}
    with scene.database() as connection:
        of_file = _compared(connection, wanted)
        more = [_asked(connection, name) for name in ("page_size", "page_count", "freelist_count")]
        yield _told("file", [*of_file, *more], "the next process that writes sets them right")
        yield _told("reader", _compared(connection, _READER), "")
    # A writer would change a file whose journal mode is another; looking must not.
    if all(detail.actual == detail.expected for detail in of_file):
        with translated(path), closing(connect(path)) as connection:
            yield _told("writer", _compared(connection, _WRITER), "")


def indexes(scene: Scene) -> Iterator[Result]:
    """
    Look for the indexes that make questions fast.
    """
    if not scene.has_runs:
        return
    with scene.database() as connection:
        missing = missing_indexes(connection)
    yield Result(
        name="indexes",
        outcome=Outcome.WARNING if missing else Outcome.OK,
        sentence=f"the database has no index {', '.join(missing)}, so that questions are slow"
        if missing
        else "the database has all of its indexes",
        way_out="telemetry doctor --fix makes them" if missing else "",
    )


def _compared(connection: sqlite3.Connection, wanted: Mapping[str, str]) -> list[Detail]:
    return [
        Detail(name=name, actual=_asked(connection, name).actual, expected=expected)
        for name, expected in wanted.items()
    ]


def _asked(connection: sqlite3.Connection, name: str) -> Detail:
    value = str(connection.execute(f"PRAGMA {name}").fetchone()[0])
    return Detail(
        name=name, actual=_SYNCHRONOUS.get(value, value) if name == "synchronous" else value
    )


def _told(subject: str, details: list[Detail], way_out: str) -> Result:
    wrong = [one for one in details if one.expected and one.expected != one.actual]
    # A file that was put here by hand has its own journal mode until somebody writes: no fault.
    worst = Outcome.WARNING if subject == "file" else Outcome.FINDING
    whose = "of the file" if subject == "file" else f"of a connection that {_USES[subject]}"
    return Result(
        name="pragmas",
        subject=subject,
        outcome=worst if wrong else Outcome.OK,
        sentence=f"the PRAGMAs {whose} are "
        + (f"not as expected: {', '.join(one.name for one in wrong)}" if wrong else "as expected"),
        way_out=(way_out or "install telemetry anew: these are its own") if wrong else "",
        details=tuple(details),
    )


_USES = {"reader": "reads", "writer": "writes"}

CHECKS = (Check(name="pragmas", run=pragmas), Check(name="indexes", run=indexes))
