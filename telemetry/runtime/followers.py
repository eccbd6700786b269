"""
All followers of a process: started by the first record, ended by the exit.

Nothing here runs in a process that records nothing, nor in one whose records another drains
(``TELEMETRY_DRAIN=external``). A caller that wants to wait polls: no lock is shared with the
followers, so a signal, a fork or the end of the interpreter finds none held.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Callable, Optional

import attrs

from telemetry.runtime.doorbell import Doorbell
from telemetry.runtime.ending import close_sinks, end_here, end_threads
from telemetry.runtime.follower import Follower
from telemetry.runtime.forks import on_fork_in_child
from telemetry.runtime.natives import start_thread
from telemetry.runtime.notices import notice
from telemetry.runtime.restoring import Restoring
from telemetry.runtime.ring import EmergencyRing, RingStats
from telemetry.runtime.surroundings import AGENT, FollowerStats, Manners, State, Surroundings
from telemetry.runtime.syncing import Syncing
from telemetry.runtime.tickets import Ticket, ask, wait_for
from telemetry.runtime.watcher import NO_CHORE, Chore, Watcher

if TYPE_CHECKING:
    from telemetry.config import TelemetryConfig
    from telemetry.sinks import Journal, Sink


@attrs.frozen
class FollowersStats:
    """
    What the followers of this process have done.
    """

    followers: tuple[FollowerStats, ...]
    emergency: RingStats
    #: Whether threads are at work for this process.
    is_started: bool


class Followers:
    """
    The sinks of one process and base directory, each with its follower.

    Safe from any thread. `ring` and `spill` are also safe from signal handlers and destructors.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        journal: Journal,
        config: TelemetryConfig,
        *,
        chore: Chore = NO_CHORE,
        manners: Manners = AGENT,
    ) -> None:
        self._journal = journal
        self._config = config
        self._chore = chore
        self.bell = Doorbell(self._start_from_ring)
        #: Say that something was recorded: the bell's own method, so that it costs one call.
        self.ring: Callable[[], None] = self.bell.ring
        self.emergency = EmergencyRing()
        self._syncing = Syncing(journal, self.bell, config.fsync)
        self._restoring = Restoring(journal, self.emergency)
        shared = Surroundings(
            bell=self.bell,
            emergency=self.emergency,
            sync=self._syncing.sync,
            on_idle=self._on_idle,
            crowd=self._crowd,
            manners=manners,
        )
        self._followers = tuple(Follower(sink, journal, config, shared) for sink in sinks)
        self._has_exit_hook = False
        self._is_exiting = False
        self._closes_at: Optional[float] = None
        self._begin()
        on_fork_in_child(self.after_fork)

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._watcher: Optional[Watcher] = None
        self._is_refused = False
        self.bell.reset()
        if self._config.drain == "external":
            self.bell.mute()

    def after_fork(self) -> None:
        """
        Forget threads, locks and positions; called in a child. The first record starts anew.
        """
        self.emergency.after_fork()
        self._syncing.after_fork()
        self._restoring.after_fork()
        for follower in self._followers:
            follower.after_fork()
            tell = getattr(follower.sink, "after_fork", None)
            if tell is not None:
                tell()
        self._begin()

    def spill(self, line: bytes, second: int) -> None:
        """
        Take a line that the journal refused.
        """
        self.emergency.add(line, second)
        self.ring()

    def start(self) -> None:
        """
        Start following now, before any record of this process; a service does that.
        """
        if self._config.drain != "external":
            self._start()

    def flush(self, timeout_s: float) -> bool:
        """
        Wait until everything in the journal has reached every sink.

        Works also where another process leads, and where there are no threads: then the caller
        drains for himself.

        Args:
            timeout_s: Seconds to wait over all sinks together, not each.

        Returns:
            Whether all of it arrived; False leaves the rest to the next follower.
        """
        self._check_pid()
        deadline = time.monotonic() + timeout_s
        self.start()
        return self._restoring.restore() & self._deliver(deadline)

    def ask(self, sink: str) -> Optional[Ticket]:
        """
        Ask one sink's follower for all that is in the journal now, without waiting.

        Returns:
            A ticket to look at; None where there is no such sink.
        """
        self._check_pid()
        self.start()
        for follower in self._followers:
            if follower.name == sink:
                return ask(follower)
        return None

    def catch_up(self, timeout_s: float) -> bool:
        """
        Deliver what is in the journal, on the caller's thread unless followers are at work already.

        For commands and services that answer from what the sinks have; starts no thread.
        """
        self._check_pid()
        deadline = time.monotonic() + timeout_s
        return self._restoring.restore() & self._deliver(deadline)

    def close(self, timeout_s: float) -> bool:
        """
        Deliver what can be delivered in time, close the sinks and end the threads.

        A sink that does not return is left behind; its records stay in the journal. The next record
        starts the followers anew.

        Returns:
            Whether every sink has everything.
        """
        self._check_pid()
        deadline = self._closes_at = time.monotonic() + timeout_s
        has_records = self.bell.is_rung or bool(self.emergency)
        watcher, self._watcher = self._watcher, None
        self.bell.mute()
        try:
            self._restoring.restore()
            if watcher is not None:
                return end_threads(self._followers, watcher, deadline)
            if has_records and self._config.drain != "external":
                return end_here(self._followers, deadline)
            close_sinks(self._followers)
            return True
        finally:
            if not self._is_exiting:
                self._closes_at = None
                self._begin()

    def exit(self) -> None:
        """
        Close within the exit budget, for good; called by the interpreter's end.
        """
        self._check_pid()
        self._is_exiting = True
        self.close(self._config.exit_timeout_s)

    def time_left_s(self) -> Optional[float]:
        """
        Return how long a `close` that is under way still waits; None where none is.
        """
        return None if self._closes_at is None else max(0.0, self._closes_at - time.monotonic())

    def is_asked_by_a_sink(self) -> bool:
        """
        Return whether the caller is one of the sinks, at work on its follower's thread.
        """
        return any(follower.is_driven_here for follower in self._followers)

    @property
    def is_leading(self) -> bool:
        """
        Return whether this process carries records to any sink that it has.
        """
        return any(follower.leadership.is_leader for follower in self._followers)

    def stats(self) -> FollowersStats:
        """
        Return what has been done in this process.
        """
        return FollowersStats(
            tuple(follower.stats() for follower in self._followers),
            self.emergency.stats(),
            self._watcher is not None,
        )

    # Starting

    def _start_from_ring(self) -> None:
        """
        Start at the first record: one thread, which starts the others off the caller's path.
        """
        if not sys.is_finalizing():
            self._start()

    def _start(self) -> None:
        if self._watcher is not None or self._is_refused or self._is_exiting:
            return
        # Here and not on the watcher's thread, which may come to it when they have to stop again.
        for follower in self._followers:
            follower.revive()
        watcher = Watcher(
            self._followers,
            self._journal,
            self.bell,
            self._syncing,
            self._restoring,
            self._chore,
        )
        self._watcher = watcher
        if not self._has_exit_hook:
            self._has_exit_hook = True
            atexit.register(_at_exit, weakref.ref(self))
        try:
            start_thread(watcher.run, "telemetry-watcher")
        except RuntimeError as error:
            self._watcher = None
            self._is_refused = True
            if "shutdown" not in str(error):
                notice("threads", f"sinks need threads ({error}); records stay in the journal")

    def _check_pid(self) -> None:
        """
        Notice a fork that went past Python's own hooks.
        """
        if self._pid != os.getpid():
            self.after_fork()

    # Waiting

    def _deliver(self, deadline: float) -> bool:
        """
        Have every follower deliver: by its thread, or here.
        """
        threaded = self._threaded()
        tickets = [ask(follower) for follower in threaded]
        is_complete = True
        for follower in self._followers:
            if follower not in threaded:
                is_done = follower.drain(deadline)
                if is_done is None:
                    tickets.append(ask(follower))
                else:
                    is_complete &= is_done
        return wait_for(tickets, deadline) and is_complete

    def _threaded(self) -> list[Follower]:
        if self._watcher is None:
            return []
        return [follower for follower in self._followers if not follower.is_threadless]

    # Asked by followers

    def _on_idle(self) -> None:
        watcher = self._watcher
        if watcher is not None:
            watcher.wake()

    def _crowd(self) -> int:
        return sum(follower.state is State.WORKING for follower in self._followers)


def _at_exit(reference: weakref.ref[Followers]) -> None:
    """
    Deliver what the exit budget allows.
    """
    followers = reference()
    if followers is not None:
        followers.exit()
