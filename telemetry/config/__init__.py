"""
The settings of a process: where data lie, what is recorded, which plugins are loaded.
"""

from __future__ import annotations

from telemetry.config.listing import Line, listing
from telemetry.config.process import TelemetryConfig
from telemetry.config.secret import Secret
from telemetry.config.setting import Group, Setting, setting

__all__ = [
    "Group",
    "Line",
    "Secret",
    "Setting",
    "TelemetryConfig",
    "listing",
    "setting",
]
