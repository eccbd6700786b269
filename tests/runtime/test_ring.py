from __future__ import annotations

import os
import threading

import pytest

from telemetry.model.codec import encode_line
from telemetry.runtime.ring import EmergencyRing


def line(number, record_type="event", change="", size=0):
    return encode_line(
        record_type,
        id=f"{1:016x}-{number}",
        timestamp="2026-11-22T00:42:17.123456Z",
        change=change,
        body={"x": "y" * size},
    )


def event(number, size=0):
    return line(number, "event", size=size)


def update(number):
    return line(number, "run", "updated")


def end(number):
    return line(number, "run", "ended")


def test_lines_come_back_oldest_first():
    """
    Whatever their class, lines wait in the order in which they came.
    """
    ring = EmergencyRing()
    lines = [event(1), end(2), update(3), event(4)]
    for one in lines:
        ring.add(one, 7)

    assert [entry.line for entry in ring.waiting()] == lines
    assert [entry.line for entry in ring.waiting(after=2)] == lines[2:]
    assert ring.waiting()[0].second == 7


def test_events_are_shed_first_then_updates_then_starts_and_ends():
    """
    When there is no more room, what matters least goes first, and each loss is counted.
    """
    ring = EmergencyRing(max_records=2)
    for one in (end(1), update(2), event(3), end(4), end(5)):
        ring.add(one, 0)

    stats = ring.stats()
    assert [entry.line for entry in ring.waiting()] == [end(4), end(5)]
    assert (
        stats.refused_count,
        stats.dropped_event_count,
        stats.dropped_update_count,
        stats.dropped_lifecycle_count,
    ) == (5, 1, 1, 1)
    assert stats.dropped_count == 3


def test_bytes_are_bounded():
    """
    A few long lines are bounded like many short ones.
    """
    ring = EmergencyRing(max_bytes=2000)
    for number in range(5):
        ring.add(event(number, size=800), 0)

    stats = ring.stats()
    assert stats.byte_count == sum(len(entry.line) for entry in ring.waiting()) <= 2000
    assert stats.record_count + stats.dropped_count == 5


def test_a_removed_line_makes_room():
    """
    What the journal took is forgotten, once.
    """
    ring = EmergencyRing()
    ring.add(event(1), 0)
    (entry,) = ring.waiting()
    ring.remove(entry)
    ring.remove(entry)

    assert not ring
    assert ring.stats().byte_count == 0


def test_many_threads_lose_no_count():
    """
    Added from many threads at once, lines kept and lines dropped add up exactly.
    """
    ring = EmergencyRing(max_records=50)
    threads = [
        threading.Thread(target=lambda: [ring.add(event(n), 0) for n in range(200)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    stats = ring.stats()
    assert stats.refused_count == 1600
    assert stats.record_count + stats.dropped_count == 1600


def test_an_interrupted_caller_is_not_waited_for():
    """
    While somebody settles the ring, a signal handler above him only leaves its line in the inbox.
    """
    ring = EmergencyRing()
    with ring._turn:
        ring.add(event(1), 0)
        assert ring
    assert len(ring.waiting()) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_does_not_have_its_parents_lines():
    """
    After a fork the lines are the parent's alone.
    """
    ring = EmergencyRing()
    ring.add(event(1), 0)
    ring.after_fork()

    assert not ring
    assert ring.stats().refused_count == 0
