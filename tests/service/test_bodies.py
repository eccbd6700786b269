"""
The quick way through a body and the careful one say the same.
"""

from __future__ import annotations

import json

import msgspec
import pytest
from examples import share_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from posted_runs import posted_runs

from telemetry.model.bounds import Limits
from telemetry.model.codec import MARKER
from telemetry.model.payload import PayloadEncoder
from telemetry.model.run import Kind
from telemetry.model.scrub import Scrubber
from telemetry.model.values import cut
from telemetry.service.bodies import POSTED, REQUIRED, Settler, UnusualError, decode_run
from telemetry.service.checks import check_run


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


@settings(max_examples=share_of(50), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(posted_runs(), min_size=1, max_size=3))
def test_many_together_are_settled_as_each_alone(some):
    """
    What the quick way writes is what the careful way would, value by value.
    """
    shared = settler()
    try:
        bodies = [decode_run(json.dumps(run).encode()) for run in some]
        saids = shared.runs(bodies)
    except (msgspec.MsgspecError, UnusualError):
        return
    assert [json.loads(b"{" + said + b"}") for said in saids] == [careful(run) for run in some]
    assert MARKER not in b"".join(saids)


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
