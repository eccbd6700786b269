"""
Which of many processes drains a sink.

A lock on ``state/drain-<sink>.lock`` keeps the others from doing the same work; it is only speed.
What makes it right is that cursors are compared and set. So a leader that is stopped or stuck is
passed by, once the file's time stamp, which a leader renews, is older than a lease. A service is
preferred: whoever else leads gives the sink up to it as soon as he looks.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from telemetry.runtime.chance import chance
from telemetry.runtime.locks import RecordLock, locked_by_another
from telemetry.storage.appendfile import make_private_directory

if TYPE_CHECKING:
    from pathlib import Path

LEASE_S = 30.0
STAMP_EVERY_S = 5.0
MIN_RETRY_S = 1.0
MAX_RETRY_S = 5.0
_LEADER, _DEPUTY, _PREFERRED = 0, 1, 2


class Leadership:
    """
    This process's claim on one sink.
    """

    def __init__(
        self, state_dir: Path, sink: str, *, lease_s: float = LEASE_S, is_preferred: bool = False
    ) -> None:
        self.path = state_dir / f"drain-{sink}.lock"
        #: A leader that shows nothing for so long is passed by.
        self.lease_s = lease_s
        self._leader = RecordLock(self.path, _LEADER)
        self._deputy = RecordLock(self.path, _DEPUTY)
        self._preferred = RecordLock(self.path, _PREFERRED)
        self._is_preferred = is_preferred
        self._stamped = 0.0

    @property
    def is_leader(self) -> bool:
        """
        Return whether this process leads.
        """
        return self._leader.held

    def may_work(self) -> bool:
        """
        Return whether this process should drain now: it leads, or stands in for a stuck leader.

        A file system without locks has no leaders: everybody works, and cursors keep it right.
        """
        try:
            if self._is_preferred:
                self._try(self._preferred)
            elif locked_by_another(self.path, _PREFERRED):
                return self._give_way()
            if self._try(self._leader):
                self._deputy.release()
                self.stamp()
                return True
            return self._may_stand_in()
        except OSError:
            return True

    def is_asked_to_leave(self) -> bool:
        """
        Return whether another process is preferred: a leader that has much to do looks in between.
        """
        if self._is_preferred or not self._leader.held:
            return False
        try:
            return locked_by_another(self.path, _PREFERRED)
        except OSError:
            return False

    def _give_way(self) -> bool:
        """
        Leave the sink to the one that is preferred; True if that one is stuck.
        """
        self._leader.release()
        return self._may_stand_in()

    def stamp(self) -> None:
        """
        Show that the leader lives; cheap, and written every few seconds at most.
        """
        now = time.monotonic()
        if not self._leader.held or now - self._stamped < min(STAMP_EVERY_S, self.lease_s / 4):
            return
        self._stamped = now
        try:
            os.utime(self.path)
        except OSError:
            self._stamped = 0.0

    def release(self) -> None:
        """
        Let another process lead.
        """
        for lock in (self._leader, self._deputy, self._preferred):
            try:
                lock.release()
            except OSError:
                continue
        self._stamped = 0.0

    def retry_s(self) -> float:
        """
        Return how long to wait before the next claim.
        """
        wait_s = chance.uniform(MIN_RETRY_S, MAX_RETRY_S)
        return min(wait_s, self.lease_s)

    def _may_stand_in(self) -> bool:
        return self._is_stuck(1) and (self._try(self._deputy) or self._is_stuck(2))

    def _try(self, lock: RecordLock) -> bool:
        try:
            return lock.try_acquire()
        except FileNotFoundError:
            make_private_directory(self.path.parent)
            return lock.try_acquire()

    def _is_stuck(self, leases: int) -> bool:
        """
        Return whether the leader has shown nothing for so many leases, or the clock was set back.
        """
        age = time.time() - self.path.stat().st_mtime
        return abs(age) > leases * self.lease_s
