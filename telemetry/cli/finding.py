"""
Runs as the commands ask for them: one by name, many by filter.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Optional

import attrs

from telemetry.cli.exits import Exit, fail
from telemetry.cli.freshness import bring_up_to_date
from telemetry.cli.ids import LAST, LAST_FAILED, short_ids
from telemetry.cli.outcomes import look_of
from telemetry.cli.source import source_of
from telemetry.cli.times import clock
from telemetry.storage.reader import RunFilter

if TYPE_CHECKING:
    from telemetry.cli.session import Session
    from telemetry.cli.source import Source

Row = dict[str, Any]
#: What --failed and @last-failed mean.
FAILURES = ("failed", "timeout")
MAX_CANDIDATES = 10


def open_reader(session: Session) -> Source:
    """
    Return what to ask: the service that was named, or the database, brought up to date first.
    """
    if session.url is None:
        bring_up_to_date(session)
    return source_of(session)


def find_run(session: Session, name: str) -> Row:
    """
    Return the run that a name means: its id, the beginning or the end of one, @last, @last-failed.

    An unknown name ends the command with 3, one that means several runs with 2.
    """
    reader = open_reader(session)
    if name == LAST_FAILED:
        found = find_runs(reader, RunFilter(), FAILURES, limit=1)
    else:
        found = reader.matching(name, limit=MAX_CANDIDATES + 1)
    if len(found) == 1:
        return found[0]
    if found:
        _refuse_ambiguous(session, name, found)
    where = session.place
    if name in {LAST, LAST_FAILED}:
        fail(
            f"no run is {name} in {where}; record one, for instance with telemetry demo",
            Exit.NOT_FOUND,
        )
    if name.startswith("@"):
        fail(
            f"a run's name with an @ must be {LAST} or {LAST_FAILED} (got {name!r})",
            Exit.NOT_FOUND,
        )
    fail(f"no run's id begins or ends with {name!r} in {where}; see telemetry runs", Exit.NOT_FOUND)


def find_runs(
    reader: Source, wanted: RunFilter, statuses: Sequence[str], *, limit: int
) -> list[Row]:
    """
    Return runs of any of several statuses, newest first; of all where none is named.
    """
    if not statuses:
        return reader.runs(wanted, limit=limit)
    pages = [reader.runs(attrs.evolve(wanted, status=status), limit=limit) for status in statuses]
    rows = sorted(
        (row for page in pages for row in page),
        key=lambda row: (row["start_time"] or "", row["event_id"]),
        reverse=True,
    )
    return rows if limit < 0 else rows[:limit]


def column_time(moment: Optional[datetime]) -> Optional[str]:
    """
    Return a moment as the columns hold it: UTC text that sorts.
    """
    if moment is None:
        return None
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _refuse_ambiguous(session: Session, name: str, found: list[Row]) -> None:
    shown = found[:MAX_CANDIDATES]
    short = short_ids(shown)
    lines = [
        f"  {short[row['event_id']]}  {row['run_id']}  {look_of(row).word}"
        f"  {clock(row['start_time'], utc=session.utc)}"
        for row in sorted(shown, key=itemgetter("event_id"))
    ]
    count = f"{len(shown)}" if len(found) == len(shown) else f"more than {len(shown)}"
    session.screen.error(
        f"a run's name must mean one run (got {name!r}, which means {count}); use more of:"
    )
    for line in lines:
        session.screen.note(line)
    raise SystemExit(int(Exit.USAGE))
