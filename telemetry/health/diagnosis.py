"""
The checks of ``telemetry doctor``, in the order in which they are told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telemetry.health import (
    clocks,
    database,
    delivery,
    held,
    installation,
    permissions,
    pragmas,
    storage,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telemetry.health.results import Check

DOCTOR_CHECKS: Sequence[Check] = (
    *installation.CHECKS,
    *storage.CHECKS,
    *permissions.CHECKS,
    *clocks.CHECKS,
    *database.CHECKS,
    *pragmas.CHECKS,
    *held.CHECKS,
    *delivery.CHECKS,
)
