"""
Checks of a base directory and its installation, and what each of them found.
"""

from __future__ import annotations

from telemetry.health.limits import Limits
from telemetry.health.results import Check, Detail, Outcome, Result, perform, worst_of
from telemetry.health.scene import Scene

__all__ = ["Check", "Detail", "Limits", "Outcome", "Result", "Scene", "perform", "worst_of"]
