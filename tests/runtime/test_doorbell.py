from __future__ import annotations

import threading

from telemetry.runtime.doorbell import Doorbell
from telemetry.runtime.natives import SimpleQueue

TIMEOUT_S = 60.0


def waiting(bell, queue):
    """
    Return a thread that waits for a ring as if for ever.
    """
    waiter = threading.Thread(
        target=bell.wait, args=(queue, 3600.0), kwargs={"for_rings": True}, daemon=True
    )
    waiter.start()
    return waiter


def test_the_first_ring_starts_and_the_next_ones_do_nothing():
    """
    One ring starts what is to be started; until somebody has looked, others cost nothing.
    """
    starts = []
    bell = Doorbell(lambda: starts.append(1))

    for _ in range(3):
        bell.ring()
    assert starts == [1]


def test_a_look_counts_what_was_rung_since():
    """
    The number changes if and only if somebody rang.
    """
    bell = Doorbell(lambda: None)
    before = bell.look()

    assert bell.look() == before
    bell.ring()
    assert bell.look() != before


def test_a_ring_ends_a_wait():
    """
    Whoever waits for rings is woken by one, however it falls.
    """
    bell = Doorbell(lambda: None)
    queue = SimpleQueue()
    bell.attach(queue)
    bell.look()
    waiter = waiting(bell, queue)
    bell.ring()

    waiter.join(TIMEOUT_S)
    assert not waiter.is_alive()


def test_a_ring_before_the_wait_is_not_missed():
    """
    A bell that was rung and not looked at lets nobody sleep.
    """
    bell = Doorbell(lambda: None)
    queue = SimpleQueue()
    bell.attach(queue)
    bell.ring()
    waiter = waiting(bell, queue)

    waiter.join(TIMEOUT_S)
    assert not waiter.is_alive()


def test_a_muted_bell_starts_nothing():
    """
    After muting, rings are a no-op for ever.
    """
    starts = []
    bell = Doorbell(lambda: starts.append(1))
    bell.mute()
    bell.ring()

    assert starts == []


def test_quiet_is_the_time_since_the_last_look_at_a_ring():
    """
    A bell that has just been rung is not quiet.
    """
    bell = Doorbell(lambda: None)
    assert bell.quiet_s() > 1
    bell.ring()
    assert bell.quiet_s() < 1
