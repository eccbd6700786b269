"""
Short ids: what a list shows instead of a run's long id, and what a person may type back.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, Iterable, Mapping

#: Longest id of a caller's own that is shown whole.
MAX_OWN_LENGTH = 12
SHORT_LENGTH = 8
_GENERATED = re.compile(r"\d{8}T\d{6}Z-.*-([0-9a-f]{8})", re.DOTALL)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
#: What may be the random end of an id: looked for at the end, not only at the beginning.
RANDOM_END = re.compile(r"[0-9a-f]{8,12}", re.IGNORECASE)

LAST = "@last"
LAST_FAILED = "@last-failed"


def short_id(run_id: str, event_id: str) -> str:
    """
    Return a short name of a run: the random end of its id, or the id itself where it is short.
    """
    generated = _GENERATED.fullmatch(run_id)
    if generated:
        return generated[1]
    if 0 < len(run_id) <= MAX_OWN_LENGTH:
        return run_id
    return event_id[-SHORT_LENGTH:] if _UUID.fullmatch(event_id) else run_id or event_id


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
