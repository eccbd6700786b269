"""
Runs that cannot be known, so that the database need not be asked: nearly all that are handed over.

Invariant: an id that the database or the journal has is no higher than `_floor`, or among the
recent ones. Ids that clients draw rise with time (UUIDv7), so that a new one is above the floor,
which is the highest of all that were stored before the recent ones. Where ids do not rise, or
somebody else writes, the database is asked as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Optional

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

#: Ids that are remembered one by one: so many to twice as many.
MAX_RECENT = 25_000


class Newcomers:
    """
    Which runs are surely new. For one event loop.

    Args:
        highest: Returns the highest id that the database has.
    """

    def __init__(self, highest: Callable[[], str]) -> None:
        self._highest = highest
        self._floor = ""
        #: Of what others wrote, how much the floor covers.
        self._covered: Optional[int] = None
        self._recent: set[str] = set()
        self._older: set[str] = set()

    def add(self, event_ids: Iterable[str]) -> None:
        """
        Take note of runs that this service has written.
        """
        self._recent.update(event_ids)
        if len(self._recent) > MAX_RECENT:
            self._floor = max([self._floor, *self._older])
            self._older, self._recent = self._recent, set()

    def are_new(self, event_ids: Collection[str], others: int) -> bool:
        """
        Tell whether nobody can have recorded any of these runs; False only means: ask.

        Args:
            others: Another number whenever others have written something; all of that is in the
                database.
        """
        if self._covered != others:
            self._floor = max(self._floor, self._highest())
            self._covered = others
        return (
            min(event_ids, default="") > self._floor
            and self._recent.isdisjoint(event_ids)
            and self._older.isdisjoint(event_ids)
        )
