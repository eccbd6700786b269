"""
Regular expressions that cost nothing until they are used.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Optional

_METHODS = ("findall", "match", "search")


class Expression:
    """
    A regular expression that is compiled at its first use.

    From then on its methods are the compiled one's own. Safe from any thread and signal handler:
    what several compile at once is the same.

    Args:
        pattern: As `re.compile` takes it; a bad one is found out at its first use.
        flags: Those of `re.compile`.
    """

    __slots__ = ("_flags", "_pattern", *_METHODS)

    findall: Callable[..., list[Any]]
    match: Callable[..., Optional[re.Match[str]]]
    search: Callable[..., Optional[re.Match[str]]]

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self._pattern = pattern
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        # Only called for a slot that is still empty.
        if name not in _METHODS:
            raise AttributeError(name)
        compiled = re.compile(self._pattern, self._flags)
        for method in _METHODS:
            setattr(self, method, getattr(compiled, method))
        return getattr(compiled, name)
