"""
How fast a follower works.

The interpreter's lock is the only thing that followers and callers share. While this process
records, a follower works in slices of a millisecond or two with long pauses between them, so that
hardly one call in a hundred meets it; once the process has been quiet for a moment, it works at
full speed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from telemetry.runtime.doorbell import Doorbell

#: CPU time of one slice while the process records, and the longest pause after it.
SLICE_S = 0.002
MAX_PAUSE_S = 1.0
#: Nothing recorded for so long: the process is quiet.
QUIET_S = 0.005
#: A burst of records goes on for so long before it wakes the followers.
LINGER_S = 0.05

MIN_READ_BYTES = 2 << 10
FIRST_READ_BYTES = 16 << 10
QUIET_READ_BYTES = 64 << 10
MAX_READ_BYTES = 1 << 20


class Pace:
    """
    The pace of one follower.

    `read_bytes` says how much to read for the next batch, `pause_s` how long to pause after it.
    """

    def __init__(self, bell: Doorbell, pause_factor: float) -> None:
        self._bell = bell
        self._pause_factor = pause_factor
        self._polite_bytes = FIRST_READ_BYTES
        self._quiet_bytes = QUIET_READ_BYTES
        self._began = 0.0
        self._is_polite = False
        self.pause_s = 0.0

    def read_bytes(self, *, is_urgent: bool) -> int:
        """
        Begin a slice and return how many bytes it should take on.
        """
        self._is_polite = not is_urgent and self._bell.quiet_s() < QUIET_S
        self._began = time.thread_time()
        if self._is_polite:
            self._quiet_bytes = QUIET_READ_BYTES
            return self._polite_bytes
        return MAX_READ_BYTES if is_urgent else self._quiet_bytes

    def finish(self) -> None:
        """
        End a slice: size the next one, and the pause before it.
        """
        used = time.thread_time() - self._began
        if not self._is_polite:
            self._quiet_bytes = min(self._quiet_bytes * 2, MAX_READ_BYTES)
            self.pause_s = 0.0
            return
        wanted = int(self._polite_bytes * min(2.0, SLICE_S / max(used, 1e-6)))
        self._polite_bytes = max(MIN_READ_BYTES, min(wanted, QUIET_READ_BYTES))
        self.pause_s = min(max(used, SLICE_S / 4) * self._pause_factor, MAX_PAUSE_S)
