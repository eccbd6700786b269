"""
The runs that this process has open, and the few it ended last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Callable, Optional

if TYPE_CHECKING:
    from telemetry.model.run import Status

#: Ended runs whose keys stay at hand, for a commit or an event that comes late.
MAX_RECENT = 1000
NOTHING: Mapping[str, Any] = MappingProxyType({})


class OpenRun:
    """
    A run between its start and its end, as `open_run` makes it.

    ``values`` is replaced whole, never changed in place, so any thread may read it.
    """

    __slots__ = (
        "event_id",
        "final_status",
        "last_us",
        "opening",
        "part",
        "part_bytes",
        "run_id",
        "started_mono_ns",
        "trace_id",
        "values",
    )

    event_id: str
    run_id: str
    trace_id: str
    #: The keys as they stand in each of its lines.
    part: str
    part_bytes: bytes
    #: What the start says and the end repeats, as the rest of a line.
    opening: str
    started_mono_ns: int
    #: Plain values of the other columns, as they now stand; the end repeats them too.
    values: Mapping[str, Any]
    #: When it was last heard of, for heartbeats.
    last_us: int
    #: A final status that the agent announced while it was still running.
    final_status: Optional[Status]


def open_run(  # noqa: PLR0913, PLR0917 (made once a run)
    event_id: str,
    run_id: str,
    trace_id: str,
    part: str,
    opening: str,
    started_us: int,
    started_mono_ns: int,
) -> OpenRun:
    """
    Return a run that has just begun; an ``__init__`` of so many values would cost twice as much.
    """
    run = OpenRun()
    run.event_id = event_id
    run.run_id = run_id
    run.trace_id = trace_id
    run.part = part
    run.part_bytes = part.encode()
    run.opening = opening
    run.started_mono_ns = started_mono_ns
    run.values = NOTHING
    run.last_us = started_us
    run.final_status = None
    return run


class OpenRuns:
    """
    Open runs by run id. Each method is one dictionary operation, so no lock is needed.
    """

    #: Take a run that has just begun, under its run id.
    add: Callable[[str, OpenRun], None]

    def __init__(self) -> None:
        self._recent: dict[str, OpenRun] = {}
        self._order: deque[str] = deque()
        self._forget_open()

    def _forget_open(self) -> None:
        self._open: dict[str, OpenRun] = {}
        self.add = self._open.__setitem__

    def find(self, run_id: str) -> Optional[OpenRun]:
        """
        Return an open run or one that ended lately.
        """
        return self._open.get(run_id) or self._recent.get(run_id)

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
            self._recent[run_id] = run
            self._order.append(run_id)
            if len(self._order) > MAX_RECENT:
                self._recent.pop(self._order.popleft(), None)
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
