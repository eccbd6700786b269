"""
Which records have been taken.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from telemetry.service.seen import MAX_RANGES, MAX_WRITERS, Seen, is_id

WRITER = "0123456789abcdef"


@given(st.lists(st.integers(1, 60), max_size=80))
def test_it_is_a_set(numbers):
    """
    In any order, and however often.
    """
    seen = Seen()
    for number in numbers:
        seen.add(f"{WRITER}-{number}")

    assert {n for n in range(70) if f"{WRITER}-{n}" in seen} == set(numbers)
    firsts, lasts = seen._ranges.get(WRITER, ([], []))
    assert all(last + 1 < first for last, first in zip(lasts, firsts[1:]))


def test_its_memory_is_bounded():
    """
    The longest silent writer and the lowest ranges are forgotten; the newest are known.
    """
    seen = Seen()
    for number in range(MAX_WRITERS + 10):
        seen.add(f"{number:016x}-1")
    for number in range(1, 3 * MAX_RANGES, 2):
        seen.add(f"{WRITER}-{number}")

    assert len(seen._ranges) == MAX_WRITERS
    assert f"{0:016x}-1" not in seen
    assert f"{WRITER}-1" not in seen
    assert f"{WRITER}-{number}" in seen
    assert len(seen._ranges[WRITER][0]) == MAX_RANGES


def test_only_ids_of_records_have_their_form():
    """
    Sixteen hex digits, a dash, a number that begins with no zero.
    """
    good = [f"{WRITER}-1", f"{WRITER}-9999999999999999999"]
    bad = ["", WRITER, f"{WRITER}-0", f"{WRITER}-01", f"{WRITER.upper()}-1", f"{WRITER}-1\n"]

    assert [is_id(text) for text in [*good, *bad]] == [True] * 2 + [False] * 6
