"""
Whose turn it is, where something is looked at and then changed.
"""

from __future__ import annotations

import asyncio
import weakref


class Turns:
    """
    One lock for each run that is being edited.
    """

    def __init__(self) -> None:
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    def of(self, event_id: str) -> asyncio.Lock:
        """
        Return the lock of a run; it lives as long as somebody uses it.
        """
        lock = self._locks.get(event_id)
        if lock is None:
            lock = self._locks[event_id] = asyncio.Lock()
        return lock
