"""
The versions of the database's layout, oldest first.

A version only adds. Tables and indexes are those of `telemetry.storage.ddl`, and the columns that a
newer field list brings are added by what the table lacks, so a step need only say what it is.
"""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Step:
    """
    One version of the layout.
    """

    version: int
    description: str


STEPS = (
    Step(version=8, description="runs, events, folds, audit trail, commits, cursors"),
    Step(version=9, description="roll-ups by day, month and all time, indexes for pages"),
)
