from __future__ import annotations

import math
import time
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath
from uuid import UUID

import pytest
from examples import share_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import column_values, runs, texts

from telemetry.model.run import COLUMNS, MAX_INTEGER, CommitSource, Status
from telemetry.model.values import (
    Accepted,
    accept,
    canonical_time,
    clean_text,
    cut,
    is_canonical_time,
    run_from_row,
    suggest,
    time_text,
    to_row,
    to_sql,
)

quick = settings(
    max_examples=share_of(200), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


class Hostile:
    """
    An object whose every method raises.
    """

    def __index__(self):
        raise KeyError("index")

    def __repr__(self):
        raise KeyError("repr")

    __str__ = __float__ = __fspath__ = __eq__ = __hash__ = __index__


class Whole:
    """
    An integer of another library.
    """

    def __index__(self):
        return 7


def accepted(name, value):
    """
    Accept a value that nothing is wrong with, and return what became of it.
    """
    found = accept(COLUMNS[name], value)

    assert found.problem == ""
    return found.value


def refused(name, value):
    """
    Hold that nothing of a value can be stored, and return the problem.
    """
    found = accept(COLUMNS[name], value)

    assert found.value is None
    assert found.problem.startswith(f"{name} must ")
    assert found.problem.endswith("; it was left out")
    return found.problem


@quick
@given(st.data())
def test_what_a_column_holds_is_accepted_as_it_is(data):
    """
    A value in a column's own form comes back unchanged, without a word.
    """
    column = COLUMNS[data.draw(st.sampled_from(sorted(COLUMNS)))]
    value = data.draw(column_values(column))

    assert accept(column, value) == Accepted(value)


@quick
@given(
    st.sampled_from(sorted(COLUMNS)),
    st.one_of(
        st.none(),
        st.text(),
        st.binary(),
        st.floats(),
        st.integers(),
        st.complex_numbers(),
        st.datetimes(),
        st.lists(st.floats()),
        st.builds(Hostile),
        st.builds(object),
    ),
)
def test_nothing_that_is_given_raises(name, value):
    """
    Any value for any field gives something a row can hold, or None and the problem.
    """
    found = accept(COLUMNS[name], value)
    stored = to_sql(COLUMNS[name], found.value)

    assert stored is None or isinstance(stored, (str, int))
    if isinstance(stored, str):
        stored.encode()
        assert len(stored) <= (COLUMNS[name].max_length or math.inf)


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_a_hostile_object_is_refused(name):
    """
    What raises in each of its methods is left out of every field.
    """
    problem = refused(name, Hostile())

    assert "(got a Hostile)" in problem


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_none_is_the_default(name):
    """
    None is nothing; only what every run has cannot be nothing.
    """
    column = COLUMNS[name]
    found = accept(column, None)

    assert found.value == (None if column.required or name == "status" else column.default)
    assert bool(found.problem) == (column.required or name == "status")


# Text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ""),
        ("caf\u00e9 \U0001f600", "caf\u00e9 \U0001f600"),
        ("a\0b", "a\ufffdb"),
        ("\u00e9\0", "\u00e9\ufffd"),
        ("a\ud800b", "a\ufffdb"),
        ("\ud83d\ude00", "\U0001f600"),
        (b"caf\xc3\xa9\xff", "caf\u00e9\ufffd"),
        (42, "42"),
        (1.5, "1.5"),
        (True, "True"),
        (PurePosixPath("a/b"), "a/b"),
        (Status.FAILED, "failed"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({"a": [1]}, '{"a":[1]}'),
        ([1, "x"], '[1,"x"]'),
    ],
)
def test_text_is_made_of_what_has_an_obvious_one(value, expected):
    """
    Paths, numbers, enums, bytes and JSON data are stored as their text; what UTF-8 cannot hold is replaced.
    """
    assert accepted("input_summary", value) == expected


def test_an_object_without_a_text_of_its_own_is_refused():
    """
    An address in memory is no text.
    """
    assert "must be text (got <object object at" in refused("product", object())


def test_a_long_text_loses_its_middle():
    """
    What is too long is cut to the column's length, with both its ends and the count of what is gone.
    """
    found = accept(COLUMNS["error_summary"], "<" + "x" * 998 + ">")

    assert len(found.value) == 500
    assert (found.value[0], found.value[-1]) == ("<", ">")
    assert "…[500 more]…" in found.value
    assert found.problem == (
        "error_summary must have at most 500 characters (got 1000); its middle was cut"
    )


@quick
@given(st.text(max_size=100), st.integers(0, 60))
def test_cutting_keeps_the_limit(text, limit):
    """
    A cut text is never longer than the limit, and a short one is as it was.
    """
    assert len(cut(text, limit)) <= limit
    assert cut(text, limit) == text or len(text) > limit


@quick
@given(st.text())
def test_clean_text_can_be_stored(text):
    """
    Cleaned text is UTF-8 without NUL, and cleaning it again changes nothing.
    """
    cleaned = clean_text(text)

    assert b"\0" not in cleaned.encode()
    assert clean_text(cleaned) == cleaned


@quick
@given(texts)
def test_good_text_is_left_alone(text):
    """
    Text that can be stored is stored as it is.
    """
    assert clean_text(text) == text


# Numbers


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (MAX_INTEGER, MAX_INTEGER),
        (10.0, 10),
        (" 12 ", 12),
        ("+3", 3),
        (Whole(), 7),
        (Decimal(5), 5),
        (Fraction(6, 2), 3),
    ],
)
def test_counts(value, expected):
    """
    A count is a whole number from 0 on, however it is written.
    """
    assert accepted("items_failed", value) == expected


@pytest.mark.parametrize(
    "value",
    [
        -1,
        MAX_INTEGER + 1,
        pytest.param(10**5000, id="five thousand digits"),
        True,
        "",
        "1.5",
        "ten",
        "9" * 5000,
        math.nan,
        math.inf,
        -math.inf,
        -0.5,
        None.__class__,
        [],
        1j,
        b"1",
    ],
)
def test_what_is_no_count(value):
    """
    Negative, huge, logical, infinite and other values are refused, and the message stays short.
    """
    assert len(refused("items_failed", value)) < 250


def test_a_part_of_an_item_is_rounded_down():
    """
    A fraction is stored as its whole part, and said to be.
    """
    found = accept(COLUMNS["duration_ms"], 12.9)

    assert found == Accepted(12, "duration_ms must be an integer (got 12.9); 12 was stored")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, True), (0, False), (1, True), ("Yes", True), (" off ", False), ("FALSE", False)],
)
def test_flags(value, expected):
    """
    A flag is true or false, in the usual words.
    """
    assert accepted("api_posted", value) is expected


@pytest.mark.parametrize("value", [2, "", "maybe", []])
def test_what_is_no_flag(value):
    """
    Nothing else is.
    """
    refused("api_posted", value)


# Times

CET = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-22T00:42:17.123456Z", "2026-11-22T00:42:17.123456Z"),
        ("2026-11-22T00:42:17Z", "2026-11-22T00:42:17.000000Z"),
        ("2026-11-22 00:42:17z", "2026-11-22T00:42:17.000000Z"),
        ("2026-11-22T00:42Z", "2026-11-22T00:42:00.000000Z"),
        ("20261122T004217Z", "2026-11-22T00:42:17.000000Z"),
        ("2026-11-22T00:42:17.1234567891Z"[:-2] + "Z", "2026-11-22T00:42:17.123456Z"),
        ("2026-11-22T00:42:17,5+01:00", "2026-11-21T23:42:17.500000Z"),
        (" 2026-11-22T00:42:17-0530 ", "2026-11-22T06:12:17.000000Z"),
        ("2026-11-22T00:42:17+01", "2026-11-21T23:42:17.000000Z"),
        ("2024-02-29T12:00:00Z", "2024-02-29T12:00:00.000000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        (datetime(2026, 11, 22, 1, 42, 17, tzinfo=CET), "2026-11-22T00:42:17.000000Z"),
        (datetime(1, 1, 1, tzinfo=timezone.utc), "0001-01-01T00:00:00.000000Z"),
        (datetime(9999, 12, 31, tzinfo=timezone.utc), "9999-12-31T00:00:00.000000Z"),
        (0, "1970-01-01T00:00:00.000000Z"),
        (1.5, "1970-01-01T00:00:01.500000Z"),
    ],
)
def test_times(value, expected):
    """
    A time is stored in UTC with microseconds and Z; numbers are seconds since the epoch.
    """
    assert accepted("start_time", value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "noon",
        "2026",
        "2026-02-30T00:00:00Z",
        "2026-11-22T25:00:00Z",
        "2026-11-22T00:42:60Z",
        "2026-11-22T00:42:17+99:00",
        "2026-W47-7T00:42:17.123456Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "0000-01-01T00:00:00Z",
        "\u0662026-11-22T00:42:17Z",
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-14))),
        math.nan,
        math.inf,
        10**40,
        [],
    ],
)
def test_what_is_no_time(value):
    """
    What is no time, or one that UTC does not have, is refused.
    """
    refused("start_time", value)


@pytest.fixture
def berlin(monkeypatch):
    """
    Let local time be one with summer time.
    """
    if not hasattr(time, "tzset"):
        pytest.skip("the platform's zone cannot be set")
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime.fromisoformat("2026-07-01T12:00"), "2026-07-01T10:00:00.000000Z"),
        (datetime.fromisoformat("2026-01-01T12:00"), "2026-01-01T11:00:00.000000Z"),
        ("2026-07-01T12:00:00", "2026-07-01T10:00:00.000000Z"),
        ("2026-07-01", "2026-06-30T22:00:00.000000Z"),
        (date(2026, 7, 1), "2026-06-30T22:00:00.000000Z"),
        (datetime.fromisoformat("2026-10-25T02:30").replace(fold=0), "2026-10-25T00:30:00.000000Z"),
        (datetime.fromisoformat("2026-10-25T02:30").replace(fold=1), "2026-10-25T01:30:00.000000Z"),
    ],
)
def test_a_time_without_a_zone_is_local(value, expected):
    """
    Naive times are local, and in the hour that comes twice, ``fold`` says which.
    """
    assert accepted("start_time", value) == expected


@quick
@given(st.datetimes(timezones=st.timezones() | st.just(timezone.utc)))
def test_every_time_sorts_as_its_text(moment):
    """
    Stored times are canonical, name the same instant, and sort as text.
    """
    try:
        text = time_text(moment)
    except OverflowError:
        return

    assert is_canonical_time(text)
    assert canonical_time(text) == text
    # In UTC: Python never calls times of two zones equal where one of them is ambiguous.
    assert datetime.fromisoformat(text.replace("Z", "+00:00")) == moment.astimezone(timezone.utc)
    assert text > "0001-01-01" or text.startswith("0001-01-01")


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22t00:42:17.123456Z",
        "2026-11-22T00:42:17.123456z",
        "2026-11-22T00:42:17,123456Z",
        "2026-13-22T00:42:17.123456Z",
        "2026-11-22T00:42:17.12345Z",
        "2026-11-22T00:42:17.123456+",
        "",
    ],
)
def test_only_one_form_is_canonical(text):
    """
    A time in any other form is not taken for the stored one.
    """
    assert not is_canonical_time(text)


# JSON


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": 1}, {"a": 1}),
        ([1], [1]),
        ('{"a": 1}', {"a": 1}),
        (" [1, 2] ", [1, 2]),
        ({}, {}),
    ],
)
def test_json_columns(value, expected):
    """
    A JSON column takes an object or an array, or the text of one.
    """
    assert accepted("metrics_json", value) == expected


@pytest.mark.parametrize("value", ["hello", '"text"', "5", 5, True, "a\0", "[" * 100_000, "\ud800"])
def test_json_that_is_no_object_is_kept_with_a_problem(value):
    """
    Any other plain value is stored as it is, and said to be no object.
    """
    found = accept(COLUMNS["metrics_json"], value)

    assert found.value is not None
    assert "must be a JSON object or array" in found.problem


def test_what_is_no_json_is_refused():
    """
    Data that JSON cannot hold is left out.
    """
    assert "must be JSON" in refused("metrics_json", {"a": object()})


# Choices


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("status", " Success ", "success"),
        ("status", "failure", "failed"),
        ("status", Status.TIMEOUT, "timeout"),
        ("status", "canceled", "cancelled"),
        ("trigger_type", "WEB", "web"),
        ("git_commit_source", CommitSource.LLM, "llm"),
    ],
)
def test_choices(name, value, expected):
    """
    A choice is one of its words, case and outer spaces ignored, aliases understood.
    """
    assert accepted(name, value) == expected


@pytest.mark.parametrize(
    ("name", "value"), [("status", "done"), ("trigger_type", ""), ("git_commit_source", 5)]
)
def test_unknown_choices(name, value):
    """
    An unknown word is refused with the known ones.
    """
    assert ", ".join(COLUMNS[name].choices) in refused(name, value)


# Names and rows


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("item_failed", "items_failed"),
        ("ITEMS_SUCEEDED", "items_succeeded"),
        ("gitbranch", "git_branch"),
        ("updated_on", ""),
        ("colour", ""),
        ("", ""),
        ("x" * 1_000_000, ""),
    ],
)
def test_suggest(name, near):
    """
    A name is answered with the field nearest to it, if one is near and a caller may set it.
    """
    assert suggest(name) == near


@quick
@given(runs)
def test_a_run_survives_its_row(run):
    """
    A run is the run of its row.
    """
    assert run_from_row(to_row(run)) == run


def test_a_row_holds_what_sqlite_does():
    """
    Flags are 0 and 1, enums and times text, JSON text.
    """
    moment = datetime(2026, 11, 22, tzinfo=timezone.utc)

    assert to_sql(COLUMNS["api_posted"], True) == 1
    assert type(to_sql(COLUMNS["api_posted"], True)) is int
    assert to_sql(COLUMNS["status"], Status.FAILED) == "failed"
    assert to_sql(COLUMNS["start_time"], moment) == "2026-11-22T00:00:00.000000Z"
    assert to_sql(COLUMNS["metrics_json"], {"a": "\u00e9"}) == '{"a":"\u00e9"}'
    assert to_sql(COLUMNS["metrics_json"], None) is None
