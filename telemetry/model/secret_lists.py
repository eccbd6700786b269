"""
What the items of a list say about each other: command lines, pairs, and the lines of a key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from telemetry.model import secret_blocks
from telemetry.model.secret_commands import glued_password, program_of, rule_for
from telemetry.model.secret_finds import MARKER_START, Judge

if TYPE_CHECKING:
    from collections.abc import Collection

#: Longer items are no arguments, names or lines of a key.
MAX_ITEM_CHARS = 16_384


class Neighbours:
    """
    One pass over one list.

    Args:
        judge: Tells whether a name is the name of a secret.
        allowed: Secrets that are none, word for word.
        are_pair: The list has two items, of which the first may name the second.
    """

    __slots__ = (
        "_allowed",
        "_in_block",
        "_judge",
        "_logs_in",
        "_pair_left",
        "_previous",
        "_program",
    )

    def __init__(self, judge: Judge, allowed: Collection[str], *, are_pair: bool) -> None:
        self._judge = judge
        self._allowed = allowed
        self._pair_left = are_pair
        self._previous: Optional[str] = None
        self._program = ""
        self._logs_in = False
        self._in_block = False

    def hidden(self, item: object) -> Optional[str]:
        """
        Return what stands in place of the next item; None if nothing before it makes it a secret.
        """
        text = _text_of(item)
        previous, self._previous = self._previous, text or ""
        if previous is None:
            self._program = program_of(text or "")
            self._in_block = text is not None and secret_blocks.begins(text)
            return None
        if self._pair_left and previous and self._judge(previous):
            return f"{MARKER_START}key]" if _says_something(item) else None
        if not text or text in self._allowed:
            return None
        return self._among_lines(text) or self._argument(text, previous)

    def _among_lines(self, text: str) -> Optional[str]:
        if self._in_block:
            self._in_block = not secret_blocks.ends(text)
            return f"{MARKER_START}{secret_blocks.RULE}]"
        self._in_block = secret_blocks.begins(text)
        return None

    def _argument(self, text: str, previous: str) -> Optional[str]:
        self._logs_in = self._logs_in or previous == "login"
        if glued_password(text, self._program):
            return f"-p{MARKER_START}key]"
        rule = rule_for(text, previous, self._program, logs_in=self._logs_in, judge=self._judge)
        return f"{MARKER_START}{rule}]" if rule else None


def _text_of(item: object) -> Optional[str]:
    if isinstance(item, bytes) and len(item) <= MAX_ITEM_CHARS:
        return item.decode("utf-8", "replace")
    return item if type(item) is str and len(item) <= MAX_ITEM_CHARS else None


def _says_something(item: object) -> bool:
    return not (item is None or type(item) is bool or item in {"", b""})
