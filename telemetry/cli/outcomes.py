"""
A run's status as it is shown: a sign, a word, a style; the dead are told from those that failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from telemetry.cli.table import Cell
from telemetry.cli.times import as_moment

if TYPE_CHECKING:
    from datetime import datetime

    from telemetry.cli.screen import Screen

#: Begins the error of a run whose owner was found to be gone.
DEATH = "OwnerDied:"


class Look(NamedTuple):
    """
    How a status is shown.
    """

    sign: str
    word: str
    style: str


_DEAD = Look("†", "dead", "dead")
_LOOKS: Mapping[str, Look] = {
    "running": Look("●", "running", "busy"),
    "success": Look("✓", "success", "good"),
    "failed": Look("✗", "failed", "bad"),
    "partial": Look("◐", "partial", "warn"),
    "timeout": Look("◷", "timeout", "bad"),
    "cancelled": Look("⊘", "cancelled", "faint"),
}


def is_dead(row: Mapping[str, Any]) -> bool:
    """
    Return whether a run was ended by nobody: its process is gone.
    """
    return row.get("status") == "failed" and str(row.get("error_summary") or "").startswith(DEATH)


def look_of(row: Mapping[str, Any]) -> Look:
    """
    Return how a run's status is shown.
    """
    status = str(row.get("status") or "")
    return _DEAD if is_dead(row) else _LOOKS.get(status, Look("·", status, ""))


def status_cell(screen: Screen, row: Mapping[str, Any]) -> Cell:
    """
    Return a run's status for a table.
    """
    look = look_of(row)
    return Cell(f"{screen.sign(look.sign)} {look.word}", look.style)


def took_ms(row: Mapping[str, Any], now: datetime) -> Optional[float]:
    """
    Return how long a run took, or has been running.
    """
    if row.get("duration_ms") is not None:
        return float(row["duration_ms"])
    begun = as_moment(row.get("start_time"))
    if begun is None or row.get("status") != "running":
        return None
    return max(0.0, (now - begun).total_seconds() * 1000)


def error_of(row: Mapping[str, Any]) -> str:
    """
    Return a run's error in one line, without the marker of the dead, which the status says.
    """
    text = str(row.get("error_summary") or "")
    return text[len(DEATH) :].strip() if is_dead(row) else text
