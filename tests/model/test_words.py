from __future__ import annotations

import pytest

from telemetry.model.words import in_bytes, several, span


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KB"), (1024**2 - 1, "1.0 MB"), (5e15, "4547.5 TB")],
)
def test_sizes_are_told_in_their_unit(count, text):
    """
    A count of bytes is told in the largest unit of which there is one.
    """
    assert in_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "1 second"),
        (119, "119 seconds"),
        (120, "2.0 minutes"),
        (7200, "2.0 hours"),
        (172_800, "2.0 days"),
    ],
)
def test_times_are_told_in_their_unit(seconds, text):
    """
    A length of time is told in a unit of which there are two or more.
    """
    assert span(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 runs"), (1, "1 run"), (1234, "1,234 runs")])
def test_a_noun_follows_its_count(count, text):
    """
    One is one, all else is several.
    """
    assert several(count, "run") == text
