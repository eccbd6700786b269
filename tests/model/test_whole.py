from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import SETTABLE, column_values, make_record, times

from telemetry.model.codec import decode_line, seal
from telemetry.model.fold import Fold
from telemetry.model.run import COLUMNS
from telemetry.model.whole import read_whole

NAMES = [*SETTABLE, "created_at", "schema_version"]
ENVELOPE = (
    b'{"lt":1,"record_type":"run","change":"recorded","id":"00000000000000aa-1",'
    b'"timestamp":"2026-11-22T00:42:17.000000Z","event_id":"e","run_id":"r","agent_name":"a"'
)


def folded(record):
    """
    Return row and state of a run as the fold has them.
    """
    state = Fold()
    state.apply(record)
    return list(state.row().values()), state.dump()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_run_of_one_record_is_what_its_fold_gives(data):
    """
    Row and state are those of the fold, whatever the record says and leaves out.
    """
    names = data.draw(st.lists(st.sampled_from(NAMES), unique=True))
    body = {name: data.draw(column_values(COLUMNS[name]) | st.none()) for name in names}
    record = make_record("recorded", {"agent_name": "agent", **body}, timestamp=data.draw(times))
    found = read_whole(record)

    if found is not None:
        assert (found.values, found.state) == folded(record)
        assert list(found.nulls) == [at for at, value in enumerate(found.values) if value is None]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"status": "running", "end_time": None, "error_summary": ""},
        {"status": "failed", "duration_ms": 0, "items_failed": 0, "product": ""},
        {"metrics_json": {"a": [1, 2.5]}, "context_json": {}, "api_posted": True},
        {"created_at": "2026-11-21T00:00:00.000000Z", "schema_version": 3},
    ],
)
def test_the_usual_run_is_told_whole(body):
    """
    A run as it is usually handed over takes no fold.
    """
    record = make_record("recorded", {"agent_name": "agent", "job_type": "job", **body})
    found = read_whole(record)

    assert found is not None
    assert (found.values, found.state) == folded(record)


def test_a_run_without_a_name_for_itself():
    """
    An empty run id is the key it is, and no field.
    """
    record = make_record("recorded", {"agent_name": "agent"}, run_id="")
    found = read_whole(record)

    assert found is not None
    assert (found.values, found.state) == folded(record)


@pytest.mark.parametrize(
    "line",
    [
        ENVELOPE + b',"colour":"red"',
        ENVELOPE + b',"pid":-1',
        ENVELOPE + b',"product":"a\\u0000b"',
        ENVELOPE + b',"start_time":"2026-11-22T01:00:00+01:00"',
        ENVELOPE + b',"updated_at":"2026-11-22T01:00:00.000000Z"',
        ENVELOPE.replace(b',"agent_name":"a"', b""),
        ENVELOPE.replace(b"recorded", b"started"),
        ENVELOPE.replace(b'"run"', b'"journey"'),
        ENVELOPE.replace(b"aa-1", b"aa-01"),
        ENVELOPE.replace(b"17.000000Z", b"17Z"),
    ],
)
def test_what_is_unusual_is_left_to_the_fold(line):
    """
    A line that says more, or says it otherwise, or is of another kind, is not taken.
    """
    assert read_whole(decode_line(seal(line))) is None
