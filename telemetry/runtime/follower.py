"""
One sink following the journal: read on from the cursor, hand over, commit, sleep.
"""

from __future__ import annotations

import _thread
import logging
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
from telemetry.runtime.pacing import LINGER_S, QUIET_S, Outage, Pace
from telemetry.runtime.position import Position
from telemetry.runtime.requests import Requests
from telemetry.runtime.surroundings import FollowerStats, ForkedError, State, Surroundings
from telemetry.sinks import CursorKeeper

if TYPE_CHECKING:
    from telemetry.config import TelemetryConfig
    from telemetry.sinks import Chunk, Journal, Segment, Sink

#: A sink that wants to be left alone is asked again this often.
PROBE_S = 60.0
#: How often the cursors of another process are looked at while somebody waits for them.
GLANCE_S = 0.05
FOREVER_S = 3600.0


class Follower:
    """
    Carries the journal to one sink.

    Whoever holds the turn drives it: its own thread from the first record to the end, or, where
    there are no threads, a caller that wants to wait. What others want of it comes through its
    `requests`.
    """

    def __init__(
        self, sink: Sink, journal: Journal, config: TelemetryConfig, shared: Surroundings
    ) -> None:
        self.sink = sink
        self.name = sink.name
        self._journal = journal
        self._config = config
        self._shared = shared
        self._linger_s = max(LINGER_S, getattr(sink, "linger_s", LINGER_S))
        self.after_fork()

    def after_fork(self) -> None:
        """
        Begin afresh in a child: no thread, no lead, cursors to be read again.
        """
        state_dir = self._config.state_dir
        is_keeper = isinstance(self.sink, CursorKeeper)
        is_synced = self._config.fsync != "never"
        self._store: CursorStore = (
            KeptCursors(self.sink)
            if is_keeper
            else FileCursors(state_dir, self.name, is_synced=is_synced)
        )
        dead = DeadLetters(state_dir, self.name)
        self._delivery = Delivery(self.sink, self._store, dead, self._wait)
        self._position = Position(
            self._journal,
            self._store,
            self._config.batch_size,
            without=getattr(self.sink, "does_without", ()),
        )
        manners = self._shared.manners
        self.leadership = Leadership(
            state_dir,
            self.name,
            lease_s=manners.lease_s,
            is_preferred=manners.is_preferred,
        )
        self._pace = Pace(self._shared.bell, manners.pause_factor)
        self._outage = Outage()
        self.boundary = Boundary(self.sink)
        self.requests = Requests()
        self._targeted = self._tried = 0
        self._targets: Mapping[str, int] = {}
        self._deadline: Optional[float] = None
        self._is_stopping = False
        self._has_given_up = False
        #: For how long yet the burst that woke it may go on.
        self._burst_s = 0.0
        self._moved_count = 0
        self._ring_number = 0
        self._record_count = self._batch_count = self._damaged_count = self._failure_count = 0
        self.turn = _thread.allocate_lock()
        self.state = State.NEW
        #: Whether a thread is at work or about to be; only the watcher and the thread change it.
        self._has_thread = False
        self._driver = 0
        self.is_threadless = False
        #: Whether the sink was worked with since it was closed last.
        self._is_in_use = False
        self.is_complete = False
        self.seen_epoch = -1

    # Asked from any thread

    def revive(self) -> None:
        """
        Take back an earlier `stop`, because there is something to follow again.
        """
        if self._is_stopping or self.is_complete:
            self._is_stopping = self.is_complete = False
            self._deadline = None

    def begin(self) -> bool:
        """
        Follow from now on; True if it needs a thread for that, which the caller then starts.

        One that was told to stop before delivers what is left, and ends.
        """
        if self._has_thread or self.is_threadless:
            return False
        self._has_thread = True
        return True

    def end(self) -> None:
        """
        Do without a thread: none can be started.
        """
        self._has_thread = False
        self.is_threadless = True

    def stop(self, deadline: float) -> None:
        """
        Ask the thread to deliver what is left, to close the sink and to end.

        Args:
            deadline: A point of `time.monotonic`, looked at between batches.
        """
        self.is_complete = self._has_given_up = False
        self._deadline = deadline
        self._is_stopping = True
        self.requests.ask()

    @property
    def has_ended(self) -> bool:
        """
        Return whether no thread is at work.
        """
        return not self._has_thread

    @property
    def is_driven_here(self) -> bool:
        """
        Return whether the caller is this follower's thread: the sink itself is asking.
        """
        return self._has_thread and self._driver == _thread.get_ident()

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
            sink=self.name,
            state=self.state,
            is_leader=self.leadership.is_leader,
            record_count=self._record_count,
            batch_count=self._batch_count,
            dead_count=self._delivery.dead_count,
            damaged_count=self._damaged_count,
            failure_count=self._failure_count,
            attempt_count=self._outage.attempt_count,
            last_error=self._outage.reason,
            busy_s=self.boundary.busy_s(),
        )

    # Driven by whoever has the turn

    def run(self) -> None:
        """
        Follow until told to stop: the body of the thread.
        """
        boundary = self.boundary
        with self.turn:
            self._is_in_use = True
            self._driver = _thread.get_ident()
            try:
                while not self._is_over():
                    self._cycle()
                is_complete = not (self._has_given_up or self._is_late())
                self.close()
                self.is_complete = is_complete
            except ForkedError:
                return
            finally:
                if boundary is self.boundary:
                    self.state = State.CLOSED
                    self._has_thread = False

    def drain(self, deadline: float) -> Optional[bool]:
        """
        Deliver what is in the journal on the caller's own thread; where the follower has none.

        Returns:
            Whether all of it was delivered before the deadline, a point of `time.monotonic`; None
            where a thread has begun meanwhile, because a sink recorded something: ask that one.
        """
        while not self.turn.acquire(timeout=GLANCE_S):
            if self._has_thread:
                return None
            if time.monotonic() >= deadline:
                return False
        self._is_in_use = True
        self._deadline = deadline
        self.state = State.NEW
        number = self.requests.ask()
        try:
            while not self.requests.has_answered(number):
                if time.monotonic() >= deadline or self.requests.has_refused(number):
                    return False
                self._cycle()
            return True
        finally:
            self._deadline = None
            self.requests.drop()
            self.leadership.release()
            self.turn.release()

    def close(self) -> None:
        """
        Close the sink and let others lead; once, and only where there is something to close.

        A sink that hangs in its close does so on the thread that worked with it, and not again on
        that of the program's end.
        """
        if self._is_in_use:
            self._is_in_use = False
            self.boundary.close()
            self.leadership.release()

    def _is_over(self) -> bool:
        if not self._is_stopping:
            return False
        self.requests.take()
        return self._is_late() or not self.requests.is_open

    def _is_late(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _cycle(self) -> None:
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
            self._failure_count += 1
            reason = describe(error)
            if self._outage.reason != reason:  # one that is only asked again has been named
                self.boundary.say("paused", f"must be left alone: {reason}")
            self._outage.fail(reason, PROBE_S)
            self.state = State.PAUSED
            self.requests.refuse()
        except TransientSinkError as error:
            if self._is_stopping and isinstance(error, OutOfTimeError):
                self._position.forget()
            else:
                self._begin_outage(describe(error), error.retry_after_s)
        except ForkedError:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and is_main_thread():
                raise  # the user's own Ctrl+C, while the caller drains for himself
            self._begin_outage(f"{type(error).__name__}: {describe(error)}")
        if self._is_stopping:
            self._give_up()

    def _work_or_wait(self) -> None:
        self.requests.take()
        remaining = self._outage.remaining_s()
        if remaining and self._tried >= self.requests.asked:
            self._wait(remaining)
            return
        self._tried = self.requests.asked
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
        while not (self.requests.is_open or self._is_stopping) and time.monotonic() < until:
            self._wait(until - time.monotonic())

    def _aim(self) -> None:
        """
        Take note of how far the journal goes, for those who have begun to wait for it.
        """
        asked = self.requests.asked
        if self._targeted < asked:
            self._targets = self._position.sizes()
            self._targeted = asked

    def _may_help(self) -> bool:
        """
        Return whether to work beside a leader: somebody waits, and the cursors keep it right.

        Not at exit: there the leader is left to it.
        """
        return self.requests.is_open and self._store.is_exact and not self._is_stopping

    def _work(self, *, is_guest: bool) -> None:
        """
        Deliver until nothing is left, then sleep until there is more.
        """
        self.state = State.OUTAGE if self._outage.is_on else State.WORKING
        epoch = self._shared.bell.look()
        while self._pass():
            if self._is_late() or (is_guest and not self.requests.is_open):
                return
            if self.leadership.is_asked_to_leave():
                return
            if not self.requests.is_open and self._shared.bell.quiet_s() < QUIET_S:
                self._pause(self._linger_s)
            epoch = self._shared.bell.look()
            self._deliver_ring()
        if self._is_late():
            return
        self._end_outage()
        self.requests.answer(self._targeted)
        if self.requests.is_open or self._is_stopping:
            return
        self.boundary.idle()
        if self._deadline is None:
            if epoch == self._shared.bell.look():
                self._rest(epoch)
            else:  # rung before it could rest: a burst like one that wakes it
                self._burst_s = self._linger_s

    def _rest(self, epoch: int) -> None:
        self.seen_epoch = epoch
        self.state = State.IDLE
        self._shared.on_idle()
        if self.leadership.is_leader:
            self._wait(FOREVER_S)
            self._burst_s = self._linger_s - LINGER_S  # so long has the watcher waited
        else:
            self._wait(self.leadership.retry_s())

    def _look_on(self) -> None:
        """
        Let another process work; if somebody waits here, watch how far it is.
        """
        self.state = State.CANDIDATE
        if not self.requests.is_open:
            self._wait(self.leadership.retry_s())
        elif self._position.is_at_end(self._targets):
            self.requests.answer(self._targeted)
        elif self._is_stopping:
            self._give_up()  # the leader goes on, and the journal has everything
        else:
            self._wait(GLANCE_S)

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
                if self._is_late() or self.leadership.is_asked_to_leave():
                    return True
                if self._position.offset(segment.id) >= segment.size:
                    break
        return has_moved

    def _step(self, segment: Segment) -> bool:
        """
        Deliver one batch and pause as politeness wants.
        """
        self._aim()
        max_bytes = self._pace.read_bytes(is_urgent=self.requests.is_open)
        chunk = self._position.next_chunk(segment, max_bytes)
        if chunk is None:
            return False
        self._deliver(segment, chunk)
        self._pace.finish()
        if self.requests.is_open and self._position.has_passed(self._targets):
            self.requests.answer(self._targeted)
        if self._pace.pause_s:
            self._pause(self._pace.pause_s * max(1, self._shared.crowd()))
        return True

    def _pause(self, seconds: float) -> None:
        """
        Leave the interpreter to the program; see at the end whether it has become quiet.
        """
        self._wait(seconds - QUIET_S)
        if not self.requests.is_open:
            self._shared.bell.look()
            self._wait(QUIET_S)

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
        self._batch_count += 1
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

    def _give_up(self) -> None:
        """
        Leave the rest to whoever follows next.
        """
        self._has_given_up = True
        self.requests.drop()

    def _yield_to_another(self) -> None:
        """
        Read the cursors again: another process committed what was read here.
        """
        self._position.forget()
        self._moved_count += 1
        self._wait(min(0.01 * self._moved_count, 1.0))

    def _begin_outage(self, reason: str, retry_after_s: Optional[float] = None) -> None:
        self._failure_count += 1
        self._position.forget()
        if self._outage.fail(reason[:500], retry_after_s):
            self.boundary.say(
                "outage",
                f"takes nothing ({reason[:500]}); it is tried again until it does, "
                "and the journal keeps everything",
            )
        self.state = State.OUTAGE

    def _end_outage(self) -> None:
        if self._outage.end():
            self.state = State.WORKING
            self.boundary.say("recovered", "takes records again", level=logging.INFO)

    def _wait(self, seconds: float) -> None:
        """
        Sleep, unless there is something in the inbox.
        """
        if self._deadline is not None:
            seconds = min(seconds, self._deadline - time.monotonic())
        self.requests.wait(seconds)
