"""
Patterns of secrets that the user adds, held to a bounded cost.
"""

from __future__ import annotations

import re
import sys
import time
import warnings
from typing import Any

from telemetry.model.errors import SettingsError

if sys.version_info >= (3, 11):
    from re import _constants, _parser  # type: ignore[attr-defined]
else:  # pragma: no cover (the older name of the same modules)
    import sre_constants as _constants
    import sre_parse as _parser

MARKER = "[scrubbed:custom]"
SLOW_MARKER = "[scrubbed:slow-pattern]"
MAX_PATTERN_CHARS = 512
#: Repetitions without a small bound that one pattern may have.
MAX_OPEN_REPEATS = 2
SMALL_REPEAT = 64
#: A pattern sees a text in pieces of this many characters: no cost grows faster than the text.
PIECE_CHARS = 1024
#: What one pattern may take over one text before the rest is taken out unseen.
TIME_LIMIT_S = 0.05

_REPEATS = tuple(
    getattr(_constants, name)
    for name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")
    if hasattr(_constants, name)
)
_WAY_OUT = "change or remove it; the other rules stay on without it"


class CustomPattern:
    """
    One pattern of the user's.

    Raises:
        SettingsError: It is too long, no regular expression, or could take for ever.
    """

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MAX_PATTERN_CHARS:
            raise _refusal(f"have at most {MAX_PATTERN_CHARS} characters", f"{len(pattern)}")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._pattern = re.compile(pattern)
                tree = _parser.parse(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise _refusal(f"be a regular expression ({error})", repr(pattern)) from error
        if self._pattern.match(""):
            raise _refusal("match at least one character", repr(pattern))
        if _open_repeats(tree, inside=False) > MAX_OPEN_REPEATS:
            raise _refusal(
                f"have at most {MAX_OPEN_REPEATS} open repetitions, none within another, "
                "and no back-reference",
                repr(pattern),
            )

    def scrub(self, text: str) -> str:
        """
        Replace what matches, and all that is left once the time is up.
        """
        deadline = time.perf_counter() + TIME_LIMIT_S
        parts: list[str] = []
        start = 0
        while start < len(text):
            if time.perf_counter() > deadline:
                parts.append(SLOW_MARKER)
                break
            end = _piece_end(text, start)
            parts.append(self._pattern.sub(_mark, text[start:end]))
            start = end
        return "".join(parts)


def _mark(match: re.Match[str]) -> str:
    """
    Return the marker for what matched; an earlier marker stays as it is.
    """
    return match[0] if match[0] in MARKER or match[0] in SLOW_MARKER else MARKER


def _piece_end(text: str, start: int) -> int:
    """
    Return where to cut: after a line, else after a blank, else in the middle.
    """
    end = start + PIECE_CHARS
    if end >= len(text):
        return len(text)
    for blank in ("\n", " "):
        found = text.rfind(blank, start, end)
        if found > start:
            return found + 1
    return end


def _open_repeats(tree: Any, *, inside: bool) -> int:
    """
    Count the repetitions without a small bound; nested ones and back-references count as too many.
    """
    count = 0
    for operation, argument in tree:
        if operation in _REPEATS:
            is_open = argument[1] > SMALL_REPEAT
            if inside and argument[1] > 1:
                return MAX_OPEN_REPEATS + 1
            count += is_open + _open_repeats(argument[2], inside=inside or argument[1] > 1)
        elif operation in {_constants.GROUPREF, _constants.GROUPREF_EXISTS}:
            return MAX_OPEN_REPEATS + 1
        else:
            count += sum(_open_repeats(part, inside=inside) for part in _subtrees(argument))
    return count


def _subtrees(argument: Any) -> list[Any]:
    """
    Return the expressions inside an operation's argument, at any place of it.
    """
    if isinstance(argument, _parser.SubPattern):
        return [argument]
    if isinstance(argument, (list, tuple)):
        return [part for item in argument for part in _subtrees(item)]
    return []


def _refusal(rule: str, value: str) -> SettingsError:
    return SettingsError(
        f"a scrub pattern must {rule} (got {value}); {_WAY_OUT}", setting="scrub_patterns"
    )
