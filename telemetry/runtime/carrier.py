"""
The work of a follower, round by round: lead or look on, carry, rest, sit out what fails.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Optional

from telemetry.model.codec import decode_lines
from telemetry.model.errors import (
    CursorMovedError,
    OutOfTimeError,
    PausedSinkError,
    TransientSinkError,
)
from telemetry.model.records import deliverable
from telemetry.runtime.boundary import Boundary
from telemetry.runtime.cursors import NOWHERE, CursorStore, FileCursors, KeptCursors
from telemetry.runtime.deadletters import DeadLetters, describe
from telemetry.runtime.delivery import Delivery
from telemetry.runtime.leadership import Leadership
from telemetry.runtime.natives import is_main_thread
from telemetry.runtime.outage import Outage
from telemetry.runtime.pacing import LINGER_S, QUIET_S, Pace
from telemetry.runtime.position import Position
from telemetry.runtime.requests import Requests
from telemetry.runtime.surroundings import FollowerStats, ForkedError, State, Surroundings
from telemetry.sinks import CursorKeeper

if TYPE_CHECKING:
    from telemetry.config import TelemetryConfig
    from telemetry.sinks import Chunk, Journal, Segment, Sink

#: How often the cursors of another process are looked at while somebody waits for them.
GLANCE_S = 0.05
FOREVER_S = 3600.0


class Carrier:
    """
    Carries the journal to one sink, in one process.

    Whoever drives the follower calls `cycle`, and nobody else meanwhile.
    """

    def __init__(
        self,
        sink: Sink,
        journal: Journal,
        config: TelemetryConfig,
        shared: Surroundings,
        requests: Requests,
    ) -> None:
        state_dir, manners = config.state_dir, shared.manners
        self._name = sink.name
        self._shared = shared
        self._requests = requests
        self._store = _store_of(sink, config)
        self._delivery = Delivery(
            sink, self._store, DeadLetters(state_dir, sink.name), requests.wait
        )
        self._position = Position(
            journal, self._store, config.batch_size, without=getattr(sink, "does_without", ())
        )
        self._pace = Pace(shared.bell, manners.pause_factor)
        self._linger_s = max(LINGER_S, getattr(sink, "linger_s", LINGER_S))
        self.leadership = Leadership(
            state_dir, sink.name, lease_s=manners.lease_s, is_preferred=manners.is_preferred
        )
        self.boundary = Boundary(sink)
        self._outage = Outage(self.boundary)
        self.state = State.NEW
        #: The epoch of the bell at which it came to rest: with it, nothing is left to read.
        self.seen_epoch = -1
        self._targeted = self._tried = 0
        self._targets: Mapping[str, int] = {}
        #: For how long yet the burst that woke it may go on.
        self._burst_s = 0.0
        self._moved_count = 0
        self._ring_number = 0
        self._record_count = self._damaged_count = 0

    @property
    def keeps_cursors(self) -> bool:
        """
        Return whether the sink commits cursors with its rows: then no lock is needed to be right.
        """
        return self._store.is_exact

    def stats(self) -> FollowerStats:
        """
        Return the counts of this process.
        """
        return FollowerStats(
            sink=self._name,
            state=self.state,
            is_leader=self.leadership.is_leader,
            record_count=self._record_count,
            dead_count=self._delivery.dead_count,
            damaged_count=self._damaged_count,
            busy_s=self.boundary.busy_s(),
        )

    def cycle(self) -> None:
        """
        Do one round: work until caught up, or wait for what stands in the way.
        """
        try:
            self._work_or_wait()
            return
        except CursorMovedError:
            self._yield_to_another()
            return
        except PausedSinkError as error:
            self._outage.pause(describe(error))
            self.state = State.PAUSED
            self._requests.refuse()
        except TransientSinkError as error:
            if self._requests.is_stopping and isinstance(error, OutOfTimeError):
                self._position.forget()
            else:
                self._begin_outage(describe(error), error.retry_after_s)
        except ForkedError:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and is_main_thread():
                raise  # the user's own Ctrl+C, while the caller drains for himself
            self._begin_outage(f"{type(error).__name__}: {describe(error)}")
        if self._requests.is_stopping:
            self._requests.give_up()

    def _work_or_wait(self) -> None:
        self._requests.take()
        remaining = self._outage.remaining_s()
        if remaining and self._tried >= self._requests.asked:
            self._requests.wait(remaining)
            return
        self._tried = self._requests.asked
        if self._burst_s:
            self._linger()
        self._deliver_ring()
        was_leader = self.leadership.is_leader
        may_work = self.leadership.may_work()
        if not (was_leader and may_work):
            self._position.forget()
        self._aim()
        if may_work or self._may_help():
            self._work(is_guest=not may_work)
        else:
            self._look_on()

    def _linger(self) -> None:
        """
        Let the burst that woke this follower go on, unless somebody waits for it.

        Not idle any more, so that no ring wakes it again; a token that was on its way does not end
        the wait either.
        """
        until = time.monotonic() + self._burst_s
        self._burst_s = 0.0
        self.state = State.WORKING
        while (
            not (self._requests.is_open or self._requests.is_stopping) and time.monotonic() < until
        ):
            self._requests.wait(until - time.monotonic())

    def _aim(self) -> None:
        """
        Take note of how far the journal goes, for those who have begun to wait for it.
        """
        asked = self._requests.asked
        if self._targeted < asked:
            self._targets = self._position.sizes()
            self._targeted = asked

    def _may_help(self) -> bool:
        """
        Return whether to work beside a leader: somebody waits, and the cursors keep it right.

        Not at exit: there the leader is left to it.
        """
        return self._requests.is_open and self._store.is_exact and not self._requests.is_stopping

    def _work(self, *, is_guest: bool) -> None:
        """
        Deliver until nothing is left, then sleep until there is more.
        """
        self.state = State.OUTAGE if self._outage.is_on else State.WORKING
        epoch = self._shared.bell.look()
        while self._pass():
            if self._requests.is_late or (is_guest and not self._requests.is_open):
                return
            if self.leadership.is_asked_to_leave():
                return
            if not self._requests.is_open and self._shared.bell.quiet_s() < QUIET_S:
                self._pause(self._linger_s)
            epoch = self._shared.bell.look()
            self._deliver_ring()
        if self._requests.is_late:
            return
        self._end_outage()
        self._requests.answer(self._targeted)
        if self._requests.is_open or self._requests.is_stopping:
            return
        self.boundary.idle()
        if self._requests.deadline is None:
            if epoch == self._shared.bell.look():
                self._rest(epoch)
            else:  # rung before it could rest: a burst like one that wakes it
                self._burst_s = self._linger_s

    def _rest(self, epoch: int) -> None:
        self.seen_epoch = epoch
        self.state = State.IDLE
        self._shared.on_idle()
        if self.leadership.is_leader:
            self._requests.wait(FOREVER_S)
            self._burst_s = self._linger_s - LINGER_S  # so long has the watcher waited
        else:
            self._requests.wait(self.leadership.retry_s())

    def _look_on(self) -> None:
        """
        Let another process work; if somebody waits here, watch how far it is.
        """
        self.state = State.CANDIDATE
        if not self._requests.is_open:
            self._requests.wait(self.leadership.retry_s())
        elif self._position.is_at_end(self._targets):
            self._requests.answer(self._targeted)
        elif self._requests.is_stopping:
            self._requests.give_up()  # the leader goes on, and the journal has everything
        else:
            self._requests.wait(GLANCE_S)

    def _pass(self) -> bool:
        """
        Read each segment on to its end; False if there was nothing anywhere.
        """
        has_moved = False
        for segment in self._position.segments():
            if self._position.offset(segment.id) == segment.size:
                continue
            while self._step(segment):
                has_moved = True
                if self._requests.is_late or self.leadership.is_asked_to_leave():
                    return True
                if self._position.offset(segment.id) >= segment.size:
                    break
        return has_moved

    def _step(self, segment: Segment) -> bool:
        """
        Deliver one batch and pause as politeness wants.
        """
        self._aim()
        max_bytes = self._pace.read_bytes(is_urgent=self._requests.is_open)
        chunk = self._position.next_chunk(segment, max_bytes)
        if chunk is None:
            return False
        self._deliver(segment, chunk)
        self._pace.finish()
        if self._requests.is_open and self._position.has_passed(self._targets):
            self._requests.answer(self._targeted)
        if self._pace.pause_s:
            self._pause(self._pace.pause_s * max(1, self._shared.crowd()))
        return True

    def _pause(self, seconds: float) -> None:
        """
        Leave the interpreter to the program; see at the end whether it has become quiet.
        """
        self._requests.wait(seconds - QUIET_S)
        if not self._requests.is_open:
            self._shared.bell.look()
            self._requests.wait(QUIET_S)

    def _deliver(self, segment: Segment, chunk: Chunk) -> None:
        records = deliverable(chunk.records)
        self._shared.sync()
        with self.boundary.busy():
            self._delivery.deliver(
                records, chunk.cursor, lambda: self._position.peek(segment, chunk)
            )
        self._position.advance(chunk.cursor)
        self._moved_count = 0
        self._record_count += len(records)
        self._damaged_count += chunk.damaged_count
        self._end_outage()
        self.leadership.stamp()

    def _deliver_ring(self) -> None:
        """
        Hand over what the journal would not take.
        """
        if not self._shared.emergency:
            return
        waiting = self._shared.emergency.waiting(self._ring_number)
        if not waiting:
            return
        records = decode_lines(b"".join(entry.line for entry in waiting)).records
        with self.boundary.busy():
            self._delivery.deliver(records, NOWHERE)
        self._ring_number = waiting[-1].number
        self._end_outage()
        self._record_count += len(records)

    def _yield_to_another(self) -> None:
        """
        Read the cursors again: another process committed what was read here.
        """
        self._position.forget()
        self._moved_count += 1
        self._requests.wait(min(0.01 * self._moved_count, 1.0))

    def _begin_outage(self, reason: str, retry_after_s: Optional[float] = None) -> None:
        self._position.forget()
        self._outage.fail(reason, retry_after_s)
        self.state = State.OUTAGE

    def _end_outage(self) -> None:
        if self._outage.end():
            self.state = State.WORKING


def _store_of(sink: Sink, config: TelemetryConfig) -> CursorStore:
    if isinstance(sink, CursorKeeper):
        return KeptCursors(sink)
    return FileCursors(config.state_dir, sink.name, is_synced=config.fsync != "never")
