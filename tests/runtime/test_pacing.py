from __future__ import annotations

import time

from telemetry.runtime import pacing
from telemetry.runtime.doorbell import Doorbell
from telemetry.runtime.pacing import Pace


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
