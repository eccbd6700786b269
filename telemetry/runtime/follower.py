"""
One sink following the journal: who drives it, from when on, and until when.
"""

from __future__ import annotations

import _thread
import time
from typing import TYPE_CHECKING, Optional

from telemetry.runtime.carrier import Carrier
from telemetry.runtime.natives import allocate_lock
from telemetry.runtime.requests import Requests
from telemetry.runtime.surroundings import FollowerStats, ForkedError, State, Surroundings

if TYPE_CHECKING:
    from telemetry.config import TelemetryConfig
    from telemetry.sinks import Journal, Sink

#: How often a caller that waits for the turn looks whether a thread has begun.
TURN_GLANCE_S = 0.05


class Follower:
    """
    Follows the journal for one sink; its `Carrier` does the work.

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
        self.after_fork()

    def after_fork(self) -> None:
        """
        Begin afresh in a child: no thread, no lead, cursors to be read again.
        """
        self.requests = Requests()
        self._carrier = Carrier(self.sink, self._journal, self._config, self._shared, self.requests)
        self.leadership = self._carrier.leadership
        self.turn = allocate_lock()
        #: Whether a thread is at work or about to be; only the watcher and the thread change it.
        self._has_thread = False
        self._driver = 0
        self.is_threadless = False
        #: Whether the sink was worked with since it was closed last.
        self._is_in_use = False
        #: Whether the sink had everything when the thread ended.
        self.is_complete = False

    # Asked from any thread

    def revive(self) -> None:
        """
        Take back an earlier `stop`, because there is something to follow again.
        """
        if self.requests.is_stopping or self.is_complete:
            self.is_complete = False
            self.requests.go_on()

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
        self.is_complete = False
        self.requests.stop(deadline)

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
        return self._carrier.keeps_cursors

    @property
    def state(self) -> State:
        """
        Return what it is doing.
        """
        return self._carrier.state

    @property
    def seen_epoch(self) -> int:
        """
        Return the epoch of the bell at which it came to rest: what rang since, it has not read.
        """
        return self._carrier.seen_epoch

    def stats(self) -> FollowerStats:
        """
        Return the counts of this process.
        """
        return self._carrier.stats()

    # Driven by whoever has the turn

    def run(self) -> None:
        """
        Follow until told to stop: the body of the thread.
        """
        carrier = self._carrier
        with self.turn:
            self._is_in_use = True
            self._driver = _thread.get_ident()
            try:
                while not self._is_over():
                    carrier.cycle()
                is_complete = not (self.requests.has_given_up or self.requests.is_late)
                self.close()
                self.is_complete = is_complete
            except ForkedError:
                return
            finally:
                if carrier is self._carrier:  # not in a child that the sink forked
                    carrier.state = State.CLOSED
                    self._has_thread = False

    def drain(self, deadline: float) -> Optional[bool]:
        """
        Deliver what is in the journal on the caller's own thread; where the follower has none.

        Returns:
            Whether all of it was delivered before the deadline, a point of `time.monotonic`; None
            where a thread has begun meanwhile, because a sink recorded something: ask that one.
        """
        while not self.turn.acquire(timeout=TURN_GLANCE_S):
            if self._has_thread:
                return None
            if time.monotonic() >= deadline:
                return False
        self._is_in_use = True
        self.requests.deadline = deadline
        self._carrier.state = State.NEW
        number = self.requests.ask()
        try:
            while not self.requests.has_answered(number):
                if time.monotonic() >= deadline or self.requests.has_refused(number):
                    return False
                self._carrier.cycle()
            return True
        finally:
            self.requests.deadline = None
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
            self._carrier.boundary.close()
            self.leadership.release()

    def _is_over(self) -> bool:
        if not self.requests.is_stopping:
            return False
        self.requests.take()
        return self.requests.is_late or not self.requests.is_open
