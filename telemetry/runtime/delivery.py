"""
Handing a batch to a sink that may do anything.

Whatever a sink raises is turned into one of three answers: not now (`TransientSinkError`), somebody
was faster (`CursorMovedError`), leave me alone (`PausedSinkError`). A record that only this sink
cannot digest is found by bisection and goes to its dead letters; a sink that digests nothing at all
is out of order, and loses no record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Callable, Optional

from telemetry.model.errors import (
    CursorMovedError,
    PausedSinkError,
    PermanentSinkError,
    TransientSinkError,
)
from telemetry.runtime.chance import chance
from telemetry.runtime.cursors import NOWHERE, CursorStore
from telemetry.runtime.deadletters import DeadLetters, describe
from telemetry.runtime.natives import is_main_thread
from telemetry.runtime.notices import notice, suppressed

if TYPE_CHECKING:
    from telemetry.model.records import Record
    from telemetry.sinks import Cursor, Sink

    Batch = Sequence[Record]

#: Tries of a whole batch that fails for an unknown reason, before it is taken apart.
UNKNOWN_TRIES = 3
RETRY_PAUSE_S = 0.05
#: Single records that are tried to learn whether the sink works at all.
SAMPLE_RECORDS = 8
#: Failures in a row after which a batch is no longer taken apart without asking whether the sink
#: works.
MAX_FAILURES_IN_A_ROW = 64


class Delivery:
    """
    The way into one sink.

    Args:
        pause: Sleeps for so many seconds, or less when there is a reason to hurry.
    """

    def __init__(
        self, sink: Sink, cursors: CursorStore, dead: DeadLetters, pause: Callable[[float], None]
    ) -> None:
        self._sink = sink
        self._cursors = cursors
        self._dead = dead
        self._pause = pause
        self.dead_count = 0

    def deliver(self, records: Batch, cursor: Cursor, peek: Callable[[], Batch] = tuple) -> None:
        """
        Hand over a batch and commit its position; returns when each record is taken or buried.

        Args:
            cursor: Position after the batch, or `NOWHERE`.
            peek: Returns a few later records, to tell a batch of bad records from a broken sink.

        Raises:
            TransientSinkError: Nothing is lost; the batch must come again later.
            CursorMovedError: Another process committed this range.
            PausedSinkError: The sink wants to be left alone.
        """
        for trial in range(UNKNOWN_TRIES):
            error = self._try(records, cursor)
            while isinstance(error, PermanentSinkError):
                named = error.record_ids
                refused = [record for record in records if not named or record.id in named]
                if not refused:
                    break
                self._bury(refused, error)
                records = [record for record in records if named and record.id not in named]
                error = self._try(records, cursor)
            if error is None:
                return
            if trial < UNKNOWN_TRIES - 1:
                self._pause(RETRY_PAUSE_S)
        _Bisection(self._try, records).run(peek, self._bury)
        self._try_to_commit(cursor)

    def _try(self, records: Batch, cursor: Cursor = NOWHERE) -> Optional[BaseException]:
        """
        Hand over records once; return what went wrong if that says something about the records.
        """
        try:
            with suppressed():
                self._hand_over(tuple(records), cursor)
        except (CursorMovedError, PausedSinkError, TransientSinkError):
            raise
        except PermanentSinkError as error:
            return error
        except OSError as error:
            raise TransientSinkError(f"{type(error).__name__}: {describe(error)}") from error
        except KeyboardInterrupt as error:
            if is_main_thread():
                raise  # the user's own Ctrl+C, while the caller drains for himself
            return error
        except BaseException as error:  # noqa: BLE001 (a sink is a stranger's code, SystemExit included)
            return error
        return None

    def _hand_over(self, records: Batch, cursor: Cursor) -> None:
        if self._cursors.is_exact:
            self._sink.write(records, cursor)
            return
        if records:
            self._sink.write(records, cursor)
        if cursor.segment:
            self._cursors.commit(cursor)

    def _try_to_commit(self, cursor: Cursor) -> None:
        if not cursor.segment:
            return
        error = self._try((), cursor)
        if error is not None:
            raise _unavailable(error)

    def _bury(self, records: Batch, error: BaseException) -> None:
        """
        Put records into the dead letters; as long as that fails, the batch is not passed.
        """
        try:
            reasons = getattr(error, "reasons", {})
            for record in records:
                self._dead.add(record, error, reasons.get(record.id, ""))
        except OSError as failure:
            raise TransientSinkError(f"dead letters: {describe(failure)}") from failure
        self.dead_count += len(records)
        notice(
            f"sink:{self._sink.name}:dead",
            f"sink {self._sink.name} must take every record ({len(records)} refused, "
            f"{type(error).__name__}: {describe(error)[:200]}); they are kept in {self._dead.path}",
        )


class _Bisection:
    """
    Finds the records of one batch that a working sink cannot take.

    Parts are handed over with no position: taken twice after a crash, they are the same records.
    """

    def __init__(self, try_: Callable[[Batch], Optional[BaseException]], records: Batch) -> None:
        self._try = try_
        self._records = records
        self._control: Optional[Record] = None
        self._suspects: list[Record] = []
        self._failures_in_a_row = 0
        self._last_error: Optional[BaseException] = None

    def run(self, peek: Callable[[], Batch], bury: Callable[[Batch, BaseException], None]) -> None:
        """
        Deliver all that can be delivered, and bury the rest.

        Raises:
            TransientSinkError: Nothing at all succeeds: the sink is broken, not the records.
        """
        if not (self._finds_control(self._records) or self._finds_control(peek())):
            raise _unavailable(self._last_error)
        self._split(self._records)
        if not self._suspects:
            return
        self._check_control()
        for record in self._suspects:
            error = self._try([record])
            if error is not None:
                bury([record], error)

    def _finds_control(self, records: Batch) -> bool:
        """
        Look for a record that the sink does take, among a few of them.
        """
        sample = chance.sample(list(records), min(SAMPLE_RECORDS, len(records)))
        return any(self._succeeds([record]) for record in sample)

    def _split(self, records: Batch) -> None:
        if not records or self._succeeds(records):
            return
        if self._failures_in_a_row >= MAX_FAILURES_IN_A_ROW:
            self._check_control()
        if len(records) == 1:
            self._suspects.append(records[0])
            return
        middle = len(records) // 2
        self._split(records[:middle])
        self._split(records[middle:])

    def _succeeds(self, records: Batch) -> bool:
        error = self._try(records)
        if error is None:
            self._failures_in_a_row = 0
            self._control = records[-1]
            return True
        self._failures_in_a_row += 1
        self._last_error = error
        return False

    def _check_control(self) -> None:
        """
        Make sure that the sink still takes what it took before.
        """
        self._failures_in_a_row = 0
        if self._control is not None:
            error = self._try([self._control])
            if error is not None:
                raise _unavailable(error)


def _unavailable(error: Optional[BaseException]) -> TransientSinkError:
    if error is None:
        return TransientSinkError("no reason given")
    failure = TransientSinkError(f"{type(error).__name__}: {describe(error)}")
    failure.__cause__ = error
    return failure
