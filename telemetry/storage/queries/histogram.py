"""
A chart's bins from the fine buckets of the roll-ups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from telemetry.storage.durations import bounds_of

if TYPE_CHECKING:
    from collections.abc import Mapping

BIN_COUNT = 30


def bins(buckets: Mapping[int, int], shortest: int, longest: int) -> list[dict[str, Any]]:
    """
    Return bins of equal width from the shortest to the longest duration, with their runs.

    A bucket that reaches over several bins is shared out among them; no run is lost by rounding.
    """
    if not buckets:
        return []
    count = BIN_COUNT if longest > shortest else 1
    width = (longest - shortest) / count
    runs = [0] * count

    def bin_of(duration: float) -> int:
        return min(count - 1, int((duration - shortest) / width)) if width else 0

    for bucket, total in buckets.items():
        first, last = bounds_of(bucket)
        first, last = max(first, shortest), min(last, longest)
        given = 0
        for number in range(bin_of(first), bin_of(last) + 1):
            end = shortest + (number + 1) * width
            share = (end - first) / (last - first) if last > first and end < last else 1.0
            so_far = total if number == bin_of(last) else round(total * share)
            runs[number] += so_far - given
            given = so_far
    edges = [shortest + number * width for number in range(count)] + [float(longest)]
    return [
        {"from_ms": edges[number], "to_ms": edges[number + 1], "runs": runs[number]}
        for number in range(count)
    ]


def median(buckets: Mapping[int, int]) -> float:
    """
    Return the middle duration, as far as its bucket tells.

    Args:
        buckets: In order, not empty.
    """
    total = sum(buckets.values())
    return (_at(buckets, (total - 1) // 2) + _at(buckets, total // 2)) / 2


def _at(buckets: Mapping[int, int], rank: int) -> float:
    for bucket, count in buckets.items():
        if rank < count:
            return sum(bounds_of(bucket)) / 2
        rank -= count
    raise ValueError(f"rank must be below the number of runs (got {rank} too many)")
