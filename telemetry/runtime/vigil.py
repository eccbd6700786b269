"""
For how long nothing new was heard of runs that other machines ship here.

Their records' times are of those machines' clocks, which may be wrong by an hour or a year, and
come late after an outage. So silence is what this process has waited through itself.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Callable


class Vigil:
    """
    What was heard last of each run, and when this process first saw it.

    Args:
        monotonic: A clock in seconds that nobody sets.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._heard: dict[str, tuple[str, float]] = {}

    def silent_s(self, event_id: str, last_heard: str) -> float:
        """
        Return how long ago this process first saw what was heard last of a run.

        Args:
            last_heard: Something that changes with whatever is heard.
        """
        now = self._monotonic()
        known, since = self._heard.get(event_id, ("", now))
        if known != last_heard:
            since = now
        self._heard[event_id] = (last_heard, since)
        return now - since

    def forget_all_but(self, event_ids: Collection[str]) -> None:
        """
        Wait no longer for the other runs.
        """
        self._heard = {one: heard for one, heard in self._heard.items() if one in event_ids}
