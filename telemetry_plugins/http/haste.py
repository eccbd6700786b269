"""
Whether there is time for another request before the process ends.

A run whose request is cut off by the exit may be stored all the same, and is then posted again by
the next process. Where a webhook takes longer than the exit waits, that would be every run of every
short program. So at the exit a request is begun only if there is twice the time that the last one
took, by whichever process.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from telemetry.storage.attempts import Attempts

MARGIN = 2.0
#: What is known is believed for so long; then one request is begun again, come what may.
BELIEVED_S = 3600.0


class Stopwatch:
    """
    Measures one request.
    """

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def ms(self) -> int:
        """
        Return the time since it was made, at least 1.
        """
        return max(1, round((time.monotonic() - self._begun) * 1000))


def expected_s(attempts: Attempts, timeout_s: float) -> float:
    """
    Return how much time there should be for the next request; 0 where nothing is known.

    Args:
        timeout_s: What one request may take.
    """
    last = attempts.last()
    if last is None or attempts.age_s() > BELIEVED_S:
        return 0.0
    return min(timeout_s, last.took_ms / 1000 * MARGIN) if last.took_ms else timeout_s
