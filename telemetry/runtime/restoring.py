"""
Bringing refused records back to the journal, with the same ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telemetry.runtime.natives import allocate_lock
from telemetry.runtime.notices import notice

if TYPE_CHECKING:
    from telemetry.runtime.ring import EmergencyRing
    from telemetry.sinks import Journal


class Restoring:
    """
    The way back from the emergency ring.
    """

    def __init__(self, journal: Journal, emergency: EmergencyRing) -> None:
        self._journal = journal
        self._emergency = emergency
        self.after_fork()

    def after_fork(self) -> None:
        """
        Begin afresh: whoever was restoring is not in this process.
        """
        self._turn = allocate_lock()

    @property
    def is_needed(self) -> bool:
        """
        Return whether there is anything to bring back.
        """
        return bool(self._emergency)

    def restore(self) -> bool:
        """
        Append what waits, oldest first, until the journal refuses again; True if nothing is left.
        """
        if not self.is_needed:
            return True
        if not self._turn.acquire(blocking=False):
            return False
        try:
            for entry in self._emergency.waiting():
                if not self._journal.append(entry.line, entry.second):
                    self._say_refused()
                    return False
                self._emergency.remove(entry)
            return not self.is_needed
        finally:
            self._turn.release()

    def _say_refused(self) -> None:
        stats = self._emergency.stats()
        reason = getattr(self._journal, "problem", "")
        notice(
            "journal:refused",
            f"the journal must take each record ({stats.record_count} wait in memory, "
            f"{stats.dropped_count} are lost); "
            + (reason or "free some space or make its directory writable"),
        )
