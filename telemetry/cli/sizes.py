"""
Sizes, as people read them.
"""

from __future__ import annotations

_UNITS = ("B", "KB", "MB", "GB", "TB")
_STEP = 1024.0


def in_bytes(count: float) -> str:
    """
    Return a count of bytes as 12 B, 3.4 KB, 56.7 MB or 8.9 GB.
    """
    unit = 0
    while round(count, 1) >= _STEP and unit < len(_UNITS) - 1:
        count /= _STEP
        unit += 1
    return f"{count:.0f} B" if unit == 0 else f"{count:.1f} {_UNITS[unit]}"
