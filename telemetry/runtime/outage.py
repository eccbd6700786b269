"""
A time in which a sink takes nothing, and how long it is left alone.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Optional

from telemetry.runtime.chance import chance

if TYPE_CHECKING:
    from telemetry.runtime.boundary import Boundary

FIRST_RETRY_S = 0.25
MIN_RETRY_S = 0.02
MAX_RETRY_S = 30.0
#: A sink that wants to be left alone is asked again this often.
PROBE_S = 60.0
#: Of a reason, what is kept and said.
MAX_REASON = 500


class Outage:
    """
    The outages of one sink, one after the other: growing pauses with full jitter, for ever.

    Between two tries the sink is left alone entirely, which is all that a circuit breaker does.
    Each outage is told once, and so is its end.
    """

    def __init__(self, boundary: Boundary) -> None:
        self._boundary = boundary
        #: Whether the last try failed, and why.
        self.is_on = False
        self.reason = ""
        self._until = 0.0
        self._waits: Optional[Iterator[float]] = None

    def remaining_s(self) -> float:
        """
        Return for how long the sink is still left alone.
        """
        return max(0.0, self._until - time.monotonic()) if self.is_on else 0.0

    def fail(self, reason: str, retry_after_s: Optional[float] = None) -> None:
        """
        Take note of a failed try and choose the next pause.

        Args:
            retry_after_s: The sink's own wish, which replaces the backoff.
        """
        if not self.is_on:
            self._boundary.say(
                "outage",
                f"takes nothing ({reason[:MAX_REASON]}); it is tried again until it does, "
                "and the journal keeps everything",
            )
        self._begin_pause(reason[:MAX_REASON], retry_after_s)

    def pause(self, reason: str) -> None:
        """
        Leave the sink alone as it wants, but for a try now and then.
        """
        if self.reason != reason:  # one that is only asked again has been named
            self._boundary.say("paused", f"must be left alone: {reason}")
        self._begin_pause(reason, PROBE_S)

    def end(self) -> bool:
        """
        Take note of a success; True if an outage ends with it.
        """
        if not self.is_on:
            return False
        self.is_on = False
        self.reason = ""
        self._waits = None
        self._boundary.say("recovered", "takes records again", level=logging.INFO)
        return True

    def _begin_pause(self, reason: str, retry_after_s: Optional[float]) -> None:
        if self._waits is None:
            self._waits = _waits()
        # Full jitter, as `backoff.full_jitter` has it, but not from the generator of the agent.
        wait_s = chance.uniform(0, next(self._waits))
        if retry_after_s is not None:
            wait_s = retry_after_s
        self._until = time.monotonic() + max(MIN_RETRY_S, wait_s)
        self.reason = reason
        self.is_on = True


def _waits() -> Iterator[float]:
    try:
        from backoff import expo
    except (ImportError, OSError):
        # Not even a module can be read: out of file descriptors, perhaps, and no hurry will help.
        return itertools.repeat(MAX_RETRY_S)
    waits = expo(base=2, factor=FIRST_RETRY_S, max_value=MAX_RETRY_S)
    next(waits)
    return waits
