"""
Rules that runs must keep, measured over those of a window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Optional

import attrs

from telemetry.model.run import Status
from telemetry.model.words import several
from telemetry.storage.selection import TOTALS, Selection

if TYPE_CHECKING:
    from telemetry.storage.selection import Snapshot

#: How runs end that failed.
FAILURES = (Status.FAILED.value, Status.TIMEOUT.value)
_P95 = 0.95


class Outcome(str, Enum):
    """
    What became of a rule.
    """

    PASSED = "passed"
    FAILED = "failed"
    #: There is nothing to compare with yet.
    SKIPPED = "skipped"


@attrs.frozen(kw_only=True)
class Gate:
    """
    Runs, and the rules they must keep; a rule that is None is none.
    """

    name: str
    selection: Selection
    #: Runs before the window, to compare with.
    baseline: Optional[Selection] = None
    #: Without any run nothing is shown to be good, so one must be there unless this says otherwise.
    min_runs: int = 1
    #: Shares: of all finished runs those that failed or timed out.
    max_failure_rate: Optional[float] = None
    max_p95_ms: Optional[int] = None
    max_items_failed: Optional[int] = None
    #: How much longer the 95th percentile may be than in the baseline: 0.2 is a fifth.
    max_slowdown: Optional[float] = None
    #: By how much the failure rate may be above that of the baseline: 0.05 is five points.
    max_failure_increase: Optional[float] = None


@attrs.frozen(kw_only=True)
class Measures:
    """
    What was found of some runs.
    """

    runs: int
    finished: int
    failed: int
    items_failed: int
    p95_ms: Optional[int]

    @property
    def failure_rate(self) -> Optional[float]:
        """
        Return the share of the finished runs that failed; None where none has finished.
        """
        return self.failed / self.finished if self.finished else None


@attrs.frozen(kw_only=True)
class Verdict:
    """
    What became of one rule of a gate.
    """

    rule: str
    outcome: Outcome
    #: What was measured, and what the rule allows; None where nothing could be measured.
    measured: Optional[float]
    limit: float
    reason: str


def measure(snapshot: Snapshot, selection: Selection) -> Measures:
    """
    Measure runs.
    """
    totals: Mapping[str, Any] = dict(zip(TOTALS, snapshot.totals(selection)))
    return Measures(
        runs=totals["runs"],
        finished=int(totals["runs"] - totals[Status.RUNNING.value]),
        failed=int(sum(totals[status] for status in FAILURES)),
        items_failed=int(totals["items_failed"]),
        p95_ms=snapshot.durations(selection, _P95),
    )


def check(snapshot: Snapshot, gate: Gate) -> tuple[Measures, list[Verdict]]:
    """
    Return what was measured of a gate's runs, and what became of each of its rules.
    """
    now = measure(snapshot, gate.selection)
    before = None if gate.baseline is None else measure(snapshot, gate.baseline)
    return now, list(_verdicts(gate, now, before))


def _verdicts(gate: Gate, now: Measures, before: Optional[Measures]) -> Iterator[Verdict]:
    yield _at_least(gate.min_runs, now.runs)
    absolute: tuple[tuple[str, Optional[float], Optional[float], Callable[[float], str]], ...] = (
        ("max_failure_rate", gate.max_failure_rate, now.failure_rate, percent),
        ("max_p95_ms", gate.max_p95_ms, now.p95_ms, milliseconds),
        ("max_items_failed", gate.max_items_failed, now.items_failed, plain),
    )
    for rule, limit, measured, shown in absolute:
        if limit is not None:
            yield _at_most(rule, limit, measured, shown, is_optional=not gate.min_runs)
    if before is None:
        return
    if gate.max_slowdown is not None:
        change = _ratio(now.p95_ms, before.p95_ms)
        yield _compared("max_slowdown", gate.max_slowdown, change)
    if gate.max_failure_increase is not None:
        rise = _difference(now.failure_rate, before.failure_rate)
        yield _compared("max_failure_increase", gate.max_failure_increase, rise)


def _at_least(limit: int, measured: int) -> Verdict:
    is_kept = measured >= limit
    word = "at least" if is_kept else "fewer than"
    return Verdict(
        rule="min_runs",
        outcome=Outcome.PASSED if is_kept else Outcome.FAILED,
        measured=measured,
        limit=limit,
        reason=f"{several(measured, 'run')}, {word} {limit:,}",
    )


def _at_most(
    rule: str,
    limit: float,
    measured: Optional[float],
    shown: Callable[[float], str],
    *,
    is_optional: bool,
) -> Verdict:
    name = _NAMES[rule]
    if measured is None:
        outcome = Outcome.SKIPPED if is_optional else Outcome.FAILED
        reason = f"{name} cannot be told: no run has finished"
    else:
        outcome = Outcome.PASSED if measured <= limit else Outcome.FAILED
        word = "at most" if measured <= limit else "more than"
        reason = f"{name} is {shown(measured)}, {word} {shown(limit)}"
    return Verdict(rule=rule, outcome=outcome, measured=measured, limit=limit, reason=reason)


def _compared(rule: str, limit: float, change: Optional[float]) -> Verdict:
    name = _NAMES[rule]
    if change is None:
        outcome, reason = Outcome.SKIPPED, f"{name} cannot be told: nothing to compare with"
    else:
        outcome = Outcome.PASSED if change <= limit else Outcome.FAILED
        word = "at most" if change <= limit else "more than"
        reason = f"{name} by {percent(change)} against the baseline, {word} {percent(limit)}"
    return Verdict(rule=rule, outcome=outcome, measured=change, limit=limit, reason=reason)


_NAMES: Mapping[str, str] = {
    "max_failure_rate": "the failure rate",
    "max_p95_ms": "the 95th percentile of the duration",
    "max_items_failed": "the number of failed items",
    "max_slowdown": "the duration rose",
    "max_failure_increase": "the failure rate rose",
}


def _ratio(now: Optional[float], before: Optional[float]) -> Optional[float]:
    return None if now is None or not before else now / before - 1


def _difference(now: Optional[float], before: Optional[float]) -> Optional[float]:
    return None if now is None or before is None else now - before


def percent(share: float) -> str:
    """
    Return a share as per cent.
    """
    return f"{share * 100:.1f}%"


def milliseconds(value: float) -> str:
    """
    Return a duration as it is stored.
    """
    return f"{value:,.0f} ms"


def plain(value: float) -> str:
    """
    Return a count.
    """
    return f"{value:,.0f}"
