"""
What checks said, as people, programs and cron read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from telemetry.cli.exits import Exit
from telemetry.cli.text import visible, wrap
from telemetry.health import Outcome, worst_of
from telemetry.model.words import several

if TYPE_CHECKING:
    from pathlib import Path

    from telemetry.cli.screen import Screen
    from telemetry.health import Detail, Result

#: Narrower than that, a sentence is left to the terminal.
_LEAST_WIDTH = 30
_LOOKS: Mapping[Outcome, tuple[str, str]] = {
    Outcome.OK: ("✓", "good"),
    Outcome.WARNING: ("!", "warn"),
    Outcome.FINDING: ("✗", "bad"),
}


def exit_of(results: Sequence[Result], *, strict: bool) -> Exit:
    """
    Return the exit code that results stand for.

    Args:
        strict: Whether a warning counts as a finding.
    """
    least = Outcome.WARNING if strict else Outcome.FINDING
    return Exit.FINDINGS if worst_of(results) >= least else Exit.FINE


def exit_at(base_dir: Path, results: Sequence[Result], *, strict: bool) -> Exit:
    """
    Return the exit code of results about a base directory, which may not be there at all.
    """
    code = exit_of(results, strict=strict)
    return Exit.NOT_FOUND if code is Exit.FINDINGS and not base_dir.is_dir() else code


def lines_of(screen: Screen, results: Sequence[Result]) -> list[str]:
    """
    Return a line for each result, what to do below it, and the values that were looked at.
    """
    width = max((len(result.name) for result in results), default=0)
    lines = []
    for result in results:
        sign, style = _LOOKS[result.outcome]
        mark = screen.mark(sign, style)
        name = screen.style(visible(result.name).ljust(width), "name")
        indent = " " * (width + 4)
        room = None if screen.width is None else max(_LEAST_WIDTH, screen.width - len(indent) - 2)
        first, *more = wrap(visible(result.sentence), room)
        lines.append(f"{mark} {name}  {first}")
        lines += [f"{indent}{piece}" for piece in more]
        lines += [f"{indent}{_told(screen, detail)}" for detail in result.details]
        if result.way_out:
            first, *more = wrap(visible(result.way_out), room)
            lines.append(f"{indent}{screen.sign('→')} {first}")
            lines += [f"{indent}  {piece}" for piece in more]
    return lines


def verdict_of(screen: Screen, results: Sequence[Result], where: object) -> str:
    """
    Return the last line: how it stands, and what to do next.
    """
    worst = worst_of(results)
    sign, style = _LOOKS[worst]
    mark = screen.mark(sign, style)
    sentence = f"{visible(where)} is sound"
    if worst is not Outcome.OK:
        next_step = f"follow the lines that begin with {screen.sign('→')}"
        how = "is sound, with" if worst is Outcome.WARNING else "needs attention:"
        sentence = f"{visible(where)} {how} {counted(results)}; {next_step}"
    room = None if screen.width is None else screen.width - len("✓ ")
    return f"{mark} " + "\n  ".join(wrap(sentence, room))


def counted(results: Sequence[Result]) -> str:
    """
    Return how many findings and warnings there are, in words.
    """
    findings = sum(result.outcome is Outcome.FINDING for result in results)
    warnings = sum(result.outcome is Outcome.WARNING for result in results)
    told = [
        several(count, noun)
        for count, noun in ((findings, "finding"), (warnings, "warning"))
        if count
    ]
    return " and ".join(told) or "nothing wrong"


def summary_of(results: Sequence[Result], where: object) -> str:
    """
    Return all of it as one line: for the subject of a mail, or a log.
    """
    wrong = sorted((each for each in results if each.outcome), key=lambda each: -each.outcome)
    reasons = "; ".join(f"{each.name}: {each.sentence}" for each in wrong)
    state = worst_of(results).word.upper()
    text = f"telemetry {state}: {where}: {several(len(results), 'check')}, {counted(results)}"
    return " ".join(visible(f"{text}: {reasons}" if reasons else text).split())


def document_of(results: Sequence[Result]) -> list[dict[str, Any]]:
    """
    Return results as JSON has them.
    """
    return [
        {
            "name": result.name,
            "subject": result.subject or None,
            "outcome": result.outcome.word,
            "sentence": result.sentence,
            "way_out": result.way_out or None,
            "numbers": dict(result.numbers),
            "details": [
                {"name": each.name, "actual": each.actual, "expected": each.expected or None}
                for each in result.details
            ],
        }
        for result in results
    ]


def _told(screen: Screen, detail: Detail) -> str:
    text = f"{visible(detail.name)} = {visible(detail.actual) or 'none'}"
    if not detail.expected:
        return screen.style(text, "faint")
    if detail.expected == detail.actual:
        return screen.style(f"{text}, as expected", "faint")
    return screen.style(f"{text}, expected {visible(detail.expected)}", "warn")
