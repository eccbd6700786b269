"""
The one thread that wakes by the clock, for all followers of a process together.

It answers the doorbell, once the burst that rang it has gone on for a moment, looks once a second
whether other processes have written, makes the journal survive a power cut, and brings what the
journal refused back to it. When nothing happens anywhere, it wakes about once a second; where
another process leads, hardly ever.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Callable

import attrs

from telemetry.runtime.ending import in_order_of_end
from telemetry.runtime.natives import SimpleQueue, start_thread
from telemetry.runtime.notices import notice
from telemetry.runtime.pacing import LINGER_S
from telemetry.runtime.surroundings import State

if TYPE_CHECKING:
    from telemetry.runtime.doorbell import Doorbell
    from telemetry.runtime.follower import Follower
    from telemetry.runtime.restoring import Restoring
    from telemetry.runtime.syncing import Syncing
    from telemetry.sinks import Journal

POLL_S = 1.0
#: With nothing to lead and nothing to sync.
REST_S = 300.0
#: A sink that has not returned for so long is worth a word.
HANG_S = 60.0
#: A chore waits until what was recorded first has been followed.
FIRST_CHORE_S = 1.0


@attrs.frozen
class Chore:
    """
    Something that is not following, to be done now and then by the one thread that wakes anyway.
    """

    do: Callable[[], None]
    every_s: float


NO_CHORE = Chore(lambda: None, REST_S)


class Watcher:
    """
    Watches for the followers.
    """

    def __init__(  # noqa: PLR0913, PLR0917 (the parts of `Followers` that it tends)
        self,
        followers: Sequence[Follower],
        journal: Journal,
        bell: Doorbell,
        syncing: Syncing,
        restoring: Restoring,
        chore: Chore,
    ) -> None:
        self._followers = followers
        self._journal = journal
        self._bell = bell
        self._syncing = syncing
        self._restoring = restoring
        self._chore = chore
        self._chore_due = time.monotonic() + FIRST_CHORE_S
        self._queue: SimpleQueue[None] = SimpleQueue()
        self._is_stopped = False
        self._deadline = 0.0
        #: Whether each follower has its thread, or never will.
        self.has_begun = False
        self._threadless: list[Follower] = []
        self._polled = 0.0
        self._sizes: object = None
        bell.attach(self._queue)

    def wake(self) -> None:
        """
        Look again now.
        """
        self._queue.put(None)

    def stop(self, deadline: float) -> None:
        """
        End soon; what is left to do is the followers' own.

        Args:
            deadline: A point of `time.monotonic`, until when those without a thread are driven.
        """
        self._deadline = deadline
        self._is_stopped = True
        self.wake()

    def run(self) -> None:
        """
        Watch until stopped: the body of the thread.

        Also one that was stopped at once gives each follower its thread, to deliver what there is.
        """
        self._start_missing()
        self.has_begun = True
        while not self._is_stopped:
            try:
                self._look()
                self._sleep()
                self._linger()
            except Exception as error:  # noqa: BLE001 (a journal is a stranger's code)
                notice("watcher", f"watching the journal failed ({type(error).__name__}: {error})")
                self._bell.wait(self._queue, POLL_S, for_rings=False)
        self._drive_threadless()

    def _start_missing(self) -> None:
        """
        Give each follower its thread; one that hangs still in a sink keeps the one it has.
        """
        for follower in self._followers:
            if follower.begin():
                self._start(follower)

    def _start(self, follower: Follower) -> None:
        try:
            start_thread(follower.run, f"telemetry-{follower.name}")
        except RuntimeError as error:
            if "shutdown" in str(error):
                self._threadless.append(follower)
                return
            follower.end()
            notice("threads", f"sinks need a thread each ({error}); records stay in the journal")

    def _drive_threadless(self) -> None:
        """
        Let followers end here, one after the other.

        From Python 3.12 on no thread starts once the interpreter has begun to end, which a short
        program does before its followers have theirs. What may hang has its turn when all the
        others have what there is.
        """
        first, last = in_order_of_end(self._threadless)
        if first:
            for follower in last:
                follower.drain(self._deadline)
        for follower in (*first, *last):
            follower.run()

    def _look(self) -> None:
        epoch = self._bell.look()
        for follower in self._leading():
            if follower.state is State.IDLE and follower.seen_epoch != epoch:
                follower.requests.wake()
        now = time.monotonic()
        if now - self._polled >= POLL_S:
            self._polled = now
            self._poll()
        self._syncing.sync_if_due()
        if now >= self._chore_due:
            self._chore_due = now + self._chore.every_s
            self._chore.do()

    def _poll(self) -> None:
        """
        Do what is done once a second.
        """
        self._start_missing()
        self._restoring.restore()
        leading = self._leading()
        for follower in self._followers:
            busy_s = follower.stats().busy_s
            if busy_s < follower.leadership.lease_s:
                follower.leadership.stamp()
            if busy_s > HANG_S:
                notice(
                    f"sink:{follower.name}:hang",
                    f"sink {follower.name} must return from each write "
                    f"(in it for {busy_s:.0f} s); the other sinks go on",
                )
        if not leading:
            return
        for follower in leading:
            # An idle leader sees no ring when another process is preferred.
            if follower.state is State.IDLE and follower.leadership.is_asked_to_leave():
                follower.requests.wake()
        sizes = [(segment.id, segment.size) for segment in self._journal.segments()]
        if sizes != self._sizes:
            self._sizes = sizes
            for follower in leading:
                if follower.state is State.IDLE:
                    follower.requests.wake()

    def _sleep(self) -> None:
        """
        Sleep until the bell, or the next thing to do by the clock.

        Rings are listened for only where one would wake somebody: a follower at work looks itself.
        """
        leading = self._leading()
        is_waited_for = any(follower.state is State.IDLE for follower in leading)
        due_s = self._syncing.due_s()
        timeout_s = REST_S if due_s is None else due_s
        if leading or self._restoring.is_needed:
            timeout_s = min(timeout_s, POLL_S)
        timeout_s = min(timeout_s, max(self._chore_due - time.monotonic(), 0.0))
        self._bell.wait(self._queue, timeout_s, for_rings=is_waited_for or due_s is None)

    def _linger(self) -> None:
        """
        Let a burst go on that has just begun: a thread that wakes takes the interpreter from it.
        """
        if self._bell.is_rung and not self._is_stopped:
            self._bell.wait(self._queue, LINGER_S, for_rings=False)

    def _leading(self) -> Sequence[Follower]:
        return [
            follower
            for follower in self._followers
            if follower.state in (State.IDLE, State.WORKING) and follower.leadership.is_leader
        ]
