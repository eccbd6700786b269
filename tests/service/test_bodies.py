"""
The quick way through a body and the careful one say the same.
"""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telemetry.model.bounds import Limits
from telemetry.model.payload import PayloadEncoder
from telemetry.model.run import Kind
from telemetry.model.scrub import Scrubber
from telemetry.model.values import cut
from telemetry.service.bodies import POSTED, REQUIRED, Settler, UnusualError, decode_run
from telemetry.service.checks import check_run

TEXTS = st.text(
    st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20
) | st.sampled_from(["password=hunter2hunter2", "https://u:secretpw@host/x", "a\0b", " "])
SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | TEXTS
VALUES = {
    Kind.TEXT: TEXTS,
    Kind.COUNT: st.integers(0, 2**63 - 1),
    Kind.FLAG: st.booleans(),
    Kind.TIME: st.sampled_from(
        ["2026-11-22T05:13:00Z", "2026-11-22T05:13:00.25+05:30", "2026-11-22T05:13:00.123456Z"]
    ),
    Kind.JSON: st.dictionaries(
        TEXTS | st.sampled_from(["api_key", "tokens"]), SCALARS | st.lists(SCALARS, max_size=3)
    ),
    Kind.STATUS: st.sampled_from(["running", "ok", "failure", "timeout"]),
    Kind.TRIGGER: st.sampled_from(["cli", "mcp"]),
    Kind.COMMIT_SOURCE: st.sampled_from(["ci", "llm"]),
}
KEYS = st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True)


@st.composite
def runs(draw):
    names = draw(st.sets(st.sampled_from(sorted(POSTED)), max_size=4)) | set(REQUIRED)
    run = {}
    for name in names:
        limit = POSTED[name].max_length
        value = draw(KEYS if name in ("event_id", "run_id") else VALUES[POSTED[name].kind])
        run[name] = value[:limit] if isinstance(value, str) and limit else value
    return run


def settler():
    scrubber = Scrubber()
    return Settler(PayloadEncoder(Limits(), scrubber), scrubber)


def careful(run):
    body, checked = check_run(run)
    if body is None:
        return [error.field for error in checked.errors]
    encoder = PayloadEncoder(Limits(), Scrubber())
    for name, column in POSTED.items():
        value = getattr(body, name)
        if value is not None and column.kind is Kind.JSON:
            setattr(body, name, encoder.clean(value))
        elif value is not None and column.kind is Kind.TEXT and name not in ("event_id", "run_id"):
            clean = str(encoder.clean(value)).replace("\0", "\ufffd")
            setattr(body, name, cut(clean, column.max_length))
    return msgspec.to_builtins(body)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(runs(), min_size=1, max_size=3))
def test_many_together_are_settled_as_each_alone(some):
    """
    What the quick way writes is what the careful way would, value by value.
    """
    shared = settler()
    try:
        bodies = [decode_run(json.dumps(run).encode()) for run in some]
        found = [json.loads(b"{" + said + b"}") for said in shared.runs(bodies)]
    except (msgspec.MsgspecError, UnusualError):
        return
    assert found == [careful(run) for run in some]


@pytest.mark.parametrize("count", [1, 3])
def test_what_was_found_clean_is_not_looked_at_again(count):
    """
    The texts of most runs are those of the last ones.
    """
    shared = settler()
    run = {name: "2026-11-22T05:13:00.5Z" if name == "start_time" else "x" for name in REQUIRED}
    for _ in range(count):
        shared.run(decode_run(json.dumps(run).encode()))

    assert shared._known == {None, "x"}
