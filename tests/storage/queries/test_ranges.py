from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.storage.queries import (
    STATS_PARAMETERS,
    Condition,
    FilterError,
    Operator,
    StatsFilters,
)

days = st.dates(date(2025, 11, 1), date(2027, 2, 1))


def covered(filters, day):
    """
    Say how often a day, or None for an unknown one, is counted by the stretches.
    """
    text = "" if day is None else day.isoformat()
    periods = {"day": text, "month": text[:7], "all": ""}
    return sum(first <= periods[span] <= last for span, first, last in filters.stretches())


@given(st.none() | days, st.none() | days, days)
def test_each_day_is_counted_once(first, last, day):
    """
    The stretches hold each day of the range once, and no other.
    """
    filters = StatsFilters(
        (), first.isoformat() if first else None, last.isoformat() if last else None
    )
    is_inside = (first is None or first <= day) and (last is None or day <= last)

    assert covered(filters, day) == int(is_inside)
    assert covered(filters, None) == int(filters.is_of_all_time)
    assert len(filters.stretches()) <= 3


@pytest.mark.parametrize(
    ("first", "last", "spans"),
    [
        (None, None, ["all"]),
        ("2026-01-01", "2026-12-31", ["month"]),
        ("2026-02-01", "2026-02-28", ["month"]),
        ("2028-02-01", "2028-02-28", ["day"]),
        ("2026-01-02", "2026-12-31", ["day", "month"]),
        ("2026-01-02", "2026-12-30", ["day", "month", "day"]),
        ("2026-01-02", "2026-01-30", ["day"]),
        ("2026-01-02", "2026-02-27", ["day"]),
        ("2026-01-01", None, ["month"]),
        (None, "9999-12-31", ["month"]),
        ("9999-12-02", None, ["day"]),
        (None, "0001-01-01", ["month", "day"]),
        ("2026-03-01", "2026-01-31", []),
        ("2026-03-02", "2026-01-30", ["day"]),
    ],
)
def test_months_where_they_are_whole(first, last, spans):
    """
    What lies between the edges is taken by the month.
    """
    assert [one.span for one in StatsFilters((), first, last).stretches()] == spans


def test_a_range_upside_down_holds_nothing():
    """
    A range that ends before it begins is empty, whatever the day.
    """
    filters = StatsFilters((), "2026-03-02", "2026-01-30")
    every = [date(2026, 1, 1) + timedelta(days=number) for number in range(90)]

    assert [day for day in every if covered(filters, day)] == []


def test_reads_what_is_asked():
    """
    Agents and job types may be several, days are bounds, and an empty text is nothing.
    """
    params = [
        ("agent_name", "a"),
        ("agent_name", "b"),
        ("exclude_job_type", "test"),
        ("date_from", "2026-11-01"),
        ("date_from", "2026-11-01"),
        ("date_to", ""),
        ("range", "ignored"),
    ]

    assert StatsFilters.parse(params, passed_over=("range",)) == StatsFilters(
        (
            Condition("agent_name", Operator.IS, ("a", "b")),
            Condition("job_type", Operator.IS_NOT, ("test",)),
        ),
        "2026-11-01",
        None,
    )
    assert StatsFilters.parse({}) == StatsFilters()
    assert all(STATS_PARAMETERS.values())


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"date_from": "22.11.2026"}, 400),
        ({"date_from": "2026-11-22T00:00:00Z"}, 400),
        ({"date_to": "20261122"}, 400),
        ({"date_to": "2026-02-30"}, 400),
        ({"date_to": "\ud800"}, 400),
        ({"date_to": ["2026-01-01", "2026-01-02"]}, 422),
        ({"status": "failed"}, 422),
        ({"agent": "x"}, 422),
        ({"agent_name": "\0"}, 422),
        ([("agent_name", "x")] * 201, 422),
    ],
)
def test_what_cannot_be_meant(params, status):
    """
    Rubbish is an error that says what a good one looks like.
    """
    with pytest.raises(FilterError) as caught:
        StatsFilters.parse(params)

    assert caught.value.status == status
    str(caught.value).encode()
