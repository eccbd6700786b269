"""
The only thing that a caller does for the followers: one attribute read, seldom more.

Nothing here waits or takes a lock. Activity is told by `epoch`: whoever looks takes the flag down
and counts; a follower that saw the same epoch before and after reading the journal has read
everything.
"""

from __future__ import annotations

import time
from typing import Callable, Optional

from telemetry.runtime.natives import Empty, SimpleQueue


class Doorbell:
    """
    Rung after each record.

    Invariant: whoever waits sets `is_armed` first and looks at `is_rung` after it; whoever rings
    sets `is_rung` first and looks at `is_armed` after it. So one of them sees the other.
    """

    __slots__ = ("_queue", "_start", "busy_until", "epoch", "is_armed", "is_rung", "last_rung")

    def __init__(self, start: Callable[[], None]) -> None:
        self._start = start
        self.reset()

    def reset(self) -> None:
        """
        Begin anew, as before the first record; also in a forked child.
        """
        self._queue: Optional[SimpleQueue[None]] = None
        self.epoch = 0
        self.last_rung = 0.0
        #: Until then the process counts as recording, by `time.monotonic`, though nothing rings.
        self.busy_until = 0.0
        self.is_armed = True
        self.is_rung = False

    def mute(self) -> None:
        """
        Make every later ring a no-op.
        """
        self.is_armed = False
        self.is_rung = True
        self._queue = None

    def ring(self) -> None:
        """
        Say that there is something to read; safe from any thread, signal handler or destructor.
        """
        if self.is_rung:
            return
        self.is_rung = True
        if self.is_armed:
            self.is_armed = False
            queue = self._queue
            if queue is None:
                self._start()
            else:
                queue.put(None)

    def look(self) -> int:
        """
        Return a number that changes whenever the bell has been rung since the last look of anybody.
        """
        if self.is_rung:
            self.is_rung = False
            self.epoch += 1
            self.last_rung = time.monotonic()
        return self.epoch

    def quiet_s(self) -> float:
        """
        Return for how long nothing has been recorded, as far as anybody has looked.
        """
        self.look()
        return time.monotonic() - max(self.last_rung, self.busy_until)

    def attach(self, queue: SimpleQueue[None]) -> None:
        """
        Let rings wake a waiting thread instead of starting one.
        """
        self._queue = queue

    def wait(self, queue: SimpleQueue[None], timeout_s: float, *, for_rings: bool) -> None:
        """
        Sleep until the bell is rung, the queue is given a token, or the time is over.

        Args:
            for_rings: Whether a ring ends the sleep; else only tokens do.
        """
        if for_rings:
            self.is_armed = True
            if self.is_rung:
                self.is_armed = False
                return
        try:
            queue.get(timeout=timeout_s)
            while True:
                queue.get_nowait()
        except Empty:
            pass
        finally:
            self.is_armed = False
