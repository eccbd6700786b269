"""
Text for a terminal: hostile characters made visible, widths, shortening.

What an agent recorded may hold escape sequences that move the cursor, set the window's title or
turn the reading direction. None of them reaches the terminal.
"""

from __future__ import annotations

import re
from typing import Any, Optional

ELLIPSIS = "…"

# Controls of both sets, line and paragraph separators, marks that turn the direction, invisible
# joiners, a byte order mark, lone surrogates. Compiled at the first text that is not printable.
_HOSTILE = "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
_HOSTILE_BUT_NEWLINE = _HOSTILE.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f")
#: Signs of our own, one column wide; combining characters begin at U+0300.
_NARROW = frozenset("✓✗◐●⊘◷†├└│─→·█░…")
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    return _SHORT_ESCAPES.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")  # noqa: PLR2004 (a byte)


def visible(value: Any) -> str:
    """
    Return a value as one line in which every control character is a visible escape.
    """
    text = str(value)
    return text if text.isprintable() else re.sub(_HOSTILE, _escape, text)


def visible_lines(value: Any) -> list[str]:
    """
    Return a text as its lines; each is safe to print, tabs become spaces.
    """
    text = str(value).replace("\r\n", "\n").expandtabs(4)
    return re.sub(_HOSTILE_BUT_NEWLINE, _escape, text).rstrip("\n").split("\n")


def visible_json(document: str) -> str:
    """
    Return JSON text in which hostile characters are escaped, with the same meaning.

    Outside strings JSON has only line ends of this kind, and those stay.
    """
    return re.sub(_HOSTILE_BUT_NEWLINE, lambda match: f"\\u{ord(match.group()):04x}", document)


def width_of(text: str) -> int:
    """
    Return how many columns a text takes on a terminal.
    """
    if text.isascii() or all(sign < "\u0300" or sign in _NARROW for sign in text):
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def shorten(text: str, width: int) -> str:
    """
    Return a text cut to a width, with an ellipsis where something is missing.
    """
    if width_of(text) <= width:
        return text
    if width < 1:
        return ""
    kept = text[: width - 1]
    while width_of(kept) > width - 1:
        kept = kept[:-1]
    return kept + ELLIPSIS


def wrap(text: str, width: Optional[int]) -> list[str]:
    """
    Return a text as lines of at most a width; whole where there is none.

    A longer word, such as a path, stays whole: it is there to be copied.
    """
    if width is None:
        return [text]
    import textwrap

    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def pad(text: str, width: int, *, right: bool = False) -> str:
    """
    Return a text filled up with spaces to a width.
    """
    spaces = " " * (width - width_of(text))
    return spaces + text if right else text + spaces
