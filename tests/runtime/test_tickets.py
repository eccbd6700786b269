"""
Tickets: looked at, or waited for, with no lock in between.
"""

from __future__ import annotations

import threading
import time

from telemetry.model.errors import PausedSinkError
from telemetry.runtime.tickets import glance_until, wait_for

LONG_S = 60.0


def test_what_holds_already_is_not_waited_for():
    """
    A deadline that has passed is no reason to say no.
    """
    assert glance_until(lambda: True, time.monotonic() - 1)


def test_what_comes_to_hold_ends_the_wait():
    """
    It is looked at again and again.
    """
    answers = iter([False, False, False, True])

    assert glance_until(lambda: next(answers), time.monotonic() + LONG_S)


def test_what_never_holds_takes_until_the_deadline():
    """
    Time ends the wait.
    """
    deadline = time.monotonic() + 0.02

    assert not glance_until(lambda: False, deadline)
    assert time.monotonic() >= deadline


def test_tickets_are_waited_for_together(station, collector):
    """
    All of them done is done.
    """
    followers = station.follow(collector("first"), collector("second"))
    station.log(3)
    tickets = [followers.ask(name) for name in ("first", "second")]

    assert wait_for(tickets, time.monotonic() + LONG_S)
    assert all(ticket.is_done for ticket in tickets)


def test_nobody_waits_for_what_is_in_vain(station, collector):
    """
    A sink that wants to be left alone does not cost its callers the time that they had.
    """

    def refuse(batch):
        raise PausedSinkError("no")

    followers = station.follow(collector("paused", refuse))
    station.log(1)
    ticket = followers.ask("paused")
    begun = time.monotonic()

    assert not wait_for([ticket], begun + LONG_S)
    assert time.monotonic() < begun + LONG_S
    assert ticket.is_refused
    assert not ticket.is_done


def test_a_ticket_tells_that_the_sink_takes_nothing_now(station, collector, eventually):
    """
    An outage is no refusal: it is tried again.
    """
    is_back = threading.Event()

    def fail(batch):
        if not is_back.is_set():
            raise ConnectionError

    followers = station.follow(collector("away", fail))
    station.log(1)
    ticket = followers.ask("away")

    eventually(lambda: ticket.is_failing)
    assert not ticket.is_refused
    is_back.set()
    assert wait_for([ticket], time.monotonic() + LONG_S)
    assert not ticket.is_failing
