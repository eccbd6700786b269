"""
The chain of processors: a broken one never stops an event, nor reaches the caller.
"""

from __future__ import annotations

import sys

import pytest
import structlog

from telemetry.runtime.emit import DROPPED
from telemetry.runtime.processors import guarded_processors


def after(processor, payload):
    """
    Return what one processor makes of a payload.
    """
    (guarded,) = guarded_processors([processor])
    return guarded("step", payload)


def drop(_, __, ___):
    """
    Drop the event, as structlog's processors do.
    """
    raise structlog.DropEvent


def leave(_, __, ___):
    """
    Exit, as a careless processor does.
    """
    sys.exit(1)


def test_structlogs_own_processors_fit():
    """
    The signature is structlog's.
    """
    assert after(structlog.processors.EventRenamer("message"), {"event": "x"}) == {"message": "x"}
    assert "timestamp" in after(structlog.processors.TimeStamper(), {"event": "x"})


def test_an_event_can_be_dropped():
    """
    Structlog's DropEvent derives from BaseException, and is understood.
    """
    assert after(drop, {"a": 1}) is DROPPED


@pytest.mark.parametrize("payload", [{"a": 1}, {}, None, [1], "text", 7])
def test_a_processor_that_does_nothing_changes_nothing(payload):
    """
    Also what is no mapping, and what is not there, comes out as it went in.
    """
    assert after(lambda _, __, event: event, payload) == payload


@pytest.mark.parametrize(("payload", "expected"), [(None, {"b": 2}), ([1], {"value": [1], "b": 2})])
def test_what_a_processor_adds_makes_a_mapping(payload, expected):
    """
    A payload that is no mapping travels as a value in one.
    """
    assert after(lambda _, __, event: {**event, "b": 2}, payload) == expected


@pytest.mark.parametrize(
    "processor", [leave, lambda *_: 1 / 0, lambda *_: None, lambda *_: "line", print]
)
def test_a_broken_processor_is_one_notice_and_the_event_goes_on(processor, said):
    """
    Not even an exit on the caller's thread reaches the caller.
    """
    payload = {"a": 1}

    assert [after(processor, payload) for _ in range(3)] == [payload] * 3
    assert len(said.about("failed, its event goes on")) == 1


def test_the_callers_payload_is_not_changed():
    """
    A processor works on a copy: the caller may go on using its dictionary.
    """
    payload = {"a": 1}

    after(lambda _, __, event: event.pop("a") and event, payload)

    assert payload == {"a": 1}


def test_ctrl_c_is_the_users():
    """
    An interrupt that arrives inside a processor is not its fault.
    """

    def interrupted(_, __, ___):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        after(interrupted, {})
