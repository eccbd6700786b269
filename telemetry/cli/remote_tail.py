"""
The newest records of a service, as ``telemetry tail`` shows them.

A service lists runs, and of each run its history and its events; so the newest runs, the newest of
the open ones, and those that were open at the look before, are looked at again and again. A
history has no updates: of an open run, what has changed between two looks is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Optional

import attrs
import msgspec

from telemetry.api import NotFoundError
from telemetry.cli.remote import COMMIT
from telemetry.model.codec import decode_line, encode_line
from telemetry.model.records import Change, Record, RecordType
from telemetry.model.run import Status
from telemetry.model.values import time_text, to_row

if TYPE_CHECKING:
    from telemetry.api import HistoryRecord, RunEvent, StoredRun, TelemetryAPI
    from telemetry.cli.journal import Wanted

#: Runs of each kind, newest and open, that are looked at. Both lists are read from an index.
MAX_RUNS = 20
_NEWEST_FIRST = "-created_at"
#: Moves with every record of a run.
_MOVING = "updated_at"
#: Of updates, which have no id of their own here.
_WRITER = "0" * 16
#: Runs of which is remembered what was shown.
MAX_KNOWN_RUNS = 1000
_RUNNING = Status.RUNNING.value
_in_order = attrgetter("timestamp", "id")


@attrs.define(eq=False)
class _Seen:
    """
    How much of a run's history and events has been read.
    """

    #: What is older than this was there before the first look.
    since: str = ""
    history: set[str] = attrs.field(factory=set)
    #: The cursor of the last page of events, and what that page had.
    cursor: Optional[str] = None
    events: set[str] = attrs.field(factory=set)


class ServiceEnd:
    """
    Gives the last records of a service, then those that are added.
    """

    poll_s = 1.0

    def __init__(self, api: TelemetryAPI, wanted: Wanted, event_id: Optional[str]) -> None:
        self._api = api
        self._wanted = wanted
        self._event_id = event_id
        self._seen: dict[str, _Seen] = {}
        self._open: set[str] = set()
        self._rows: dict[str, dict[str, Any]] = {}
        self._update_count = 0
        self._newest_at_first = ""

    def last(self, count: int) -> list[Record]:
        """
        Return the last records that are wanted, oldest first.
        """
        found = self._look()
        self._newest_at_first = max((record.timestamp for record in found), default="")
        wanted = list(filter(self._wanted, found))
        return wanted[-count:] if count else []

    def new(self) -> Iterable[Record]:
        """
        Return what was added since the last call, in order.
        """
        return filter(self._wanted, self._look())

    def _look(self) -> list[Record]:
        runs = self._runs()
        for key in runs:
            # Those looked at last stand last, and are forgotten last.
            self._seen[key] = self._seen.pop(key, _Seen(since=self._newest_at_first))
        for key in list(self._seen)[:-MAX_KNOWN_RUNS]:
            del self._seen[key]
        found = [record for run in runs.values() for record in self._new_of(run)]
        self._open = {key for key, run in runs.items() if run.status == _RUNNING}
        self._rows = {key: row for key, row in self._rows.items() if key in runs}
        return sorted(found, key=_in_order)

    def _runs(self) -> dict[str, StoredRun]:
        """
        Return the runs to be looked at, by their keys.
        """
        if self._event_id is not None:
            found = [self._run(self._event_id)]
        else:
            found = [
                *self._api.page(limit=MAX_RUNS, sort=_NEWEST_FIRST).runs,
                *self._api.page(limit=MAX_RUNS, sort=_NEWEST_FIRST, status=_RUNNING).runs,
            ]
            listed = {run.event_id for run in found if run is not None}
            found += map(self._run, self._open - listed)
        return {run.event_id: run for run in found if run is not None}

    def _run(self, event_id: str) -> Optional[StoredRun]:
        try:
            return self._api.run(event_id)
        except NotFoundError:
            # It was deleted between two looks.
            return None

    def _new_of(self, run: StoredRun) -> Iterator[Record]:
        seen = self._seen[run.event_id]
        try:
            history = list(self._new_history(run.event_id, seen))
            events = list(self._new_events(run.event_id, seen))
        except NotFoundError:
            return
        update = self._update_of(run, history)
        for record in (*history, *events, *update):
            if record.timestamp > seen.since:
                yield record

    def _update_of(self, run: StoredRun, history: Iterable[Record]) -> list[Record]:
        """
        Return what has changed in a run since the last look, but for what its new records say.
        """
        row = to_row(run)
        before = self._rows.get(run.event_id)
        self._rows[run.event_id] = row
        if before is None or row[_MOVING] == before[_MOVING]:
            return []
        said = {name for record in history for name in record.fields()}
        changed = {
            name: value
            for name, value in row.items()
            if value != before.get(name) and name != _MOVING and name not in said
        }
        if not changed:
            return []
        self._update_count += 1
        line = encode_line(
            RecordType.RUN.value,
            id=f"{_WRITER}-{self._update_count}",
            timestamp=str(row[_MOVING]),
            event_id=run.event_id,
            run_id=run.run_id,
            change=Change.UPDATED.value,
            body=changed,
        )
        return [decode_line(line.rstrip(b"\n"))]

    def _new_history(self, event_id: str, seen: _Seen) -> Iterator[Record]:
        for record in self._api.history(event_id):
            if record.id not in seen.history:
                seen.history.add(record.id)
                yield _of_history(record)

    def _new_events(self, event_id: str, seen: _Seen) -> Iterator[Record]:
        while True:
            page = self._api.event_page(event_id, cursor=seen.cursor)
            for event in page.items:
                if event.id not in seen.events:
                    seen.events.add(event.id)
                    yield _of_event(event)
            if page.next is None:
                return
            seen.cursor, seen.events = page.next, set()


def _of_history(record: HistoryRecord) -> Record:
    is_commit = record.change == COMMIT
    return _record(
        RecordType.COMMIT if is_commit else RecordType.RUN,
        record,
        change="" if is_commit else record.change,
        body=record.fields,
    )


def _of_event(event: RunEvent) -> Record:
    payload = msgspec.json.encode(event.payload)
    return _record(RecordType.EVENT, event, event_type=event.event_type, payload=payload)


def _record(kind: RecordType, said: HistoryRecord | RunEvent, **more: Any) -> Record:
    line = encode_line(
        kind.value,
        id=said.id,
        timestamp=time_text(said.timestamp),
        event_id=said.event_id,
        run_id=said.run_id,
        **more,
    )
    return decode_line(line.rstrip(b"\n"))
