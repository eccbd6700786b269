"""
The settings of a process: where data lie, what is recorded, which plugins are loaded.
"""

from __future__ import annotations

from telemetry.config.listing import Line, listing
from telemetry.config.secret import Secret
from telemetry.config.setting import Group, Setting, setting
from telemetry.config.settings import TelemetryConfig

__all__ = [
    "Group",
    "Line",
    "Secret",
    "Setting",
    "TelemetryConfig",
    "listing",
    "setting",
]
