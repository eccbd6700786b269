"""
Numbers, as people read them.
"""

from __future__ import annotations

_SIZES = ("B", "KB", "MB", "GB", "TB")
_STEP = 1024.0
_SPANS = ((172_800.0, 86_400.0, "days"), (7200.0, 3600.0, "hours"), (120.0, 60.0, "minutes"))


def in_bytes(count: float) -> str:
    """
    Return a count of bytes as 12 B, 3.4 KB, 56.7 MB or 8.9 GB.
    """
    unit = 0
    while round(count, 1) >= _STEP and unit < len(_SIZES) - 1:
        count /= _STEP
        unit += 1
    return f"{count:.0f} B" if unit == 0 else f"{count:.1f} {_SIZES[unit]}"


def span(seconds: float) -> str:
    """
    Return a length of time as 12 seconds, 3.4 minutes, 5.6 hours or 7.8 days.
    """
    for least, divisor, unit in _SPANS:
        if seconds >= least:
            return f"{seconds / divisor:.1f} {unit}"
    return f"{seconds:.0f} second{'s' * (round(seconds) != 1)}"


def several(count: int, noun: str) -> str:
    """
    Return a count with its noun: 1 run, 2 runs.
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"
