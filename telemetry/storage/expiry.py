"""
Which runs are to be deleted, and their deletion as records of the journal.

A deleted run leaves a record that says so, so that rebuilds, other drainers and restored backups
agree. A run that has not ended never goes.
"""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import TYPE_CHECKING, Any, Callable, Optional

import attrs

from telemetry.model.codec import encode_line
from telemetry.model.errors import JournalError
from telemetry.model.ids import Clock, new_writer
from telemetry.model.records import Change, RecordType
from telemetry.model.run import Status
from telemetry.storage.gates import FAILURES
from telemetry.storage.sqlite import connect_read_only, translated

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from telemetry.sinks import Journal

#: Deletions that are written before the disk is asked to keep them.
BATCH_RUNS = 1000
#: The last thing that is known of a run: old is what was old by all its times.
_LAST = "max(coalesce(created_at, ''), coalesce(start_time, ''), coalesce(end_time, ''))"
_ENDED = f"status <> '{Status.RUNNING.value}'"
_FAILED = "status IN ({})".format(", ".join(f"'{status}'" for status in FAILURES))
_PLACE = f"({_LAST}, event_id)"
#: Bytes of a row beside its texts, indexes included; what they come to is scaled to the file.
_ROW_BYTES, _EVENT_BYTES, _RECORD_BYTES = 1200, 150, 150

#: The end of a stretch of runs, oldest first: the last one's time and key.
Place = tuple[str, str]
_NOWHERE: Place = ("", "")


@attrs.frozen(kw_only=True)
class Rules:
    """
    Which runs are to go; None is no rule. A run goes by any of them, a failed one only by its own.
    """

    older_than: Optional[timedelta] = None
    #: For failed runs in the place of all other rules.
    failed_older_than: Optional[timedelta] = None
    #: How many of the newest that have ended stay.
    keep_runs: Optional[int] = None
    #: How large the database may be.
    max_bytes: Optional[int] = None

    @property
    def is_empty(self) -> bool:
        """
        Return whether there is no rule.
        """
        return self == Rules()


@attrs.frozen(kw_only=True)
class Selection:
    """
    Runs up to a place, and failed ones up to another.
    """

    upto: Place = _NOWHERE
    failed_upto: Place = _NOWHERE

    @property
    def where(self) -> tuple[str, list[Any]]:
        """
        Return the condition, every value bound.
        """
        claim = f"({_PLACE} <= (?, ?) AND NOT {_FAILED}) OR ({_PLACE} <= (?, ?) AND {_FAILED})"
        return f"{_ENDED} AND ({claim})", [*self.upto, *self.failed_upto]


@attrs.frozen(kw_only=True)
class Expired:
    """
    What the rules choose.
    """

    selection: Selection
    count: int
    failed_count: int
    #: About; what is really freed is measured.
    bytes: int
    #: The last that is known of the first and of the last of them; empty where there is none.
    oldest: str
    newest: str
    #: Old enough by the rules for others, and kept because they failed.
    kept_failed_count: int
    running_count: int
    #: All runs, those that go included.
    run_count: int


def choose(db_path: Path, rules: Rules, now: datetime) -> Expired:
    """
    Return which runs go by now.

    Raises:
        SinkError: The database cannot be read.
    """
    with translated(db_path), closing(connect_read_only(db_path)) as connection:
        connection.execute("BEGIN")
        selection = _selection(connection, rules, now)
        where, values = selection.where
        count, failed, oldest, newest = connection.execute(
            f"SELECT count(*), coalesce(sum({_FAILED}), 0), coalesce(min({_LAST}), ''),"
            f" coalesce(max({_LAST}), '') FROM agent_runs WHERE {where}",
            values,
        ).fetchone()
        everyone = attrs.evolve(selection, failed_upto=max(selection.upto, selection.failed_upto))
        return Expired(
            selection=selection,
            count=count,
            failed_count=failed,
            bytes=_bytes_of(connection, selection) if count else 0,
            oldest=oldest,
            newest=newest,
            kept_failed_count=_count(connection, everyone) - count,
            running_count=_ask(connection, f"SELECT count(*) FROM agent_runs WHERE NOT {_ENDED}"),
            run_count=_ask(connection, "SELECT count(*) FROM agent_runs"),
        )


def count_of(db_path: Path, selection: Selection) -> int:
    """
    Return how many of the chosen runs a database has.

    Raises:
        SinkError: It cannot be read.
    """
    with translated(db_path), closing(connect_read_only(db_path)) as connection:
        return _count(connection, selection)


def delete(
    db_path: Path,
    journal: Journal,
    selection: Selection,
    *,
    progress: Optional[Callable[[int], None]] = None,
) -> int:
    """
    Record the deletion of the chosen runs; who follows the journal then removes their rows.

    Ended at any point, the runs whose deletion was recorded go, and the others stay.

    Args:
        progress: Told how many were recorded.

    Raises:
        JournalError: The journal takes no more.
        SinkError, sqlite3.Error: The database cannot be read.
    """
    where, values = selection.where
    sql = f"SELECT event_id, run_id FROM agent_runs WHERE {where}"
    done = 0
    # A journal's error is one of the system's too, and must not be taken for the database's.
    with closing(connect_read_only(db_path)) as connection:
        lines = _tombstones(connection.execute(sql, values))
        while batch := list(islice(lines, BATCH_RUNS)):
            for second, line in batch:
                if not journal.append(line, second):
                    reason = getattr(journal, "problem", "") or "it was refused"
                    raise JournalError(f"the journal must take what is deleted ({reason})")
            journal.sync()
            done += len(batch)
            if progress is not None:
                progress(done)
    return done


def _tombstones(runs: Iterator[tuple[str, str]]) -> Iterator[tuple[int, bytes]]:
    clock, writer = Clock(), new_writer()
    for number, (event_id, run_id) in enumerate(runs, 1):
        micros, timestamp = clock.read()[:2]
        line = encode_line(
            RecordType.RUN.value,
            id=f"{writer}-{number}",
            timestamp=timestamp,
            event_id=event_id,
            run_id=run_id,
            change=Change.DELETED.value,
        )
        yield micros // 1_000_000, line


def _selection(connection: sqlite3.Connection, rules: Rules, now: datetime) -> Selection:
    upto = max(
        _before(now, rules.older_than),
        _beyond(connection, rules.keep_runs),
        _until_small(connection, rules),
    )
    if rules.failed_older_than is None:
        return Selection(upto=upto, failed_upto=upto)
    return Selection(upto=upto, failed_upto=_before(now, rules.failed_older_than))


def _before(now: datetime, age: Optional[timedelta]) -> Place:
    """
    Return the place before all runs that are younger.
    """
    if age is None:
        return _NOWHERE
    try:
        moment = (now - age).astimezone(timezone.utc)
    except OverflowError:  # older than the calendar
        return _NOWHERE
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), ""


def _beyond(connection: sqlite3.Connection, count: Optional[int]) -> Place:
    """
    Return the place of the newest run that is not among so many of the newest.
    """
    if count is None:
        return _NOWHERE
    found = connection.execute(
        f"SELECT {_LAST} AS last, event_id FROM agent_runs WHERE {_ENDED}"
        " ORDER BY last DESC, event_id DESC LIMIT 1 OFFSET ?",
        (count,),
    ).fetchone()
    return (found[0], found[1]) if found else _NOWHERE


def _until_small(connection: sqlite3.Connection, rules: Rules) -> Place:
    """
    Return the place up to which runs must go for the others to fit; by what their texts take.
    """
    if rules.max_bytes is None:
        return _NOWHERE
    excess = _used_bytes(connection) - rules.max_bytes
    place = _NOWHERE
    if excess <= 0:
        return place
    share = _used_bytes(connection) / max(1, _weight(connection, "1", []))
    spared = f" AND NOT {_FAILED}" if rules.failed_older_than is not None else ""
    rows = connection.execute(
        f"SELECT {_LAST} AS last, event_id, {_RUN_WEIGHT} FROM agent_runs"
        f" WHERE {_ENDED}{spared} ORDER BY last, event_id"
    )
    for last, event_id, weight in rows:
        if excess <= 0:
            break
        place = last, event_id
        excess -= weight * share
    return place


_RUN_WEIGHT = (
    f"{_ROW_BYTES} + (SELECT coalesce(sum({_EVENT_BYTES} + length(payload_json)), 0)"
    " FROM run_events e WHERE e.event_id = agent_runs.event_id)"
    f" + (SELECT coalesce(sum({_RECORD_BYTES} + length(body)), 0)"
    " FROM run_records r WHERE r.event_id = agent_runs.event_id)"
)


def _weight(connection: sqlite3.Connection, where: str, values: list[Any]) -> int:
    return _ask(
        connection,
        f"SELECT coalesce(sum({_RUN_WEIGHT}), 0) FROM agent_runs WHERE {where}",
        values,
    )


def _bytes_of(connection: sqlite3.Connection, selection: Selection) -> int:
    where, values = selection.where
    total = max(1, _weight(connection, "1", []))
    return round(_used_bytes(connection) * _weight(connection, where, values) / total)


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        _ask(connection, f"PRAGMA {name}") for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def _count(connection: sqlite3.Connection, selection: Selection) -> int:
    where, values = selection.where
    return _ask(connection, f"SELECT count(*) FROM agent_runs WHERE {where}", values)


def _ask(connection: sqlite3.Connection, sql: str, values: Any = ()) -> int:
    return int(connection.execute(sql, values).fetchone()[0])
