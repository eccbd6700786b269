"""
Requests to followers, as those see them who look or wait for what they asked.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Callable

import attrs

from telemetry.runtime.natives import patient_sleep
from telemetry.runtime.surroundings import State

if TYPE_CHECKING:
    from telemetry.runtime.follower import Follower

MIN_GLANCE_S = 0.0005
MAX_GLANCE_S = 0.005


@attrs.frozen
class Ticket:
    """
    A request to one follower, for those who must not wait for it but may look.
    """

    _follower: Follower
    _number: int

    @property
    def is_done(self) -> bool:
        """
        Return whether all that was in the journal when it was asked has reached the sink.
        """
        return self._follower.requests.has_answered(self._number)

    @property
    def is_refused(self) -> bool:
        """
        Return whether it is in vain: the sink wants to be left alone, or has no thread.
        """
        return self._follower.is_threadless or self._follower.requests.has_refused(self._number)

    @property
    def is_failing(self) -> bool:
        """
        Return whether the sink takes nothing now: it is tried again, with growing pauses.
        """
        return self._follower.state is State.OUTAGE


def ask(follower: Follower) -> Ticket:
    """
    Ask for all that is in the journal now.
    """
    return Ticket(follower, follower.requests.ask())


def wait_for(tickets: Sequence[Ticket], deadline: float) -> bool:
    """
    Wait until all tickets are done; False where time ends before, or the rest is in vain.
    """
    glance_until(lambda: all(one.is_done or one.is_refused for one in tickets), deadline)
    return all(one.is_done for one in tickets)


def glance_until(holds: Callable[[], bool], deadline: float) -> bool:
    """
    Look again and again, with no lock that anybody could hold; whether it came to hold in time.

    Args:
        deadline: A point of `time.monotonic`.
    """
    glance_s = MIN_GLANCE_S
    while not holds():
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            return False
        patient_sleep(min(glance_s, left_s))
        glance_s = min(glance_s * 2, MAX_GLANCE_S)
    return True
