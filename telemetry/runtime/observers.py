"""
The hooks that observe runs, as a follower of the journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional

from telemetry.model.fold import fold
from telemetry.model.records import Change, Record, RecordType

if TYPE_CHECKING:
    from telemetry.model.run import Run
    from telemetry.runtime.plugins import Observer
    from telemetry.sinks import Cursor


class Heard:
    """
    What observers may want to know of a start or an end: the record, and the run if anybody asks.
    """

    def __init__(self, record: Record) -> None:
        self.record = record
        self._run: Optional[Run] = None

    @property
    def run(self) -> Run:
        """
        Return the run as this record tells of it.
        """
        if self._run is None:
            self._run = fold([self.record])
        return self._run


class ObserverSink:
    """
    Calls the plugins' observers for each start and each end, and records what they found out.

    The observers are guarded one by one where they are loaded. A repeat after a crash is harmless:
    what an observer says twice is recorded as the same values.

    Args:
        found: Records the fields that an observer returned for the run of a record.
    """

    name = "hooks"

    def __init__(
        self,
        started: Sequence[Observer],
        ended: Sequence[Observer],
        found: Callable[[Record, Mapping[str, Any]], None],
    ) -> None:
        observers = {Change.STARTED: tuple(started), Change.ENDED: tuple(ended)}
        self._observers = {change.value: each for change, each in observers.items() if each}
        #: A service takes runs by the thousand that nobody observes.
        self.does_without = {*RecordType, *Change} - {RecordType.RUN, *self._observers}
        self._found = found

    def write(self, batch: Sequence[Record], _: Cursor, /) -> None:
        """
        Let the observers see what began and what ended.
        """
        for record in batch:
            observers = self._observers.get(record.change, ())
            if observers and record.record_type == RecordType.RUN:
                self._observe(record, observers)

    def close(self) -> None:
        """
        Hold nothing, so release nothing.
        """

    def _observe(self, record: Record, observers: Sequence[Observer]) -> None:
        heard = Heard(record)
        for observer in observers:
            fields = observer(heard)
            if fields:
                self._found(record, fields)
