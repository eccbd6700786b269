"""
Times as they come in a URL.
"""

from __future__ import annotations

import re
from typing import Optional

from telemetry.model.values import canonical_time
from telemetry.storage.queries.errors import FilterError

_EXAMPLE = "2026-11-22T00:42:17Z"
_ZONED = re.compile(
    r"\d{4}-?\d\d-?\d\d(?:[T ]\d\d[\d:.,]*)? ?(?:Z|[+-]\d\d(?::?\d\d)?)", re.ASCII | re.IGNORECASE
)
#: A plus in a URL that nobody escaped arrives as a blank.
_LOST_PLUS = re.compile(r"(\d{4}-?\d\d-?\d\d[T ]\d\d[\d:.,]*) (\d\d:?\d\d)", re.ASCII)
_MAX_LENGTH = 64


def zoned_time(name: str, text: str) -> str:
    """
    Return a parameter's time as it is stored.

    Raises:
        FilterError: It is none, or has no zone; then the message shows it with one.
    """
    found = _LOST_PLUS.sub(r"\1+\2", text.strip()) if len(text) <= _MAX_LENGTH else ""
    moment: Optional[str] = canonical_time(found)
    if moment is not None and _ZONED.fullmatch(found):
        return moment
    as_utc = canonical_time(f"{found}Z")
    if moment is not None and as_utc is not None:
        raise FilterError(
            name,
            "must be a time with a zone",
            text,
            f"such as {as_utc.replace('.000000', '')}",
            status=400,
        )
    raise FilterError(
        name, "must be an ISO 8601 time with a zone", text, f"such as {_EXAMPLE}", status=400
    )
