"""
From any source into the journal, which is the only way in.

Records of ours come with their own ids, all others get one that follows from what they say: so an
import that is repeated, or was interrupted, adds only what is missing, also after a rebuild.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any, Callable, Optional

import attrs
import msgspec

from telemetry.exchange.candidates import (
    Candidate,
    RefusedRunError,
    candidate,
    derived_event_id,
    event_record_id,
    merged,
    named,
    record_id,
    utc_time,
)
from telemetry.exchange.found import Found, FoundEvent, FoundRecord, FoundRun
from telemetry.exchange.known import KnownIds, Rows
from telemetry.exchange.staging import Staging
from telemetry.model.adopting import adopted
from telemetry.model.codec import decode_line, encode_line
from telemetry.model.errors import JournalError
from telemetry.model.records import Change, Record, RecordType
from telemetry.runtime.recorder import OWN_COLUMNS

if TYPE_CHECKING:
    from telemetry.exchange.sources import Source
    from telemetry.runtime.runtime import Runtime

#: Different reasons of refusal that are told apart.
MAX_REASONS = 50
CATCH_UP_S = 10.0
#: Columns that an imported record may set although an agent may not.
_KEPT = frozenset({"created_at", "schema_version"})
#: Why a run is left out.
DELETED_HERE = "deleted here"
DELETED_THERE = "deleted at the source"

#: What the end of a run clears by leaving it out; a source with few columns must not.
AT_END = ("end_time", "duration_ms", "error_summary", "error_details")

Progress = Callable[[int, int], None]


@attrs.define
class Report:
    """
    What an import did, or would do.
    """

    runs: Counter[str] = attrs.field(factory=Counter)
    events: Counter[str] = attrs.field(factory=Counter)
    records: Counter[str] = attrs.field(factory=Counter)
    #: Runs that were left out on purpose, by reason.
    skipped: Counter[str] = attrs.field(factory=Counter)
    damaged_count: int = 0
    #: Reasons with how often they were met, and where first.
    refused: dict[str, tuple[int, str]] = attrs.field(factory=dict)

    @property
    def refused_count(self) -> int:
        """
        Return how many things were refused.
        """
        return sum(count for count, _ in self.refused.values())

    def refuse(self, reason: str, place: str) -> None:
        """
        Count what cannot be imported.
        """
        known = self.refused.get(reason)
        if known is None and len(self.refused) >= MAX_REASONS:
            reason = "and other reasons"
            known = self.refused.get(reason)
        self.refused[reason] = (1, place) if known is None else (known[0] + 1, known[1])


class Import:
    """
    One import into one base directory.

    Args:
        runtime: Whose journal and limits are used.
        is_dry: Whether nothing is written.
    """

    def __init__(
        self, runtime: Runtime, *, is_dry: bool, progress: Optional[Progress] = None
    ) -> None:
        self._runtime = runtime
        self._is_dry = is_dry
        self._progress = progress
        self._clean = runtime.encoder.clean
        self._known: Optional[KnownIds] = None
        #: What had reached the sinks when this import looked last.
        self._delivered: list[tuple[str, int, int]] = []
        #: What this import has seen: a base directory has it twice, in its journal and its tables.
        self._met = KnownIds()
        self.report = Report()

    def run(self, source: Source) -> Report:
        """
        Bring in all that a source holds.

        Raises:
            UsageError: It is no source.
            JournalError: The journal does not take a record; what was taken stays.
            OSError, SinkError: The source or the database cannot be read.
        """
        self._catch_up()
        with closing(Staging()) as staging:
            self._collect(source, staging)
            self._catch_up()
            rows = Rows(self._runtime.config.db_path)
            try:
                for pieces in staging.groups():
                    self._take_run(merged(pieces), rows, staging)
                for id_, event in staging.events():
                    self._take_event(id_, event, rows, staging)
            finally:
                rows.close()
            self.report.runs = staging.counts()
            self.report.skipped = staging.skipped()
        if not self._is_dry:
            self._runtime.journal.sync()
            self._catch_up()
        return self.report

    def _collect(self, source: Source, staging: Staging) -> None:
        """
        Take the records of ours as they come, and keep all else until everything is found.
        """
        rows = Rows(self._runtime.config.db_path)
        try:
            for event_id in source.deleted():
                staging.skip(event_id, DELETED_THERE)
            for found in self._read(source):
                self._keep(found, rows, staging)
        finally:
            rows.close()

    def _read(self, source: Source) -> Iterator[Found]:
        total, done = source.size, 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            if self._progress is not None:
                self._progress(min(done, total), total)

        return source.read(advance)

    def _keep(self, found: Found, rows: Rows, staging: Staging) -> None:
        if isinstance(found, FoundRecord):
            self._take_record(found.record, rows, staging)
        elif isinstance(found, FoundRun):
            try:
                staging.add_piece(candidate(found, self._clean))
            except RefusedRunError as error:
                self.report.refuse(str(error), found.place)
        elif isinstance(found, FoundEvent):
            self._keep_event(found, staging)
        else:
            self.report.damaged_count += found.is_damage
            self.report.refuse(found.reason, found.place)

    def _keep_event(self, found: FoundEvent, staging: Staging) -> None:
        timestamp = utc_time(found.timestamp)
        if not timestamp:
            self.report.refuse("an event must have a timestamp that can be read", found.place)
            return
        payload = self._clean(found.payload)
        event = attrs.evolve(found, timestamp=timestamp, payload=payload)
        staging.add_event(event_record_id(found, timestamp), event)

    def _take_record(self, record: Record, rows: Rows, staging: Staging) -> None:
        """
        Take a record of another journal of ours.
        """
        if self._known is None:
            self._known = KnownIds.of(self._runtime.journal)
        if record.id in self._met or self._is_left_out(record.event_id, rows, staging):
            return
        self._met.add(record.id)
        is_known = record.id in self._known or rows.has_record(record)
        self._touch(record.event_id, rows, staging, is_changed=not is_known)
        counted = self.report.events if record.record_type == RecordType.EVENT else None
        self._count(self.report.records, counted, is_known=is_known)
        if not is_known:
            self._append(adopted(record, self._runtime.encoder) + b"\n")

    def _take_run(self, found: Candidate, rows: Rows, staging: Staging) -> None:
        """
        Record what a source says of a run, where the run does not say it already.
        """
        event_id = found.event_id or rows.event_id_of(found.run_id)
        event_id = event_id or derived_event_id(found.run_id)
        if self._is_left_out(event_id, rows, staging):
            return
        fields: dict[str, Any] = {
            name: value
            for name, value in found.fields.items()
            if name not in OWN_COLUMNS or name in _KEPT
        }
        if rows.has_run(event_id):
            here = rows.said(event_id, ("run_id", *AT_END))
            # All records of a run name it alike, whatever else a source calls it.
            found = attrs.evolve(found, run_id=here.pop("run_id", found.run_id))
            fields = {**here, **fields}
        else:
            fields = named(fields, found.time)
        line = self._run_line(event_id, found, fields)
        record = decode_line(line)
        is_known = rows.has_record(record) or (
            rows.has_run(event_id) and not rows.would_change(record)
        )
        met = staging.touched(event_id)
        if self._is_dry and met is False:
            is_known = True  # its records come first, and this would add nothing to them
        self._touch(event_id, rows, staging, is_changed=not is_known)
        if not is_known:
            self.report.records["new"] += 1
            self._append(line)

    def _run_line(self, event_id: str, found: Candidate, fields: dict[str, Any]) -> bytes:
        """
        Return what is to be recorded of a run, as one line within the limits of one.
        """
        line = self._encoded(event_id, found, fields)
        if len(line) <= self._runtime.config.max_line_bytes:
            return line
        inside = self._runtime.encoder.encode_fields(fields)
        return self._encoded(event_id, found, msgspec.json.decode(b"{%b}" % inside))

    @staticmethod
    def _encoded(event_id: str, found: Candidate, fields: dict[str, Any]) -> bytes:
        return encode_line(
            RecordType.RUN.value,
            id=record_id("run", event_id, fields),
            timestamp=found.time,
            event_id=event_id,
            run_id=found.run_id or event_id,
            change=Change.RECORDED.value,
            body=fields,
        )

    def _take_event(self, id_: str, found: FoundEvent, rows: Rows, staging: Staging) -> None:
        event_id = (
            staging.event_id_of(found.run_id)
            or rows.event_id_of(found.run_id)
            or derived_event_id(found.run_id)
        )
        if self._is_left_out(event_id, rows, staging):
            return
        line = encode_line(
            RecordType.EVENT.value,
            id=id_,
            timestamp=found.timestamp,
            event_id=event_id,
            run_id=found.run_id[:255],
            event_type=str(self._clean(found.event_type))[:255],
            payload=self._runtime.encoder.encode(found.payload),
        )
        record = decode_line(line)
        is_known = rows.has_record(record)
        self._count(self.report.events, self.report.records, is_known=is_known)
        if not is_known:
            self._append(line)

    @staticmethod
    def _is_left_out(event_id: str, rows: Rows, staging: Staging) -> bool:
        if rows.is_deleted(event_id):
            staging.skip(event_id, DELETED_HERE)
        return staging.is_skipped(event_id)

    def _touch(self, event_id: str, rows: Rows, staging: Staging, *, is_changed: bool) -> None:
        if not event_id:
            return
        before = staging.touched(event_id)
        was_known = rows.has_run(event_id) if before is None else before
        staging.touch(event_id, was_known=was_known, is_changed=is_changed)

    @staticmethod
    def _count(counted: Counter[str], also: Optional[Counter[str]], *, is_known: bool) -> None:
        what = "known" if is_known else "new"
        counted[what] += 1
        if also is not None:
            also[what] += 1

    def _append(self, line: bytes) -> None:
        if self._is_dry:
            return
        if not self._runtime.journal.append(line, int(time.time())):
            problem = getattr(self._runtime.journal, "problem", "")
            raise JournalError(
                "the journal must take each record (it did not); what was taken stays, import again"
                f" to go on{f': {problem}' if problem else ''}"
            )

    def _catch_up(self) -> None:
        """
        Bring the database up to the journal, however long it takes, as long as it moves.
        """
        while not self._runtime.catch_up(CATCH_UP_S):
            if self._is_stuck():
                return

    def _is_stuck(self) -> bool:
        # Not the tries of a sink that takes nothing: they are no movement.
        delivered = [
            (each.sink, each.record_count, each.dead_count)
            for each in self._runtime.followers.stats().followers
        ]
        is_stuck, self._delivered = delivered == self._delivered, delivered
        return is_stuck
