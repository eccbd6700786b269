"""
What others want of a follower: that it delivers everything, ends in time, or just wakes.

Requests are numbered and come through a queue; only the follower's own thread changes what it has
asked, answered and refused, so nothing here needs a lock.
"""

from __future__ import annotations

import itertools
import time
from typing import Optional

from telemetry.runtime.natives import Empty, SimpleQueue

_WAKE = 0


class Requests:
    """
    The requests to one follower.

    `ask`, `stop`, `go_on`, `wake`, `has_answered` and `has_refused` are for everybody, the rest for
    its driver.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[int] = SimpleQueue()
        self._numbers = itertools.count(1)
        #: The highest number received, answered and refused so far.
        self.asked = self.answered = self.refused = 0
        #: Whether what is left since the last `stop` is for whoever follows next.
        self.has_given_up = False
        #: Whether the follower should end when it has delivered what is left.
        self.is_stopping = False
        #: A point of `time.monotonic`, looked at between batches, at which work ends unfinished.
        self.deadline: Optional[float] = None

    def ask(self) -> int:
        """
        Ask for all that is in the journal now, and return the number of the request.
        """
        number = next(self._numbers)
        self._queue.put(number)
        return number

    def stop(self, deadline: float) -> None:
        """
        Ask for all that is left, and for the end after it.

        Args:
            deadline: A point of `time.monotonic`, looked at between batches.
        """
        self.has_given_up = False
        self.deadline = deadline
        self.is_stopping = True
        self.ask()

    def go_on(self) -> None:
        """
        Take back an earlier `stop`.
        """
        self.is_stopping = False
        self.deadline = None

    def wake(self) -> None:
        """
        End the wait that the follower is in, if it is in one.
        """
        self._queue.put(_WAKE)

    def has_answered(self, number: int) -> bool:
        """
        Return whether all that was in the journal at that request has reached the sink.
        """
        return self.answered >= number

    def has_refused(self, number: int) -> bool:
        """
        Return whether that request is in vain: the sink wants to be left alone.
        """
        return self.refused >= number

    @property
    def is_open(self) -> bool:
        """
        Return whether somebody waits.
        """
        return self.asked > self.answered

    @property
    def is_late(self) -> bool:
        """
        Return whether the deadline has passed.
        """
        return self.deadline is not None and time.monotonic() >= self.deadline

    def answer(self, number: int) -> None:
        """
        Tell those who asked, up to a number, that they have what they asked for.
        """
        self.answered = max(self.answered, number)

    def refuse(self) -> None:
        """
        Tell those who asked that they ask in vain.
        """
        self.refused = self.asked

    def drop(self) -> None:
        """
        Let nobody wait any more.
        """
        self.take()
        self.answered = self.asked

    def give_up(self) -> None:
        """
        Leave what is left to whoever follows next, and let nobody wait for it.
        """
        self.has_given_up = True
        self.drop()

    def take(self) -> None:
        """
        Receive what has come, without waiting.
        """
        try:
            while True:
                self._receive(self._queue.get_nowait())
        except Empty:
            return

    def wait(self, seconds: float) -> None:
        """
        Sleep until something comes, the time is over, or the deadline.
        """
        if self.deadline is not None:
            seconds = min(seconds, self.deadline - time.monotonic())
        if seconds > 0 and self._queue.empty():
            try:
                self._receive(self._queue.get(timeout=seconds))
            except Empty:
                return
        self.take()

    def _receive(self, number: int) -> None:
        self.asked = max(self.asked, number)
