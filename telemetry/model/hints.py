"""
What was probably meant by a name that does not exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Of a longer name the beginning is compared: the time grows with the square of the length.
_MAX_COMPARED_CHARS = 100


def nearest(name: str, known: Iterable[str]) -> str:
    """
    Return the known name that is most like this one; empty text where none is.

    Args:
        known: Names in lower case; the case of what was given does not matter.
    """
    from difflib import get_close_matches

    near = get_close_matches(name[:_MAX_COMPARED_CHARS].lower(), list(known), n=1)
    return near[0] if near else ""


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """
    Return the question whether the nearest known name was meant, else another way out.
    """
    near = nearest(name, known)
    return f"did you mean {near!r}?" if near else otherwise
