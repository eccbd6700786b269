"""
Which runs have finished, and what is posted of them.

A run is finished by the record that gives it a final status: its agent's own end, a whole run
handed over, the reaper's conclusion, or a person's. What is posted is the run as the journal has it
then, so the records of open runs are folded as they pass by.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional

import attrs
import msgspec

from telemetry.model.fold import Fold
from telemetry.model.records import Change, Record, RecordType
from telemetry.model.run import COLUMNS, Group, Kind, Status, parse_status

if TYPE_CHECKING:
    from telemetry.sinks import Cursor, Desk

#: Open runs whose records are kept folded; what is known of others is asked for at their end.
MAX_OPEN_RUNS = 5000
_RUNNING = Status.RUNNING.value
_RUN = RecordType.RUN.value
_ENDED = Change.ENDED.value
_CREATING = frozenset({Change.STARTED.value, Change.RECORDED.value})
#: May finish a run: the first is its own process, the others say what they think or were told.
_FINISHING = frozenset({_ENDED, Change.RECORDED.value, Change.INFERRED.value, Change.EDITED.value})
_GUESSING = frozenset({Change.INFERRED.value, Change.EDITED.value})
#: Of use on the run's own machine only, and none of a stranger's business.
_LOCAL = frozenset({"pid", "work_dir", "error_details"})
_POSTED = tuple(
    column
    for column in COLUMNS.values()
    if column.group not in (Group.DELIVERY, Group.BOOKKEEPING) and column.name not in _LOCAL
)


@attrs.define(eq=False)
class Finish:
    """
    A run that finished in a batch.
    """

    fold: Fold
    #: The record that did it, the last of several.
    record: Record
    #: The ids of all that did.
    record_ids: list[str]
    is_guess: bool
    #: Whether the fold has seen the run from its beginning.
    is_whole: bool


class Runs:
    """
    The open runs of the journal, as far as one follower has read.
    """

    def __init__(self) -> None:
        self._open: OrderedDict[str, Fold] = OrderedDict()
        self._offsets: dict[str, int] = {}

    def forget(self) -> None:
        """
        Know nothing; every run is asked for at its end.
        """
        self._open.clear()
        self._offsets.clear()

    def expect(self, cursor: Cursor) -> None:
        """
        Notice that another process has read on in between: what is known here is not all.
        """
        if not cursor.segment:
            return
        known = self._offsets.get(cursor.segment, 0)
        if known != cursor.start:
            self.forget()

    def passed(self, cursor: Cursor) -> None:
        """
        Take note of a position that the sink is done with.
        """
        if cursor.segment:
            self._offsets[cursor.segment] = cursor.offset

    def take(self, batch: Sequence[Record]) -> list[Finish]:
        """
        Fold a batch, and return the runs that finished in it, in order.
        """
        finished: dict[str, Finish] = {}
        for record in batch:
            if not record.event_id or record.record_type not in (_RUN, RecordType.COMMIT.value):
                continue
            fold = self._fold_of(record)
            is_finish = record.record_type == _RUN and _finishes(record)
            if fold is None and not is_finish:
                continue
            finish = finished.get(record.event_id)
            if fold is None:
                fold = finish.fold if finish is not None else Fold()
            fold.apply(record)
            if is_finish:
                finished[record.event_id] = self._finish(record, fold, finish)
        return list(finished.values())

    def close(self, event_id: str) -> None:
        """
        Let go of a run that is done with.
        """
        self._open.pop(event_id, None)

    def _fold_of(self, record: Record) -> Optional[Fold]:
        """
        Return the fold of an open run; a new one for a run that begins, None for others.
        """
        fold = self._open.get(record.event_id)
        if fold is None and record.record_type == _RUN and record.change in _CREATING:
            fold = self._open[record.event_id] = Fold()
            while len(self._open) > MAX_OPEN_RUNS:
                self._open.popitem(last=False)
        return fold

    def _finish(self, record: Record, fold: Fold, before: Optional[Finish]) -> Finish:
        is_guess = record.change in _GUESSING
        if before is None:
            is_whole = record.event_id in self._open and bool(fold.row()["agent_name"])
            return Finish(fold, record, [record.id], is_guess, is_whole)
        before.record = record
        before.record_ids.append(record.id)
        before.is_guess &= is_guess
        return before


def _finishes(record: Record) -> bool:
    if record.change not in _FINISHING:
        return False
    if record.change == _ENDED:
        return True
    status = parse_status(record.fields().get("status"))
    return status is not None and status is not Status.RUNNING


def complete(finish: Finish, desk: Optional[Desk]) -> None:
    """
    Add what was recorded of a run before this follower began to look.
    """
    if finish.is_whole or desk is None:
        return
    known = desk.recall(finish.record.event_id)
    if known.event_id or known.deleted:
        finish.fold.merge(known)
    finish.is_whole = True


def is_postable(row: dict[str, Any], fold: Fold) -> bool:
    """
    Return whether a run, as it now stands, is there and finished.
    """
    return not fold.deleted and row["status"] != _RUNNING


def body_of(row: dict[str, Any]) -> bytes:
    """
    Return a finished run as the JSON object that is posted: its fields but for those without value.
    """
    said = {
        column.name: msgspec.Raw(row[column.name].encode())
        if column.kind is Kind.JSON
        else row[column.name]
        for column in _POSTED
        if row[column.name] is not None
    }
    return msgspec.json.encode(said)
