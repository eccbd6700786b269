"""
What a check is, and what it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Callable, Optional

import attrs

if TYPE_CHECKING:
    from telemetry.health.scene import Scene

#: What one check may say; one of a plugin may be endless.
MAX_RESULTS = 1000


class Outcome(IntEnum):
    """
    How a check went; the greater, the worse.
    """

    OK = 0
    #: Worth a look, and no harm is done yet.
    WARNING = 1
    #: Something is wrong, and somebody must act.
    FINDING = 2

    @property
    def word(self) -> str:
        """
        Return it as it is written.
        """
        return self.name.lower()


@attrs.frozen(kw_only=True)
class Detail:
    """
    One value that was looked at.
    """

    name: str
    actual: str
    #: What it should be; empty where any value will do.
    expected: str = ""


@attrs.frozen(kw_only=True)
class Result:
    """
    What one check says about one thing.
    """

    #: Of the check.
    name: str
    outcome: Outcome
    #: What was found, in words.
    sentence: str
    #: What to do about it; empty where there is nothing to be done.
    way_out: str = ""
    #: Which of several things of its kind, such as a sink; empty for the only one.
    subject: str = ""
    #: What was measured, by names that end in their unit.
    numbers: Mapping[str, float] = attrs.field(factory=dict)
    details: Sequence[Detail] = ()


@attrs.frozen(kw_only=True)
class Check:
    """
    Looks at one thing.

    Args:
        name: One lower-case word.
        run: Yields what it finds, good or bad; it changes nothing.
    """

    name: str
    run: Callable[[Scene], Iterable[Result]]


def perform(checks: Iterable[Check], scene: Scene) -> list[Result]:
    """
    Return what all checks say. One that cannot be made is a finding, and the others go on.
    """
    results: list[Result] = []
    for check in checks:
        found: list[Result] = []
        try:
            for _, result in zip(range(MAX_RESULTS), check.run(scene)):
                _require_result(result)
                found.append(result)
        except Exception as error:  # noqa: BLE001 (the guarded boundary around a plugin's check)
            found.append(_not_made(check, error))
        results += found
    return results


def _require_result(result: object) -> None:
    if not isinstance(result, Result):
        raise TypeError(f"a check must yield results (got a {type(result).__name__})")


def _not_made(check: Check, error: Exception) -> Result:
    text = " ".join(str(error).split()) or type(error).__name__
    return Result(
        name=check.name,
        outcome=Outcome.FINDING,
        sentence=f"it could not be looked at: {text}",
        way_out="telemetry doctor says more about the place and its permissions",
    )


def worst_of(results: Iterable[Result]) -> Outcome:
    """
    Return the worst outcome; of nothing, that all is well.
    """
    return max((result.outcome for result in results), default=Outcome.OK)


def graded(
    value: float, warn: Optional[float], fail: Optional[float], *, is_less_worse: bool = False
) -> Outcome:
    """
    Return the outcome of a number against two limits, either of which may be off.

    Args:
        is_less_worse: Whether a number below a limit is what breaks it.
    """
    sign = -1 if is_less_worse else 1
    if fail is not None and _reaches(sign * value, sign * fail, is_strict=is_less_worse):
        return Outcome.FINDING
    if warn is not None and _reaches(sign * value, sign * warn, is_strict=is_less_worse):
        return Outcome.WARNING
    return Outcome.OK


def _reaches(value: float, limit: float, *, is_strict: bool) -> bool:
    return value > limit if is_strict else value >= limit
