"""
What a journal keeps of another one's records.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from strategies import lines, make_record

from telemetry.model.adopting import adopted
from telemetry.model.bounds import Limits
from telemetry.model.codec import decode_line, relayed
from telemetry.model.payload import PayloadEncoder
from telemetry.model.scrub import Scrubber

LIMITS = Limits()
ENCODER = PayloadEncoder(LIMITS, Scrubber())
AS_IT_IS = PayloadEncoder(LIMITS, Scrubber(enabled=False))
SECRET = "ghp_" + "a1B2" * 9
ABOUT = {"agent_name": "seo", "job_type": "crawl", "items_discovered": 3}


@given(lines)
def test_it_is_the_same_record(line):
    """
    Whatever is taken out, whose record it is stays; taken over once more, nothing changes.
    """
    record = decode_line(line)

    kept = decode_line(adopted(record, ENCODER))

    assert (kept.id, kept.record_type, kept.change) == (
        record.id,
        record.record_type,
        record.change,
    )
    assert (kept.event_id, kept.run_id) == (record.event_id, record.run_id)
    assert adopted(kept, ENCODER) == kept.line


@pytest.mark.parametrize("change", ["started", "updated", "ended", "recorded", "edited"])
def test_what_is_sound_stays_as_it_was_written(change):
    """
    Only the start of a run says that its process is not looked for here.
    """
    deep = json.loads("[" * LIMITS.max_depth + "1" + "]" * LIMITS.max_depth)
    record = make_record(change, {**ABOUT, "metrics_json": deep, "trace_id": "0" * 32})

    kept = adopted(record, ENCODER)

    assert kept == (relayed(record.line) if change == "started" else record.line)


def test_a_sound_event_stays_as_it_was_written():
    """
    However its JSON is written.
    """
    for payload in (b'{"n":1}', b'{ "n" : 1.0 }', b"null"):
        record = make_record(change="", record_type="event", event_type="step", payload=payload)
        assert adopted(record, ENCODER) == record.line


@pytest.mark.parametrize(
    "said",
    [
        {"output_summary": f"used {SECRET}"},
        {"metrics_json": {"text": [f"Bearer {SECRET}"]}},
        {"unknown": f"see {SECRET}"},
        {"api_token": "hunter2hunter2"},
    ],
)
def test_secrets_of_a_run_are_taken_out(said):
    """
    Under any name, known or not; what else is said stays.
    """
    record = make_record("recorded", {**ABOUT, **said})

    kept = decode_line(adopted(record, ENCODER))

    assert SECRET.encode() not in kept.line
    assert b"hunter2" not in kept.line
    assert b"[scrubbed:" in kept.line
    assert ABOUT.items() <= kept.fields().items()


def test_secrets_of_an_event_are_taken_out():
    """
    Its type and its other values stay.
    """
    payload = AS_IT_IS.encode({"password": "hunter2hunter2", "n": 1})
    record = make_record(change="", record_type="event", event_type="step", payload=payload)

    kept = decode_line(adopted(record, ENCODER))

    assert (kept.event_type, kept.payload_value()) == (
        "step",
        {"password": "[scrubbed:key]", "n": 1},
    )
