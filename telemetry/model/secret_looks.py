"""
First looks at texts: whether there is anything in one to scrub.

The expressions that find secrets are large. They are imported and compiled at the first text that
needs them; a process whose texts are words and names, as the keys of payloads are, never does.
"""

from __future__ import annotations

import os
import re
import threading
from functools import cache
from typing import TYPE_CHECKING, Callable, Optional

if TYPE_CHECKING:
    from telemetry.model.secret_lists import Neighbours
    from telemetry.model.secret_shapes import Search, Shapes

#: No secret has only these characters and is in a text with nothing else: each shape has another
#: sign, and what follows the prefix of a token a digit or a capital.
_has_no_secret = re.compile("[a-z_]*").fullmatch


class Look:
    """
    One first look, called as ``look.search(text)``; None means that there is nothing to scrub.

    Safe from any thread: what several compile at once is the same.

    Args:
        load: Returns the shapes that are looked for.
    """

    __slots__ = ("_load", "search")

    search: Search

    def __init__(self, load: Callable[[], Shapes]) -> None:
        self._load = load
        self.search = self._first

    @property
    def shapes(self) -> Shapes:
        """
        Return the shapes, compiled if they are not.
        """
        return self._load()

    def _first(self, text: str, position: int = 0) -> Optional[re.Match[str]]:
        if _has_no_secret(text):
            return None
        # From now on the expression itself is called.
        self.search = self._load().search
        return self.search(text, position)


#: A fork waits for an import that is under way: the child could never end what another thread of
#: its parent has begun, and would wait for it for ever.
_importing = threading.RLock()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_importing.acquire,
        after_in_parent=_importing.release,
        after_in_child=_importing.release,
    )


def load_shapes() -> Shapes:
    """
    Return the shapes of texts in which nothing is assigned.
    """
    with _importing:
        from telemetry.model.secret_shapes import shapes

        return shapes()


def load_assigned_shapes(names: frozenset[str]) -> Shapes:
    """
    Return the shapes of texts with a sign that assigns.

    Args:
        names: More names of secrets, without case and separators.
    """
    with _importing:
        from telemetry.model.secret_shapes import assigned_shapes

        return assigned_shapes(names)


@cache
def load_neighbours() -> type[Neighbours]:
    """
    Return what looks at the items of lists.
    """
    with _importing:
        from telemetry.model.secret_lists import Neighbours

        return Neighbours


class FixedLook:
    """
    A first look with one answer, whatever the text.
    """

    __slots__ = ("search",)

    def __init__(self, expression: str) -> None:
        self.search: Search = re.compile(expression).match
