"""
Sinks for tests: one that remembers, and one that fails as it is told.
"""

from __future__ import annotations

import threading
from enum import Enum
from typing import TYPE_CHECKING, Optional, Union

from telemetry.model.errors import PermanentSinkError, TransientSinkError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from telemetry.model.records import Record
    from telemetry.sinks import Cursor


class MemorySink:
    """
    A sink that keeps every record in a list.

    Safe from any thread: lists grow by one call.
    """

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.records: list[Record] = []
        #: The position after each batch.
        self.cursors_seen: list[Cursor] = []
        self.is_closed = False

    @property
    def ids(self) -> list[str]:
        """
        Return the ids of the records, in the order in which they came.
        """
        return [record.id for record in self.records]

    def write(self, batch: Sequence[Record], cursor: Cursor, /) -> None:
        """
        Keep a batch.
        """
        self.records.extend(batch)
        self.cursors_seen.append(cursor)

    def close(self) -> None:
        """
        Note that it was closed.
        """
        self.is_closed = True


class Fault(Enum):
    """
    What a `FaultySink` can do instead of taking a batch.
    """

    #: Raises `TransientSinkError`: the batch comes again.
    TRANSIENT = "transient"
    #: Raises `PermanentSinkError`: the batch goes to the dead letters.
    PERMANENT = "permanent"
    #: Raises an error that says nothing about what to do.
    UNKNOWN = "unknown"
    #: Does not return until `FaultySink.release`, then takes the batch.
    HANG = "hang"
    #: Raises SystemExit, which ends a thread without a word.
    EXIT = "exit"


Step = Union[Fault, BaseException, None]


class FaultySink(MemorySink):
    """
    A sink that follows a script of faults, and takes every batch once that is over.

    Args:
        fail: One step for each `write`: a fault, an error to raise, or None to take the batch. An
            endless iterable, such as ``itertools.repeat``, never gets better.
    """

    def __init__(self, fail: Iterable[Step] = (), name: str = "faulty") -> None:
        super().__init__(name)
        self._script = iter(fail)
        self._is_released = threading.Event()
        #: Set while a `write` hangs; wait on it to know that the fault has happened.
        self.is_hanging = threading.Event()
        self.attempt_count = 0

    def write(self, batch: Sequence[Record], cursor: Cursor, /) -> None:
        """
        Do the script's next step.
        """
        self.attempt_count += 1
        step = next(self._script, None)
        error = _error_of(step)
        if error is not None:
            raise error
        if step is Fault.HANG:
            self.is_hanging.set()
            self._is_released.wait()
            self.is_hanging.clear()
        super().write(batch, cursor)

    def release(self) -> None:
        """
        Let the `write` that hangs, and every later one, go on.
        """
        self._is_released.set()


def _error_of(step: Step) -> Optional[BaseException]:
    """
    Return what a step raises.
    """
    if step is Fault.TRANSIENT:
        return TransientSinkError("injected: not now", retry_after_s=0.0)
    if step is Fault.PERMANENT:
        return PermanentSinkError("injected: never")
    if step is Fault.UNKNOWN:
        return RuntimeError("injected: no reason given")
    if step is Fault.EXIT:
        return SystemExit("injected: the thread leaves")
    return step if isinstance(step, BaseException) else None
