"""
Hypothesis strategies for runs and records, derived from the run's own columns.
"""

from __future__ import annotations

import random
from datetime import timezone
from functools import cache

import msgspec
from hypothesis import strategies as st

from telemetry.model.codec import decode_line, encode_line
from telemetry.model.run import COLUMNS, MAX_INTEGER, Group, Kind
from telemetry.model.values import run_from_row, time_text

EVENT_ID = "0193a5f0-0000-7000-8000-000000000001"
RUN_ID = "20261122T004217Z-agent-00000001"
#: Columns that a record may set.
SETTABLE = tuple(
    name
    for name, column in COLUMNS.items()
    if column.group is not Group.BOOKKEEPING and name not in {"event_id", "run_id"}
)
CHANGES = ("started", "updated", "ended", "recorded", "edited", "inferred", "posted")

#: Text that JSON, UTF-8 and SQLite can hold.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
times = st.datetimes(timezones=st.just(timezone.utc)).map(time_text)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(texts | st.just("lt"), inner, max_size=4)
    ),
    max_leaves=8,
)
json_objects = st.dictionaries(texts | st.just("lt"), json_values, max_size=4)


def column_values(column):
    """
    Return a strategy of the values that a column holds, in their JSON form.
    """
    if column.choices:
        return st.sampled_from(column.choices)
    return {
        Kind.COUNT: st.integers(0, MAX_INTEGER),
        Kind.FLAG: st.booleans(),
        Kind.TIME: times,
        Kind.JSON: json_objects,
    }.get(column.kind, texts)


def _run_value(column):
    values = column_values(column)
    is_nullable = not column.required and column.default is None
    return st.none() | values if is_nullable else values


def run_of(plain):
    """
    Return the run that plain data tell of.
    """
    return run_from_row(
        {
            name: msgspec.json.encode(value).decode()
            if COLUMNS[name].kind is Kind.JSON and value is not None
            else value
            for name, value in plain.items()
        }
    )


#: Runs as plain data, with each column.
plain_runs = st.fixed_dictionaries({name: _run_value(COLUMNS[name]) for name in COLUMNS})
runs = plain_runs.map(run_of)

ids = st.builds("{:016x}-{}".format, st.integers(0, 2**64 - 1), st.integers(1, 2**63 - 1))
event_payloads = json_values.map(msgspec.json.encode)


@st.composite
def events(draw):
    """
    Draw an event's line, its payload encoded as any JSON encoder might.
    """
    return encode_line(
        "event",
        id=draw(ids),
        timestamp=draw(times),
        event_id=draw(texts),
        run_id=draw(texts),
        event_type=draw(texts),
        payload=draw(event_payloads).replace(b'{"lt":', b'{ "lt":'),
    )


@st.composite
def run_changes(draw):
    """
    Draw the line of a change of a run.
    """
    names = draw(st.lists(st.sampled_from(SETTABLE), unique=True, max_size=6))
    return encode_line(
        "run",
        change=draw(st.sampled_from(CHANGES)),
        id=draw(ids),
        timestamp=draw(times),
        event_id=draw(texts),
        run_id=draw(texts),
        body={name: draw(column_values(COLUMNS[name])) for name in names},
    )


lines = events() | run_changes()


def make_record(change="updated", body=None, **envelope):
    """
    Return a decoded record of the one run that tests of the fold tell of.
    """
    envelope = {
        "record_type": "run",
        "id": "00000000000000aa-1",
        "timestamp": "2026-11-22T00:42:17.000000Z",
        "event_id": EVENT_ID,
        "run_id": RUN_ID,
        "change": change,
        **envelope,
    }
    return decode_line(encode_line(body=body, **envelope))


#: Values of each kind, few, so that records often agree or nearly do; the last ones fit no column.
_FEW_VALUES = {
    Kind.TEXT: ("", "a", "b", None, 7),
    Kind.COUNT: (0, 1, 5, None, -1),
    Kind.FLAG: (True, False, True, None, "perhaps"),
    Kind.TIME: (
        "2026-11-22T00:42:18.000000Z",
        "2026-11-22T01:42:18+01:00",
        "2026-11-22T00:42:19.000000Z",
        None,
        "noon",
    ),
    Kind.JSON: ({}, {"a": [1]}, ["\0"], None, 5),
    Kind.STATUS: ("running", "success", "failed", None, "skipped"),
    Kind.TRIGGER: ("cli", "web", "mcp", None, "bell"),
    Kind.COMMIT_SOURCE: ("llm", "ci", "manual", None, 3),
}
_FEW_NAMES = (
    "status",
    "end_time",
    "duration_ms",
    "error_summary",
    "items_failed",
    "agent_name",
    "git_commit_hash",
    "git_commit_author",
    "metrics_json",
    "created_at",
    "from_the_future",
)
_FEW_TIMES = ("2026-11-22T00:42:17.000000Z", "2026-11-22T00:42:18.000000Z", "when it rains")


def _few_record(rng, change, size):
    body = {
        name: rng.choice(_FEW_VALUES[COLUMNS[name].kind if name in COLUMNS else Kind.TEXT])
        for name in rng.sample(_FEW_NAMES, size)
    }
    number = rng.randint(1, 6)
    if change == "edited":
        body["base_status"] = rng.choice((None, "running", "success"))
        body["force"] = rng.random() < 0.2
    is_commit = change == "commit"
    return make_record(
        "" if is_commit else change,
        body,
        record_type="commit" if is_commit else "run",
        id=f"{number % 2:016x}-{number}",
        timestamp=rng.choice(_FEW_TIMES),
    )


@cache
def _pool(changes):
    """
    Return some thousand records, simple ones first: one draw takes one, which is quick.
    """
    rng = random.Random(5)
    sizes = (0, 1, 1, 1, 2, 2, 3, 4, 6) * 40
    return [_few_record(rng, change, size) for size in sizes for change in changes]


def _histories(*changes):
    # By number: Hypothesis describes what it samples from, and warns of a long description.
    return st.deferred(
        lambda: st.lists(
            st.integers(0, len(_pool(changes)) - 1).map(_pool(changes).__getitem__), max_size=8
        )
    )


#: Records of one run, of few times, writers and values, so that ties and conflicts are many.
histories = _histories(*CHANGES, "commit", "of_tomorrow")
histories_with_deletion = _histories(*CHANGES, "commit", "deleted")
