"""
What tests of agents and of plugins need.

pytest loads this module by its entry point in every run of every user who has telemetry installed,
so it imports nothing of telemetry before a fixture is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telemetry.model.records import Record
    from telemetry.sinks import Cursor


class MemorySink:
    """
    A sink that keeps every record in a list.
    """

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.records: list[Record] = []
        self.cursors_seen: list[Cursor] = []
        self.is_closed = False

    def write(self, batch: Sequence[Record], cursor: Cursor, /) -> None:
        """
        Keep a batch.
        """
        self.records.extend(batch)
        self.cursors_seen.append(cursor)

    def close(self) -> None:
        """
        Note that it was closed.
        """
        self.is_closed = True
