"""
The versions of the database's layout, oldest first.

A step only adds. Tables and indexes are those of `telemetry.storage.ddl`, and the columns that a
newer field list brings are added by what the table lacks, so a step need only say what it is; it
has statements of its own where that is not enough.
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
    statements: tuple[str, ...] = ()


STEPS = (Step(version=8, description="runs, events, folds, audit trail, commits, cursors"),)
