"""
What the followers of a process share, and what each of them says about itself.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Callable

import attrs

if TYPE_CHECKING:
    from telemetry.runtime.doorbell import Doorbell
    from telemetry.runtime.ring import EmergencyRing


class State(str, Enum):
    """
    What a follower is doing.
    """

    NEW = "new"
    WORKING = "working"
    IDLE = "idle"
    CANDIDATE = "candidate"
    OUTAGE = "outage"
    PAUSED = "paused"
    CLOSED = "closed"


class ForkedError(BaseException):
    """
    A sink forked, and this is the child's copy of the follower: it must not go on.
    """


@attrs.frozen(kw_only=True)
class FollowerStats:
    """
    What one follower has done in this process, and what it is doing.
    """

    sink: str
    state: State
    is_leader: bool
    record_count: int
    batch_count: int
    dead_count: int
    damaged_count: int
    failure_count: int
    #: Tries of the present outage; 0 where there is none.
    attempt_count: int
    last_error: str
    #: For how long the sink has not returned from what it was asked last.
    busy_s: float


@attrs.frozen(kw_only=True)
class Surroundings:
    """
    What the followers of a process share.
    """

    bell: Doorbell
    emergency: EmergencyRing
    #: Makes the journal survive a power cut, if the policy wants that.
    sync: Callable[[], None]
    #: Told by a follower that has nothing more to do.
    on_idle: Callable[[], None]
    #: Returns how many followers are at work.
    crowd: Callable[[], int]
    lease_s: float
