"""
Runs of a batch that is no JSON, because of something inside one of them.

Python's own encoder writes NaN and halves of surrogate pairs, which no JSON has: the run that holds
one cannot be taken, the others can.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Optional

#: Runs between which other requests have a turn.
BETWEEN_TURNS = 64
_BLANK = re.compile(r"[ \t\r\n]*")
_scan = json.JSONDecoder(strict=False).raw_decode


async def split(raw: bytes, most: int) -> Optional[list[bytes]]:
    """
    Return each item of an array as it stands there; None where even Python cannot tell them apart.

    Args:
        most: Items that may be there; of more, none is looked for.
    """
    # Bytes that are no UTF-8 come back as they were, in the item that has them.
    text = raw.decode("utf-8", "surrogateescape")
    items: list[bytes] = []
    at = _after_blanks(text, 0)
    if text[at : at + 1] != "[":
        return None
    separator = ","
    while separator == "," and len(items) < most:
        start = _after_blanks(text, at + 1)
        try:
            _, end = _scan(text, start)
        except (ValueError, RecursionError):
            return None
        items.append(text[start:end].encode("utf-8", "surrogateescape"))
        at = _after_blanks(text, end)
        separator = text[at : at + 1]
        if not len(items) % BETWEEN_TURNS:
            await asyncio.sleep(0)
    is_whole = separator == "]" and _after_blanks(text, at + 1) == len(text)
    return items if is_whole else None


def _after_blanks(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def decode_leniently(raw: bytes) -> object:
    """
    Return what an item means that only Python can read; None where it cannot either.
    """
    try:
        return json.loads(raw, strict=False)
    except (ValueError, RecursionError):
        return None
