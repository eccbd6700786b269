"""
Private keys over several lines: PEM blocks and their like, whole or cut at either end.
"""

from __future__ import annotations

from typing import Optional

from telemetry.model.expressions import Expression
from telemetry.model.secret_finds import Found, Judge

RULE = "private-key"
_BEGIN = Expression(r" ?BEGIN (?:[A-Z0-9 ]{0,40}PRIVATE KEY|OpenVPN Static key)")
_END = Expression(
    r" ?END (?:[A-Z0-9 ]{0,40}PRIVATE KEY|OpenVPN Static key)[A-Za-z0-9 ]{0,8} ?-{0,5}"
)
_END_MARK = Expression(r"----[ -]?END")
#: What a key's lines consist of, and what lies between them where they are printed.
_LINES = Expression(r"[A-Za-z0-9+/=\s\\\"',]*")
_PIECE_CHARS = 1024
_PUTTY = Expression(r"-Lines: [0-9]{1,4}\r?\n")


def find_block(text: str, at: int, judge: Judge) -> Optional[Found]:
    """
    Find a private key by the hyphens that begin it, or by those that end one cut off before.

    One without an end reaches to the end of the text.
    """
    dashes = 5 if text.startswith("-----", at - 4) and at >= 4 else 4  # noqa: PLR2004 (as PEM and SSH2 have them)
    if _BEGIN.match(text, at + 1):
        end = _END_MARK.search(text, at)
        stop = text.find("----", end.end()) if end else -1
        return Found(max(0, at + 1 - dashes), len(text) if stop < 0 else stop + dashes, RULE)
    end = _END.match(text, at + 1)
    if end is None:
        return None
    return Found(_first_of_lines(text, max(0, at + 1 - dashes)), end.end(), RULE)


def _first_of_lines(text: str, end: int) -> int:
    """
    Return where the lines begin that reach up to a place, read backwards a piece at a time.
    """
    start = end
    while start:
        piece = text[max(0, start - _PIECE_CHARS) : start]
        lines = _LINES.match(piece[::-1])
        count = lines.end() if lines else 0
        start -= count
        if count < len(piece):
            break
    return start


def find_putty(text: str, at: int, judge: Judge) -> Optional[Found]:
    """
    Find the lines of a key as PuTTY keeps it, from `Private-Lines` on.
    """
    begin = _PUTTY.match(text, at)
    if begin is None:
        return None
    end = text.find("Private-MAC", at)
    return Found(begin.end(), len(text) if end < 0 else end, RULE)


def begins(text: str) -> bool:
    """
    Tell whether a private key begins in a text and does not end there: its lines follow.
    """
    begin = text.rfind("BEGIN ")
    return begin > 0 and _BEGIN.match(text, begin) is not None and "---END" not in text[begin:]


def ends(text: str) -> bool:
    """
    Tell whether the end of a block stands in a text.
    """
    return "---END" in text or "--- END" in text
