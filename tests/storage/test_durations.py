from hypothesis import given
from hypothesis import strategies as st

from telemetry.model.run import MAX_INTEGER
from telemetry.storage.durations import RELATIVE_ERROR, bounds_of, bucket_of

durations = st.integers(0, 10_000) | st.integers(0, MAX_INTEGER)


@given(durations)
def test_a_duration_is_within_its_bucket(duration):
    """
    A bucket holds the durations that it says, and its middle is near each of them.
    """
    first, last = bounds_of(bucket_of(duration))

    assert first <= duration <= last
    assert abs((first + last) / 2 - duration) <= RELATIVE_ERROR * duration


@given(durations, durations)
def test_longer_is_higher(one, other):
    """
    Buckets are in the order of their durations.
    """
    assert (bucket_of(one) <= bucket_of(other)) is (
        one <= other or bucket_of(one) == bucket_of(other)
    )


def test_buckets_adjoin():
    """
    No duration lies between two buckets, and all of them are a few thousand.
    """
    highest = bucket_of(MAX_INTEGER)
    edges = [bounds_of(bucket) for bucket in range(highest + 1)]

    assert highest < 2000
    assert edges[0][0] == 0
    assert edges[-1][1] == MAX_INTEGER
    assert all(last + 1 == first for (_, last), (first, _) in zip(edges, edges[1:]))
