"""
The texts that some fields of a run choose from.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from collections.abc import Mapping


class Status(str, Enum):
    """
    Where a run stands. Only `RUNNING` is not final.
    """

    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    PARTIAL = "partial"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"


#: Spellings that are understood wherever a status is read, and never stored.
STATUS_ALIASES: Mapping[str, Status] = {
    "failure": Status.FAILED,
    "error": Status.FAILED,
    "completed": Status.SUCCESS,
    "succeeded": Status.SUCCESS,
    "ok": Status.SUCCESS,
    "canceled": Status.CANCELLED,
}
_STATUSES: Mapping[str, Status] = {**{status.value: status for status in Status}, **STATUS_ALIASES}


def parse_status(text: object) -> Optional[Status]:
    """
    Return the status that a text means, case and outer spaces ignored; None for an unknown one.
    """
    if not isinstance(text, str):
        return None
    return _STATUSES.get(text) or _STATUSES.get(text.strip().lower())


class TriggerType(str, Enum):
    """
    What set a run off.
    """

    CLI = "cli"
    WEB = "web"
    SCHEDULER = "scheduler"
    MCP = "mcp"
    MANUAL = "manual"


class CommitSource(str, Enum):
    """
    Who made a run's commit.
    """

    MANUAL = "manual"
    LLM = "llm"
    CI = "ci"
