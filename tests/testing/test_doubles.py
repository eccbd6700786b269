"""
The sinks for tests: one that remembers, one that fails as it is told.
"""

from __future__ import annotations

import itertools
import threading

import pytest

from telemetry.model.errors import PermanentSinkError, TransientSinkError
from telemetry.sinks import Sink
from telemetry.testing import Fault, FaultySink, MemorySink, SinkConformance, sample_batches

BATCH = sample_batches()[0]


class TestMemorySink(SinkConformance):
    repeats_are_harmless = False

    def make_sink(self, base):
        return MemorySink()


def test_a_memory_sink_remembers():
    """
    Records, positions and the end are there to be looked at.
    """
    sink = MemorySink("mine")

    sink.write(*BATCH)
    sink.close()

    assert isinstance(sink, Sink)
    assert sink.ids == [record.id for record in BATCH[0]]
    assert sink.cursors_seen == [BATCH[1]]
    assert sink.is_closed


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (Fault.TRANSIENT, TransientSinkError),
        (Fault.PERMANENT, PermanentSinkError),
        (Fault.UNKNOWN, RuntimeError),
        (Fault.EXIT, SystemExit),
        (KeyError("own"), KeyError),
    ],
)
def test_a_fault_happens_once_and_then_it_takes(step, error):
    """
    A script is followed step by step; after its end every batch is taken.
    """
    sink = FaultySink([step, None])

    with pytest.raises(error):
        sink.write(*BATCH)
    assert sink.records == []
    sink.write(*BATCH)
    sink.write(*BATCH)

    assert len(sink.records) == 2 * len(BATCH[0])
    assert sink.attempt_count == 3


def test_a_script_may_have_no_end():
    """
    A sink that never gets better is an endless script.
    """
    sink = FaultySink(itertools.repeat(Fault.UNKNOWN))

    for _ in range(100):
        with pytest.raises(RuntimeError):
            sink.write(*BATCH)


def test_a_hanging_write_says_so_and_goes_on_when_it_is_released():
    """
    The test knows when the fault has happened, and when it is over.
    """
    sink = FaultySink([Fault.HANG])
    thread = threading.Thread(target=sink.write, args=BATCH)

    thread.start()
    assert sink.is_hanging.wait(60)
    assert sink.records == []
    sink.release()
    thread.join(60)

    assert not thread.is_alive()
    assert len(sink.records) == len(BATCH[0])
