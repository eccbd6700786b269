"""
Short ids: what a list shows instead of a run's long id, and what a person may type back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

#: Longest id of a caller's own that is shown whole.
MAX_OWN_LENGTH = 24
SHORT_LENGTH = 8
#: Of an event id: the millisecond and the number within it; what follows is one process's.
EVENT_ID_LENGTH = 18
_UUID_DASHES = (8, 13, 18, 23)

LAST = "@last"
LAST_FAILED = "@last-failed"


def short_id(run_id: str, event_id: str) -> str:
    """
    Return a short name of a run: the random end of its id, or the id itself where it is short.

    A long id of a caller's own is replaced by the beginning of the run's key.
    """
    if _is_generated(run_id):
        return run_id[-SHORT_LENGTH:]
    if 0 < len(run_id) <= MAX_OWN_LENGTH:
        return run_id
    return event_id[:EVENT_ID_LENGTH] if _is_uuid(event_id) else run_id or event_id


def short_ids(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """
    Return the short id of each run by its event id; runs that would share one keep a long one.
    """
    rows = list(rows)
    short = {
        str(row["event_id"]): short_id(str(row["run_id"]), str(row["event_id"])) for row in rows
    }
    count = Counter(short.values())
    return {key: name if count[name] == 1 else key for key, name in short.items()}


def _is_generated(run_id: str) -> bool:
    """
    Return whether an id is of the form stamp, agent, eight hex digits.
    """
    stamp, end = run_id[:17], run_id[-SHORT_LENGTH - 1 :]
    return (
        stamp[8:9] == "T"
        and stamp[15:] == "Z-"
        and end[:1] == "-"
        and _is_hex(end[1:], SHORT_LENGTH)
    )


def _is_uuid(event_id: str) -> bool:
    dashes = tuple(i for i, sign in enumerate(event_id) if sign == "-")
    return dashes == _UUID_DASHES and _is_hex(event_id.replace("-", ""), 32)


def _is_hex(text: str, length: int) -> bool:
    return len(text) == length and not text.strip("0123456789abcdef")
