"""
What a process offers to its sinks: a say in the journal, and a memory of runs.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Callable, Optional

from telemetry.model.errors import TelemetryError
from telemetry.model.fold import Fold
from telemetry.model.records import RecordType
from telemetry.runtime.deadletters import describe
from telemetry.runtime.notices import notice
from telemetry.storage.chunks import chunks_of
from telemetry.storage.handles import Handle
from telemetry.storage.rows import load_fold
from telemetry.storage.sqlite import connect_read_only

if TYPE_CHECKING:
    from pathlib import Path

    from telemetry.model.records import Change
    from telemetry.runtime.recorder import Recorder
    from telemetry.sinks import Desk, Journal, Segment, Sink

#: How long the journal is searched for a run that the database does not have, in seconds.
SEARCH_BUDGET_S = 2.0
_READ_BYTES = 1 << 20


class WritingDesk:
    """
    The `Desk` of one process and base directory.
    """

    def __init__(
        self,
        recorder: Recorder,
        db_path: Path,
        journal: Journal,
        time_left_s: Callable[[], Optional[float]],
    ) -> None:
        self._recorder = recorder
        #: How long the process still waits for its sinks; None while it is not ending.
        self.time_left_s = time_left_s
        self._handle = Handle(db_path, lambda: connect_read_only(db_path))
        self._journal = journal

    def record(
        self, change: Change, event_id: str, run_id: str, fields: Mapping[str, Any], /
    ) -> None:
        """
        Append a change of a run to the journal.
        """
        self._recorder.change(change, event_id, run_id, fields)

    def recall(self, event_id: str, /) -> Fold:
        """
        Return what the database, or else the journal, has of a run.
        """
        fold = self._stored(event_id)
        if not fold.event_id and not fold.deleted:
            self._search(event_id, fold)
        return fold

    def sizes(self) -> Mapping[str, int]:
        """
        Return how long each segment of the journal is now.
        """
        return {segment.id: segment.size for segment in self._journal.segments()}

    def _stored(self, event_id: str) -> Fold:
        # A fork waits for as long as the connection is open.
        with self._handle.held():
            try:
                connection = self._handle.get()
                connection.execute("BEGIN")  # the fold and its row as they stand together
                return load_fold(connection, event_id)
            except (TelemetryError, sqlite3.Error, OSError):
                return Fold()  # a database that cannot be read is another sink's concern
            finally:
                self._handle.drop()

    def _search(self, event_id: str, fold: Fold) -> None:
        """
        Fold what the journal has of a run, the newest files first, for a limited time.
        """
        deadline = time.monotonic() + SEARCH_BUDGET_S
        try:
            for segment in reversed(self._journal.segments()):
                # A run's start says the agent; what came before it is nothing.
                if fold.row()["agent_name"] or time.monotonic() >= deadline:
                    return
                self._fold_from(segment, event_id, fold, deadline)
        except OSError:
            return

    def _fold_from(self, segment: Segment, event_id: str, fold: Fold, deadline: float) -> None:
        for chunk in chunks_of(
            self._journal, segment, max_bytes=_READ_BYTES, without=(RecordType.EVENT,)
        ):
            for record in chunk.records:
                if record.event_id == event_id:
                    fold.apply(record)
            if time.monotonic() >= deadline:
                return


def attach(sinks: Iterable[Sink], desk: Desk) -> None:
    """
    Give the desk to the sinks that ask for it; what one raises is said, and it goes without.
    """
    for sink in sinks:
        take = getattr(sink, "attach", None)
        if take is None:
            continue
        try:
            take(desk)
        except Exception as error:  # noqa: BLE001 (a sink is a stranger's code)
            notice(
                f"sink:{sink.name}:attach",
                f"sink {sink.name} cannot be attached ({type(error).__name__}: {describe(error)})",
            )
