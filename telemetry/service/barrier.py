"""
Reads that see what was acknowledged before them, and ids that are on their way to the database.

Whoever waits asks the SQLite follower once for everything that the journal has; all who have come
meanwhile share the next asking. Where nothing was written since the last one, nobody waits.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Callable, Optional

from telemetry.runtime.tickets import MAX_GLANCE_S, MIN_GLANCE_S
from telemetry.service.newcomers import Newcomers
from telemetry.service.problems import unavailable
from telemetry.storage.cursors import DATABASE_SINK

if TYPE_CHECKING:
    from collections.abc import Collection

    from telemetry.runtime.followers import Followers
    from telemetry.runtime.tickets import Ticket

TIMEOUT_S = 20.0
#: Less while the database takes nothing: it was tried thrice then, and whoever asks should hear so.
FAILING_TIMEOUT_S = 5.0
#: Bytes that are acknowledged and perhaps not applied, beyond which the follower is urged.
MAX_LAG_BYTES = 64 << 20
#: Ids that may be on their way at once; beyond that nothing new is taken until they have arrived.
MAX_PENDING = 1_000_000
#: Another process may have written something: it is looked for so often at most.
GLANCE_AT_OTHERS_S = 0.02


class Barrier:
    """
    How far the database has to be, and is. For one event loop.

    Args:
        journal_bytes: Returns how long the journal is, whoever wrote it.
        highest: Returns the highest id of all runs in the database.
    """

    def __init__(
        self,
        followers: Followers,
        journal_bytes: Callable[[], int],
        highest: Callable[[], str],
    ) -> None:
        self._followers = followers
        self._journal_bytes = journal_bytes
        #: Writes so far, and how many of them are in the database for sure.
        self._written = self._applied = 0
        self._unasked_bytes = 0
        self._newcomers = Newcomers(highest)
        self._pending: set[str] = set()
        self._older: set[str] = set()
        self._pass: Optional[asyncio.Task[None]] = None
        self._own_bytes = 0
        #: How long the journal is without what this service wrote, and when it was last longer.
        self._others_bytes = -1
        self._others_at = 0
        self._look_at = 0.0

    def wrote(self, byte_count: int, event_ids: Collection[str]) -> None:
        """
        Take note of something that is in the journal now, and of the runs that it speaks of.
        """
        self._written += 1
        self._own_bytes += byte_count
        self._pending.update(event_ids)
        self._newcomers.add(event_ids)
        self._unasked_bytes += byte_count
        if self._unasked_bytes > MAX_LAG_BYTES:
            self._begin()

    def is_pending(self, event_id: str) -> bool:
        """
        Tell whether a run was written and perhaps not applied yet.
        """
        return event_id in self._pending or event_id in self._older

    def are_pending(self, event_ids: Collection[str]) -> bool:
        """
        Tell whether any of several runs is.
        """
        return not (self._pending.isdisjoint(event_ids) and self._older.isdisjoint(event_ids))

    def are_new(self, event_ids: Collection[str]) -> bool:
        """
        Tell whether nobody can have recorded any of several runs; False only means: ask.

        Raises:
            SinkError: The database cannot be read now.
        """
        if self._applied < self._others_at:
            return False
        return self._newcomers.are_new(event_ids, self._others_at)

    def check_room(self) -> None:
        """
        Refuse to take more while the database is a million runs behind.

        Raises:
            Problem: It is.
        """
        if len(self._pending) + len(self._older) > MAX_PENDING:
            self._begin()
            raise unavailable(
                "database-behind", "the database must catch up with the journal first", 5
            )

    def awaits_others(self) -> bool:
        """
        Tell whether another process has written something that may not be applied yet.

        It is looked for every `GLANCE_AT_OTHERS_S` at most: a run that an agent journaled that long
        ago is never recorded a second time.
        """
        now = time.monotonic()
        if now >= self._look_at:
            total = self._journal_bytes() - self._own_bytes
            self._look_at = now + max(GLANCE_AT_OTHERS_S, 20 * (time.monotonic() - now))
            if total != self._others_bytes:
                self._others_bytes = total
                self._written += 1
                self._others_at = self._written
        return self._applied < self._others_at

    async def wait(self) -> None:
        """
        Wait until everything that was written before this call is in the database.

        Raises:
            Problem: The database does not take it now.
        """
        self.awaits_others()
        target = self._written
        deadline = time.monotonic() + TIMEOUT_S
        while self._applied < target:
            if time.monotonic() >= deadline:
                raise _behind()
            await asyncio.shield(self._begin())

    def _begin(self) -> asyncio.Task[None]:
        """
        Have the follower deliver all there is, unless it is at it.
        """
        task = self._pass
        if task is None or task.done():
            task = self._pass = asyncio.get_running_loop().create_task(self._ask())
            task.add_done_callback(_look_at_result)
        return task

    async def _ask(self) -> None:
        mark = self._written
        self._unasked_bytes = 0
        self._older |= self._pending
        self._pending = set()
        ticket = self._followers.ask(DATABASE_SINK)
        if ticket is None:
            raise unavailable("database-unavailable", "the service has no database to read from")
        await self._until_done(ticket)
        self._applied = max(self._applied, mark)
        self._older = set()

    async def _until_done(self, ticket: Ticket) -> None:
        begun = time.monotonic()
        glance_s = MIN_GLANCE_S
        while not ticket.is_done:
            patience_s = FAILING_TIMEOUT_S if ticket.is_failing else TIMEOUT_S
            if ticket.is_refused or time.monotonic() >= begun + patience_s:
                raise _behind()
            await asyncio.sleep(glance_s)
            glance_s = min(glance_s * 2, MAX_GLANCE_S)


def _behind() -> Exception:
    return unavailable(
        "database-behind",
        "the database must have taken what was acknowledged before; it does not now",
        5,
    )


def _look_at_result(task: asyncio.Task[None]) -> None:
    """
    Let a failure that nobody waits for be no warning at the loop's end.
    """
    if not task.cancelled():
        task.exception()
