"""
Every operation that the service documents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telemetry.service.routes import batches, edits, health, reads, records, runs, stats

if TYPE_CHECKING:
    from telemetry.service.operations import Operation

OPERATIONS: tuple[Operation, ...] = (
    *runs.OPERATIONS,
    *batches.OPERATIONS,
    *edits.OPERATIONS,
    *reads.OPERATIONS,
    *stats.OPERATIONS,
    *records.OPERATIONS,
    *health.OPERATIONS,
)
