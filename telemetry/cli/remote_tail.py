"""
The newest records of a service, as ``telemetry tail`` shows them.

A service lists runs, and of each run its history and its events; so the runs that are open, and
those that it heard of last, are looked at again and again.
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
from telemetry.model.records import Record, RecordType
from telemetry.model.values import time_text

if TYPE_CHECKING:
    from telemetry.api import HistoryRecord, RunEvent, TelemetryAPI
    from telemetry.cli.journal import Wanted

#: Runs of each kind, open and heard of last, that are looked at.
MAX_RUNS = 20
#: Runs of which is remembered what was shown.
MAX_KNOWN_RUNS = 1000
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
        keys = self._newest() if self._event_id is None else [self._event_id]
        for key in keys:
            # Those looked at last stand last, and are forgotten last.
            self._seen[key] = self._seen.pop(key, _Seen(since=self._newest_at_first))
        for key in list(self._seen)[:-MAX_KNOWN_RUNS]:
            del self._seen[key]
        found = (record for key in keys for record in self._new_of(key))
        return sorted(found, key=_in_order)

    def _newest(self) -> list[str]:
        heard = self._api.page(limit=MAX_RUNS, sort="-updated_at").runs
        open_ = self._api.page(limit=MAX_RUNS, sort="-start_time", status="running").runs
        return list(dict.fromkeys(run.event_id for run in (*heard, *open_)))

    def _new_of(self, event_id: str) -> Iterator[Record]:
        seen = self._seen[event_id]
        try:
            for record in (*self._new_history(event_id, seen), *self._new_events(event_id, seen)):
                if record.timestamp > seen.since:
                    yield record
        except NotFoundError:
            # It was deleted between two looks.
            return

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
