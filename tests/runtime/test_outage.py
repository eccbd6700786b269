"""
Outages: told once, with pauses that grow, or that the sink chooses.
"""

from __future__ import annotations

import sys

import pytest

from telemetry.runtime import outage as outages
from telemetry.runtime.boundary import Boundary
from telemetry.runtime.outage import Outage


@pytest.fixture
def outage(collector):
    return Outage(Boundary(collector()))


def test_an_outage_begins_once_and_ends_once(outage, said):
    """
    Only the first failure begins it, only the first success ends it, and both are told.
    """
    for _ in range(2):
        outage.fail("down")

    assert outage.is_on
    assert outage.reason == "down"
    assert [outage.end(), outage.end()] == [True, False]
    assert outage.remaining_s() == 0
    assert [len(said.about(part)) for part in ("takes nothing", "takes records again")] == [1, 1]


def test_pauses_grow_to_a_limit(outage):
    """
    Each wait lies below a bound that doubles, and never above the largest.
    """
    waits = []
    for _ in range(30):
        outage.fail("down")
        waits.append(outage.remaining_s())

    bounds = [min(outages.FIRST_RETRY_S * 2**n, outages.MAX_RETRY_S) for n in range(30)]
    assert all(wait <= bound + 0.01 for wait, bound in zip(waits, bounds))
    assert max(waits) > 5


def test_a_sink_may_choose_its_pause(outage):
    """
    What the sink asks for replaces the backoff.
    """
    outage.fail("busy", 100.0)

    assert 50 < outage.remaining_s() <= 100


def test_a_sink_that_wants_to_be_left_alone_is_asked_now_and_then(outage, said):
    """
    It is told once why, and the next try is a minute away.
    """
    for _ in range(2):
        outage.pause("too new")

    assert outages.PROBE_S / 2 < outage.remaining_s() <= outages.PROBE_S
    assert len(said.about("too new")) == 1


def test_a_process_without_room_for_a_module_waits_its_longest(outage, monkeypatch):
    """
    A failing sink in a process out of file descriptors costs no thread: the pause needs no import.
    """
    monkeypatch.setitem(sys.modules, "backoff", None)
    waits = []
    for _ in range(30):
        outage.fail("no room")
        waits.append(outage.remaining_s())

    assert outage.is_on
    # Each is a random part of the longest.
    assert 5 < max(waits) <= outages.MAX_RETRY_S
