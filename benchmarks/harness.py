"""
Candidates in turn, round by round, and the median of the ratios of each round.

A machine's speed drifts; within one short round it is the same for all, so only ratios are quoted.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Callable

import attrs

#: A block of calls: does its work so many times.
Block = Callable[[int], None]


@attrs.frozen(kw_only=True)
class Row:
    """
    One claim and what was measured: a ratio, or a count, beside its target.
    """

    what: str
    value: float
    target: float
    unit: str = "x"
    note: str = ""

    @property
    def is_met(self) -> bool:
        return self.value <= self.target if self.unit != "rate" else self.value >= self.target


@attrs.frozen
class Times:
    """
    Microseconds a call of each candidate, round by round.
    """

    rounds: Mapping[str, Sequence[float]]

    def ratio(self, one: str, other: str) -> float:
        """
        Return the median over the rounds of one candidate's time by another's.
        """
        pairs = zip(self.rounds[one], self.rounds[other])
        return statistics.median(a / b for a, b in pairs)

    def median_us(self, name: str) -> float:
        return statistics.median(self.rounds[name])


def in_turn(
    blocks: Mapping[str, Block],
    *,
    rounds: int,
    calls: Mapping[str, int],
    settle: Callable[[], object] = lambda: None,
) -> Times:
    """
    Run each block once a round, and return what a call of each took.

    Args:
        settle: Called before each block, untimed: what one candidate left to its background
            threads must not be paid by the next.
    """
    clock = time.perf_counter_ns
    times: dict[str, list[float]] = {name: [] for name in blocks}
    for name, block in blocks.items():
        block(calls[name] // 4 + 1)
    for _ in range(rounds):
        gc.collect()
        for name, block in blocks.items():
            settle()
            begun = clock()
            block(calls[name])
            times[name].append((clock() - begun) / calls[name] / 1000)
    return Times(times)


def repeated(call: Callable[[], object]) -> Block:
    """
    Return a block of bare calls.
    """

    def block(count: int) -> None:
        for _ in range(count):
            call()

    return block


def percentile(values: Sequence[float], share: float) -> float:
    """
    Return the value below which that share of all lies.
    """
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
