"""
The checks of ``telemetry health``, in the order in which they are told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telemetry.health import activity, database, delivery, storage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telemetry.health.results import Check

HEALTH_CHECKS: Sequence[Check] = (
    *storage.CHECKS,
    *database.CHECKS,
    *activity.CHECKS,
    *delivery.CHECKS,
)
