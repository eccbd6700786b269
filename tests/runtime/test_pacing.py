from __future__ import annotations

import sys
import time

from telemetry.runtime import pacing
from telemetry.runtime.doorbell import Doorbell
from telemetry.runtime.pacing import Outage, Pace


def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_while_the_process_records_slices_are_short_and_pauses_long():
    """
    A slice that cost too much is followed by a pause in proportion, and by a smaller slice.
    """
    bell = Doorbell(lambda: None)
    pace = Pace(bell, 40.0)
    bell.ring()
    first = pace.read_bytes(is_urgent=False)
    burn(pacing.SLICE_S * 4)
    pace.finish()
    bell.ring()

    assert pace.pause_s >= pacing.SLICE_S * 40
    assert pace.read_bytes(is_urgent=False) < first


def test_in_a_quiet_process_batches_grow_without_pauses():
    """
    When nobody records, nobody is in the way.
    """
    pace = Pace(Doorbell(lambda: None), 40.0)
    sizes = []
    for _ in range(8):
        sizes.append(pace.read_bytes(is_urgent=False))
        pace.finish()

    assert pace.pause_s == 0
    assert sizes[0] == pacing.QUIET_READ_BYTES
    assert sizes[-1] == pacing.MAX_READ_BYTES


def test_who_is_waited_for_does_not_pause():
    """
    A flush goes at full speed, whatever else the process does.
    """
    bell = Doorbell(lambda: None)
    pace = Pace(bell, 40.0)
    bell.ring()

    assert pace.read_bytes(is_urgent=True) == pacing.MAX_READ_BYTES
    pace.finish()
    assert pace.pause_s == 0


def test_an_outage_begins_once_and_ends_once():
    """
    Only the first failure begins it, only the first success ends it.
    """
    outage = Outage()

    assert [outage.fail("down"), outage.fail("down")] == [True, False]
    assert outage.is_on
    assert outage.reason == "down"
    assert [outage.end(), outage.end()] == [True, False]
    assert outage.remaining_s() == 0


def test_pauses_grow_to_a_limit():
    """
    Each wait lies below a bound that doubles, and never above the largest.
    """
    outage = Outage()
    waits = []
    for _ in range(30):
        outage.fail("down")
        waits.append(outage.remaining_s())

    bounds = [min(pacing.FIRST_RETRY_S * 2**n, pacing.MAX_RETRY_S) for n in range(30)]
    assert all(wait <= bound + 0.01 for wait, bound in zip(waits, bounds))
    assert max(waits) > 5


def test_a_sink_may_choose_its_pause():
    """
    What the sink asks for replaces the backoff.
    """
    outage = Outage()
    outage.fail("busy", 100.0)

    assert 99 < outage.remaining_s() <= 100


def test_a_process_without_room_for_a_module_waits_its_longest(monkeypatch):
    """
    A failing sink in a process out of file descriptors costs no thread: the pause needs no import.
    """
    monkeypatch.setitem(sys.modules, "backoff", None)
    outage = Outage()

    assert outage.fail("no room")
    assert outage.is_on
    assert 0 <= outage.remaining_s() <= pacing.MAX_RETRY_S
