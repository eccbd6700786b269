"""
What the rules that look for secrets have in common.
"""

from __future__ import annotations

from typing import Callable, NamedTuple, Optional

MARKER_START = "[scrubbed:"


class Found(NamedTuple):
    """
    A secret's place in a text and the rule that knows it; no rule: nothing up to the end is one.
    """

    start: int
    end: int
    rule: str


#: Tells whether a name is the name of a secret.
Judge = Callable[[str], bool]
Finder = Callable[[str, int, Judge], Optional[Found]]


def either(first: Optional[Finder], second: Finder) -> Finder:
    """
    Return a finder that asks the first, if there is one, and then the second.
    """
    if first is None or first is second:
        return second
    return lambda text, at, judge: first(text, at, judge) or second(text, at, judge)


def looks_random(value: str) -> bool:
    """
    Tell a generated value from a short word of prose.
    """
    return len(value) >= _LONG_VALUE_CHARS or any(character.isdigit() for character in value)


_LONG_VALUE_CHARS = 16
