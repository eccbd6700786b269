"""
Times as the columns and the journal hold them.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Optional


def moment(text: object) -> Optional[datetime]:
    """
    Return the moment that a column's text means; None for anything else.
    """
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
