"""
Sizes, as people read them.
"""

from __future__ import annotations

from telemetry.model.words import in_bytes

__all__ = ["in_bytes"]
