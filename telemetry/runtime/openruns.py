"""
The runs that this process has open, and the few it ended last.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Callable, Optional

import msgspec

if TYPE_CHECKING:
    from telemetry.model.run import Status

#: At least so many ended runs stay at hand, for a commit or an event that comes late, and at most
#: twice as many.
MIN_RECENT = 500
NOTHING: Mapping[str, Any] = MappingProxyType({})


class OpenRun(msgspec.Struct, eq=False, gc=False):
    """
    A run between its start and its end; of all classes, this kind is made at the least cost.

    ``values`` is replaced whole, never changed in place, so any thread may read it. It holds plain
    data, which leads back to no run: the garbage collector need not visit the many that are kept.
    """

    event_id: str
    run_id: str
    trace_id: str
    #: The keys as they stand in each of its lines.
    part: str
    #: What the start says and the end repeats, as the rest of a line.
    opening: str
    #: When it was last heard of, for heartbeats.
    last_us: int
    started_mono_ns: int
    #: Plain values of the other columns, as they now stand; the end repeats them too.
    values: Mapping[str, Any] = NOTHING
    #: A final status that the agent announced while it was still running.
    final_status: Optional[Status] = None


class OpenRuns:
    """
    Open runs by run id. What must happen once is one dictionary operation, so no lock is needed.
    """

    #: Take a run that has just begun, under its run id.
    add: Callable[[str, OpenRun], object]

    def __init__(self) -> None:
        self._recent: dict[str, OpenRun] = {}
        self._older: dict[str, OpenRun] = {}
        self._forget_open()

    def _forget_open(self) -> None:
        self._open: dict[str, OpenRun] = {}
        self.add = self._open.setdefault  # a third of what `__setitem__` costs as an object

    def find(self, run_id: str) -> Optional[OpenRun]:
        """
        Return an open run or one that ended lately.
        """
        return self._open.get(run_id) or self._recent.get(run_id) or self._older.get(run_id)

    def is_open(self, run_id: str) -> bool:
        """
        Tell whether this process has the run open.
        """
        return run_id in self._open

    def take(self, run_id: str) -> Optional[OpenRun]:
        """
        Remove and return an open run: whoever gets it ends it, so a run ends once.
        """
        run = self._open.pop(run_id, None)
        if run is not None:
            recent = self._recent
            recent[run_id] = run
            if len(recent) >= MIN_RECENT:
                self._older, self._recent = recent, {}
        return run

    def all(self) -> list[OpenRun]:
        """
        Return the open runs, oldest first.
        """
        return list(self._open.values())

    def after_fork(self) -> None:
        """
        Leave the parent's runs to the parent; their keys stay known.
        """
        self._recent.update(self._open)
        self._forget_open()
