from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.cli.times import When, as_moment, clock, duration, parse_when

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("45m", NOW - timedelta(minutes=45)),
        ("2h", NOW - timedelta(hours=2)),
        ("1.5h", NOW - timedelta(minutes=90)),
        ("3d", NOW - timedelta(days=3)),
        ("1W", NOW - timedelta(days=7)),
        ("now", NOW),
        ("today", NOW.replace(hour=0)),
        ("yesterday", NOW.replace(day=21, hour=0)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=timezone.utc)),
        ("2026-11-20T10:30", datetime(2026, 11, 20, 10, 30, tzinfo=timezone.utc)),
        ("2026-11-20T10:30:00.5Z", datetime(2026, 11, 20, 10, 30, 0, 500_000, tzinfo=timezone.utc)),
        ("2026-11-20T10:30+02:00", datetime(2026, 11, 20, 8, 30, tzinfo=timezone.utc)),
    ],
)
def test_parse_when_understands(text, moment):
    """
    A time is relative, a day, or ISO 8601, on every Python.
    """
    assert parse_when(text, NOW) == moment


@pytest.mark.parametrize(
    "text", ["", "2x", "h", "-2h", "tomorrowish", "2026-13-01", "9" * 400 + "d"]
)
def test_parse_when_refuses(text):
    """
    Everything else is a ValueError, absurd numbers too.
    """
    with pytest.raises(ValueError, match=r"."):
        parse_when(text, NOW)


def test_when_names_the_forms():
    """
    The option's error says what would do.
    """
    with pytest.raises(click.BadParameter, match=r"2h, 3d.*got '2x'"):
        When().convert("2x", None, None)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, ""),
        (0, "0ms"),
        (999, "999ms"),
        (1_000, "1.0s"),
        (1_234, "1.2s"),
        (59_940, "59.9s"),
        (59_960, "1.0m"),
        (204_000, "3.4m"),
        (20_160_000, "5.6h"),
        (172_800_000, "2.0d"),
    ],
)
def test_duration_is_short(ms, text):
    """
    A duration has one decimal and one unit, and never sixty of one.
    """
    assert duration(ms) == text


@given(st.integers(0, 10**15))
def test_duration_never_shows_sixty(ms):
    """
    No unit reaches the next one.
    """
    assert not duration(ms).startswith("60.0")


def test_clock_leaves_out_the_day_it_was_told():
    """
    Today's times are times of day; others carry their date, UTC its mark.
    """
    text = "2026-11-22T12:34:56.789000Z"

    assert clock(text, utc=True, today=date(2026, 11, 22)) == "12:34:56Z"
    assert clock(text, utc=True, today=date(2026, 11, 23)) == "2026-11-22 12:34:56Z"
    assert clock(text, utc=True, seconds="milliseconds") == "2026-11-22 12:34:56.789Z"


@pytest.mark.parametrize("value", [None, "", "soon", 5, "2026-99-99T00:00:00Z"])
def test_an_unreadable_time_is_shown_as_nothing(value):
    """
    A database may hold any text where a time belongs.
    """
    assert as_moment(value) is None
    assert not clock(value, utc=True)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_the_ends_of_the_calendar_are_shown(text):
    """
    A time that has no local form is shown as it is.
    """
    assert clock(text, utc=False)
