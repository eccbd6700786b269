"""
Which run an id means, when this process did not begin it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Optional

import attrs

from telemetry.model.records import RecordType
from telemetry.runtime.emit import identity
from telemetry.storage.chunks import chunks_of
from telemetry.storage.reader import Reader

if TYPE_CHECKING:
    from pathlib import Path

    from telemetry.sinks import Journal, Segment

#: Foreign runs whose keys stay at hand.
MAX_REMEMBERED = 1000
#: How long an unknown id is not looked up again, in seconds.
FORGET_UNKNOWN_S = 5.0
#: How long the journal is searched for a run that the database does not have yet, in seconds.
SEARCH_BUDGET_S = 0.5
_READ_BYTES = 1 << 20


@attrs.frozen
class _Answer:
    event_id: Optional[str]
    until: float

    @property
    def is_good(self) -> bool:
        return self.event_id is not None or time.monotonic() < self.until


class Lookup:
    """
    Finds the key of a run by its run id: in memory, in the database, in the journal.

    Thread safe: two threads may look up the same id at once, and find the same.
    """

    def __init__(self, db_path: Path, journal: Journal) -> None:
        self._db_path = db_path
        self._journal = journal
        self._known: dict[str, _Answer] = {}

    def part(self, run_id: object) -> str:
        """
        Return the run's keys as they stand in a line; only the run id of an unknown one.

        Asks the database at most once for each id in a while, and never the journal.
        """
        text = str(run_id)[:255]
        return identity(self._ask(text) or "", text)

    def event_id(self, run_id: object) -> Optional[str]:
        """
        Return the run's key; None where nothing is recorded of it.

        Searches the journal too, for at most half a second.
        """
        text = str(run_id)[:255]
        found = self._ask(text)
        if found is None:
            found = self._search(text)
            if found is not None:
                self._remember(text, found)
        return found

    def _ask(self, run_id: str) -> Optional[str]:
        answer = self._known.get(run_id)
        if answer is None or not answer.is_good:
            answer = self._remember(run_id, Reader(self._db_path).event_id_of(run_id))
        return answer.event_id

    def _remember(self, run_id: str, event_id: Optional[str]) -> _Answer:
        if len(self._known) >= MAX_REMEMBERED:
            self._known = {}
        answer = _Answer(event_id, time.monotonic() + FORGET_UNKNOWN_S)
        self._known[run_id] = answer
        return answer

    def _search(self, run_id: str) -> Optional[str]:
        """
        Return the newest run of an id that the journal has, as far as the time goes.
        """
        deadline = time.monotonic() + SEARCH_BUDGET_S
        for segment in reversed(self._journal.segments()):
            found = self._search_in(segment, run_id, deadline)
            if found is not None or time.monotonic() >= deadline:
                return found
        return None

    def _search_in(self, segment: Segment, run_id: str, deadline: float) -> Optional[str]:
        found: Optional[str] = None
        for chunk in chunks_of(
            self._journal, segment, max_bytes=_READ_BYTES, without=(RecordType.EVENT,)
        ):
            for record in chunk.records:
                if record.run_id == run_id and record.record_type == RecordType.RUN:
                    found = record.event_id
            if time.monotonic() >= deadline:
                break
        return found

    def stats(self) -> dict[str, Any]:
        """
        Return counts over everything in the database.
        """
        stats = Reader(self._db_path).stats()
        agents = stats["agents"]
        return {**stats, "agents": {name: agent["runs"] for name, agent in agents.items()}}
