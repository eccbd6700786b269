"""
What others want of a follower: that it delivers everything, or just wakes.

Requests are numbered and come through a queue; only the follower's own thread changes what it has
asked, answered and refused, so nothing here needs a lock.
"""

from __future__ import annotations

import itertools

from telemetry.runtime.natives import Empty, SimpleQueue

_WAKE = 0


class Requests:
    """
    The requests to one follower.

    `ask`, `wake`, `has_answered` and `has_refused` are for everybody, the rest for its driver.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[int] = SimpleQueue()
        self._numbers = itertools.count(1)
        #: The highest number received, answered and refused so far.
        self.asked = self.answered = self.refused = 0

    def ask(self) -> int:
        """
        Ask for all that is in the journal now, and return the number of the request.
        """
        number = next(self._numbers)
        self._queue.put(number)
        return number

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
        Sleep until something comes, or the time is over.
        """
        if seconds > 0 and self._queue.empty():
            try:
                self._receive(self._queue.get(timeout=seconds))
            except Empty:
                return
        self.take()

    def _receive(self, number: int) -> None:
        self.asked = max(self.asked, number)
