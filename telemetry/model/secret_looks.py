"""
First looks at texts: whether there is anything in one to scrub.

The expressions that find secrets are large. Each is compiled at the first text that needs it: those
of the anchors for one that is more than words and names, as the keys of payloads are, the others
for one with an anchor.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Callable, Optional

if TYPE_CHECKING:
    from telemetry.model.secret_anchors import Search

#: No secret has only these characters and is in a text with nothing else: each shape has another
#: sign, and what follows the prefix of a token a digit or a capital.
_has_no_secret = re.compile("[a-z_]*").fullmatch


class Look:
    """
    One first look, called as ``look.search(text)``; None means that there is nothing to scrub.

    Safe from any thread: what several compile at once is the same.

    Args:
        load: Returns what finds the anchors of secrets.
    """

    __slots__ = ("_load", "search")

    search: Search

    def __init__(self, load: Callable[[], Search]) -> None:
        self._load = load
        self.search = self._first

    def _first(self, text: str, position: int = 0) -> Optional[re.Match[str]]:
        if _has_no_secret(text):
            return None
        # From now on the expression itself is called.
        self.search = self._load()
        return self.search(text, position)


class FixedLook:
    """
    A first look with one answer, whatever the text.
    """

    __slots__ = ("search",)

    def __init__(self, expression: str) -> None:
        self.search: Search = re.compile(expression).match
