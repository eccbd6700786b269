"""
What the followers of a process share, and what each of them says about itself.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Callable

import attrs

from telemetry.runtime.leadership import LEASE_S

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
    dead_count: int
    damaged_count: int
    #: For how long the sink has not returned from what it was asked last.
    busy_s: float


@attrs.frozen
class Manners:
    """
    How the followers of a process behave towards the program, and towards other processes.
    """

    #: After a slice of work while the process records, a pause of so many times its length.
    pause_factor: float
    #: Whether other processes leave the sinks to this one.
    is_preferred: bool
    #: A leader that shows nothing for so long is passed by.
    lease_s: float = LEASE_S


#: The program has its own work, and hardly one of its calls should meet a follower.
AGENT = Manners(pause_factor=40.0, is_preferred=False)
#: Recording is all that a service does: what it has taken should soon be where it is read.
SERVICE = Manners(pause_factor=2.0, is_preferred=True)


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
    manners: Manners
