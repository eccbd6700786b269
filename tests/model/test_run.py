from __future__ import annotations

from datetime import datetime, timezone

import attrs
import pytest

from telemetry.model.run import (
    COLUMNS,
    MAX_INTEGER,
    SCHEMA_VERSION,
    STATUS_ALIASES,
    Kind,
    Run,
    Status,
    parse_status,
)

KEYS = {"event_id": "e", "run_id": "r", "agent_name": "a", "job_type": "j"}


def test_columns_are_the_fields_in_order():
    """
    The derived view names each field of the run, once, in order.
    """
    assert list(COLUMNS) == [field.name for field in attrs.fields(Run)]
    assert all(name == column.name for name, column in COLUMNS.items())


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_each_column_is_described(column):
    """
    A column has a sentence about it, a known version, and a unit in its name if it has one.
    """
    assert column.doc.endswith(".")
    assert 1 <= column.since <= SCHEMA_VERSION
    assert not column.unit or column.name.endswith(f"_{column.unit}")
    assert bool(column.choices) == (column.kind in {Kind.STATUS, Kind.TRIGGER, Kind.COMMIT_SOURCE})


def test_the_required_columns_are_the_names():
    """
    A run is nothing without its two keys, its agent and its job.
    """
    assert {name for name, column in COLUMNS.items() if column.required} == set(KEYS)


def test_choices_are_plain_text():
    """
    A choice is its enum's value.
    """
    assert COLUMNS["status"].choices == tuple(status.value for status in Status)
    assert COLUMNS["product"].choices == ()


@pytest.mark.parametrize(
    ("text", "status"),
    [
        *((status.value, status) for status in Status),
        *STATUS_ALIASES.items(),
        (" FAILED\n", Status.FAILED),
        (Status.PARTIAL, Status.PARTIAL),
        ("done", None),
        ("", None),
        (None, None),
        (1, None),
    ],
)
def test_parse_status(text, status):
    """
    A status is read in any case, with its aliases; nothing else is one.
    """
    assert parse_status(text) is status


@pytest.mark.parametrize("count", [-1, MAX_INTEGER + 1])
def test_a_run_has_no_impossible_counts(count):
    """
    Counts are not negative and fit 64 bits.
    """
    with pytest.raises(ValueError, match="items_failed must be from 0 to"):
        Run(**KEYS, items_failed=count)


def test_a_run_has_no_naive_times():
    """
    Times carry their zone.
    """
    with pytest.raises(ValueError, match="start_time must carry a time zone"):
        Run(**KEYS, start_time=datetime.fromisoformat("2026-11-22"))


def test_a_run_is_what_was_given():
    """
    A run keeps its values, has defaults for all others, and does not change.
    """
    moment = datetime(2026, 11, 22, tzinfo=timezone.utc)
    run = Run(**KEYS, start_time=moment, duration_ms=0)

    assert (run.start_time, run.duration_ms, run.status) == (moment, 0, Status.RUNNING)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        run.status = Status.FAILED
