"""
Whether a database is whole, and stands where it should in its journal.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
from typing import TYPE_CHECKING

from telemetry.model.errors import TelemetryError
from telemetry.sinks import Cursor
from telemetry.storage.cursors import DATABASE_SINK, read_cursors
from telemetry.storage.ddl import DATABASE_VERSION
from telemetry.storage.findings import MAX_NAMED, Finding, Level
from telemetry.storage.looking import (
    UnreachableError,
    hold_still,
    is_unreachable,
    look_into,
    unreachable,
)
from telemetry.storage.migrations import migrate
from telemetry.storage.recovery import check_folds
from telemetry.storage.rollups import wrong_rollups
from telemetry.storage.sqlite import user_version
from telemetry.storage.strangers import stranger_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from telemetry.sinks import Journal, Segment

_RECOVER = "telemetry recover makes it anew from the journal"
_HEAL = "telemetry recover --heal repairs it in place"


def check_database(db_path: Path, *, quick: bool = False, full: bool = False) -> list[Finding]:
    """
    Return what is wrong with a database by itself.

    Args:
        quick: Leave out what takes time for each run: folds and roll-ups.
        full: Let SQLite compare every index with its table, too.
    """
    if not db_path.exists():
        text = f"the database {db_path} does not exist"
        return [Finding("database", Level.ATTENTION, text, _RECOVER)]
    try:
        with contextlib.closing(look_into(db_path)) as connection:
            hold_still(connection)
            stranger = stranger_of(connection, db_path)
            if stranger is not None:
                text = f"the database must be this library's (got {stranger.what})"
                return [Finding("schema", Level.ATTENTION, text, stranger.way_out)]
            found = [*_pages(connection, full=full)]
            if not found:
                found += _schema(connection)
            if not quick and not any(one.level is Level.DAMAGE for one in found):
                found += _rows(connection)
            return found
    except UnreachableError:
        raise
    except (sqlite3.Error, TelemetryError) as error:
        if is_unreachable(error, db_path):
            raise unreachable(error, db_path) from error
        return [Finding("pages", Level.DAMAGE, str(error), _RECOVER)]


def check_cursors(
    db_path: Path, cursor_files: Iterable[Path], journal: Journal, covered: Collection[str]
) -> list[Finding]:
    """
    Return what is wrong with the positions of sinks in the journal.

    Args:
        cursor_files: Those of sinks that do not keep their own.
        covered: Segments that the journal has no more, and a verified backup has.
    """
    segments = {segment.id: segment for segment in journal.segments()}
    findings: list[Finding] = []
    for sink, cursors in _all_cursors(db_path, cursor_files):
        for cursor in cursors.values():
            segment = segments.get(cursor.segment)
            if segment is None:
                if sink == DATABASE_SINK and cursor.segment not in covered:
                    findings.append(_uncovered(cursor))
            else:
                findings += _misplaced(journal, sink, segment, cursor)
    return findings


def _pages(connection: sqlite3.Connection, *, full: bool) -> Iterator[Finding]:
    check = "integrity_check" if full else "quick_check"
    for (text,) in connection.execute(f"PRAGMA {check}({MAX_NAMED})"):
        if text != "ok":
            advice = _HEAL if "index" in text else _RECOVER
            yield Finding("pages", Level.DAMAGE, f"{check}: {text}", advice)
    for table, rowid, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        text = f"{table} row {rowid} refers to a row of {parent} that is not there"
        yield Finding("pages", Level.DAMAGE, text, _RECOVER)


def _schema(connection: sqlite3.Connection) -> Iterator[Finding]:
    """
    Compare with the tables of a new database.
    """
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as new:
        migrate(new)
        expected, found = _objects(new), _objects(connection)
        for kind, name in sorted(expected.keys() - found.keys()):
            level = Level.ATTENTION if kind == "index" else Level.DAMAGE
            advice = _HEAL if kind == "index" else _RECOVER
            yield Finding("schema", level, f"{kind} {name} is missing", advice)
        for kind, name in sorted(found.keys() - expected.keys()):
            level = Level.NOTE if kind in {"table", "index"} else Level.ATTENTION
            advice = (
                "" if level is Level.NOTE else f"drop it if it is not yours: DROP {kind} {name}"
            )
            yield Finding("schema", level, f"{kind} {name} is none of this library's", advice)
        for kind, name in sorted(expected.keys() & found.keys()):
            missing = _columns(new, name) - _columns(connection, name) if kind == "table" else ()
            for column in sorted(missing):
                yield Finding("schema", Level.DAMAGE, f"{name} has no column {column}", _RECOVER)
    version = user_version(connection)
    if version != DATABASE_VERSION:
        text = f"the database has version {version}, this release makes {DATABASE_VERSION}"
        yield Finding("schema", Level.NOTE, text, "the next command that writes brings it up to it")


def _objects(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    rows = connection.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
    )
    return {(kind, name): sql for kind, name, sql in rows}


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')}


def _rows(connection: sqlite3.Connection) -> list[Finding]:
    folds = _some(text for _, text in check_folds(connection))
    rollups = _some(wrong_rollups(connection))
    return [
        *(Finding("rows", Level.DAMAGE, text, _HEAL) for text in folds),
        *(Finding("roll-ups", Level.DAMAGE, text, _HEAL) for text in rollups),
    ]


def _some(texts: Iterator[str]) -> list[str]:
    named = list(itertools.islice(texts, MAX_NAMED))
    more = sum(1 for _ in texts)
    return [*named, f"and {more} more"] if more else named


def _all_cursors(
    db_path: Path, cursor_files: Iterable[Path]
) -> Iterator[tuple[str, Mapping[str, Cursor]]]:
    try:
        with contextlib.closing(look_into(db_path)) as connection:
            kept = read_cursors(connection, DATABASE_SINK)
    except (sqlite3.Error, TelemetryError):
        kept = {}
    yield DATABASE_SINK, kept
    for path in cursor_files:
        with contextlib.suppress(OSError, ValueError, AttributeError, TypeError, KeyError):
            found = json.loads(path.read_bytes())["segments"].items()
            yield path.stem, {one: Cursor(one, int(at), int(crc)) for one, (at, crc) in found}


def _misplaced(journal: Journal, sink: str, segment: Segment, cursor: Cursor) -> Iterator[Finding]:
    where = f"the position of {sink} in {segment.path.name}"
    if cursor.offset > segment.size:
        text = f"{where} is {cursor.offset}, beyond its end at {segment.size}"
        advice = "the file was cut or replaced; it is followed once more from its beginning"
        yield Finding("cursors", Level.ATTENTION, text, advice)
    elif cursor.offset:
        try:
            start = journal.read(segment, cursor, 1).cursor.start
        except OSError:
            return  # said of the journal already
        if start != cursor.offset:
            text = f"{where} is {cursor.offset}, and what stands before it is not what was read"
            advice = "the file was changed; it is followed once more from its beginning"
            yield Finding("cursors", Level.ATTENTION, text, advice)


def _uncovered(cursor: Cursor) -> Finding:
    return Finding(
        "cursors",
        Level.ATTENTION,
        f"the journal has segment {cursor.segment} no more, and no verified backup has its records",
        "telemetry backup create makes one",
    )


def retired(db_path: Path, segment_ids: Collection[str]) -> set[str]:
    """
    Return the segments that a database has records of and the journal has no more.
    """
    kept = next(_all_cursors(db_path, ()))[1]
    return kept.keys() - set(segment_ids)
