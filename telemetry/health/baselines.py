"""
What a machine should manage: the runbook's figures, the README's, and our own.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, Callable

import attrs

from telemetry.health.results import Outcome, Result

if TYPE_CHECKING:
    from telemetry.health.measuring import Measured


class Whose(str, Enum):
    """
    Who set a baseline. Missing one that was promised to users is a finding, our own a warning.
    """

    RUNBOOK = "runbook"
    README = "README"
    OWN = "our own"


@attrs.frozen(kw_only=True)
class Baseline:
    """
    A figure, and what it should be.
    """

    name: str
    whose: Whose
    limit: float
    unit: str
    of: Callable[[Measured], float]
    is_less_worse: bool = False

    def judged(self, measured: Measured) -> Result:
        """
        Return how a machine does against it.
        """
        value = self.of(measured)
        is_kept = value > self.limit if self.is_less_worse else value < self.limit
        missed = Outcome.WARNING if self.whose is Whose.OWN else Outcome.FINDING
        sign = ">" if self.is_less_worse else "<"
        return Result(
            name=self.name,
            subject=self.whose.value,
            outcome=Outcome.OK if is_kept else missed,
            sentence=f"{_shown(value)} {self.unit} ({self.whose.value}:"
            f" {sign} {self.limit:g} {self.unit})",
            way_out="" if is_kept else _SLOW,
            numbers={"measured": value, "limit": self.limit},
        )


_SLOW = (
    "measure again when the machine is idle; telemetry doctor --only file_system says whether the"
    " disk is of this machine"
)


def _worst_question(measured: Measured) -> float:
    return max(one.p95_ms for one in measured.questions.values())


def _p95(name: str) -> Callable[[Measured], float]:
    return lambda measured: measured.calls[name].p95_ms


BASELINES = (
    Baseline(name="write_p95", whose=Whose.RUNBOOK, limit=50, unit="ms", of=_p95("write")),
    Baseline(name="query_p95", whose=Whose.RUNBOOK, limit=100, unit="ms", of=_worst_question),
    Baseline(
        name="throughput",
        whose=Whose.RUNBOOK,
        limit=20,
        unit="writes/s",
        of=lambda measured: measured.stored_per_s,
        is_less_worse=True,
    ),
    Baseline(name="start_p95", whose=Whose.README, limit=10, unit="ms", of=_p95("start")),
    Baseline(name="event_p95", whose=Whose.README, limit=5, unit="ms", of=_p95("event")),
    Baseline(name="end_p95", whose=Whose.README, limit=50, unit="ms", of=_p95("end")),
    Baseline(name="own_write_p95", whose=Whose.OWN, limit=1, unit="ms", of=_p95("write")),
    Baseline(name="own_query_p95", whose=Whose.OWN, limit=25, unit="ms", of=_worst_question),
    Baseline(
        name="own_throughput",
        whose=Whose.OWN,
        limit=1000,
        unit="writes/s",
        of=lambda measured: measured.stored_per_s,
        is_less_worse=True,
    ),
    Baseline(
        name="own_exit", whose=Whose.OWN, limit=500, unit="ms", of=lambda found: found.exit_ms
    ),
)


def judged(measured: Measured) -> Iterator[Result]:
    """
    Yield how a machine does against each baseline.
    """
    for baseline in BASELINES:
        yield baseline.judged(measured)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 (three digits)
