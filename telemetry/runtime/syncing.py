"""
When the journal is forced to the disk, as ``TELEMETRY_FSYNC`` says.

A sink must never know more than the journal after a power cut, so each batch is preceded by a sync;
where no batch comes, the watcher syncs a second after the first unsynced record.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Optional

from telemetry.runtime.notices import notice

if TYPE_CHECKING:
    from telemetry.runtime.doorbell import Doorbell
    from telemetry.sinks import Journal

INTERVAL_S = 1.0
#: Policies under which this process syncs by the clock; ``always`` has synced before the call
#: returned.
_BY_CLOCK = frozenset({"interval", "run_end"})


class Syncing:
    """
    The syncs of one process.
    """

    def __init__(self, journal: Journal, bell: Doorbell, policy: str) -> None:
        self._journal = journal
        self._bell = bell
        self._policy = policy
        self.after_fork()

    def after_fork(self) -> None:
        """
        Begin afresh, with nothing unsynced.
        """
        self._synced_epoch = 0
        self._due: Optional[float] = None

    def sync(self) -> None:
        """
        Make everything recorded so far survive a power cut, unless the policy is never.

        A sync that fails is said and not felt: cursors are checked against the journal anyway.
        So is what the journal itself has to say, such as that others may read its files.
        """
        problem = getattr(self._journal, "problem", "")
        if problem:
            notice("journal:problem", problem)
        if self._policy == "never":
            return
        epoch = self._bell.look()
        self._due = None
        try:
            self._journal.sync()
        except OSError as error:
            notice(
                "sync", f"the journal must reach the disk ({error}); a power cut may take records"
            )
        self._synced_epoch = epoch

    def due_s(self) -> Optional[float]:
        """
        Return in how many seconds there is something to sync; None if there is nothing.
        """
        if self._policy not in _BY_CLOCK or self._bell.look() == self._synced_epoch:
            return None
        if self._due is None:
            self._due = time.monotonic() + INTERVAL_S
        return max(0.0, self._due - time.monotonic())

    def sync_if_due(self) -> None:
        """
        Sync if the oldest unsynced record is old enough.
        """
        if self.due_s() == 0.0:
            self.sync()
