import statistics
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.storage.durations import RELATIVE_ERROR, bucket_of
from telemetry.storage.queries.histogram import BIN_COUNT, bins, median

durations = st.lists(st.integers(0, 100) | st.integers(0, 10**7), min_size=1, max_size=50)


def buckets_of(values):
    return dict(sorted(Counter(map(bucket_of, values)).items()))


@given(durations)
def test_no_run_is_lost(values):
    """
    The bins adjoin from the shortest to the longest, and hold each run once.
    """
    found = bins(buckets_of(values), min(values), max(values))

    assert sum(one["runs"] for one in found) == len(values)
    assert all(one["runs"] >= 0 for one in found)
    assert (found[0]["from_ms"], found[-1]["to_ms"]) == (min(values), max(values))
    assert all(one["to_ms"] == other["from_ms"] for one, other in zip(found, found[1:]))
    assert len(found) == (BIN_COUNT if max(values) > min(values) else 1)


@given(st.lists(st.integers(0, 63), min_size=1, max_size=50))
def test_short_ones_are_where_they_belong(values):
    """
    Durations that have a bucket each are counted exactly.
    """
    found = bins(buckets_of(values), min(values), max(values))
    width = (max(values) - min(values)) / len(found)
    expected = Counter(
        min(len(found) - 1, int((value - min(values)) / width)) if width else 0 for value in values
    )

    assert [one["runs"] for one in found] == [expected[number] for number in range(len(found))]


def test_a_wide_bucket_is_shared_out():
    """
    Runs of one bucket that reaches over several bins are spread evenly.
    """
    found = bins({bucket_of(6_500_000): 300}, 6_500_000, 6_530_000)

    assert [one["runs"] for one in found] == [10] * 30


def test_of_nothing():
    """
    No runs, no bins.
    """
    assert bins({}, 0, 0) == []


@given(durations)
def test_the_median_is_near(values):
    """
    The median is that of the runs, but for the share that is stated.
    """
    right = statistics.median(values)

    assert median(buckets_of(values)) == pytest.approx(right, rel=RELATIVE_ERROR)
