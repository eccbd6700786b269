"""
Requests: numbered, answered or refused up to a number, and ended by a deadline.
"""

from __future__ import annotations

import time

import pytest

from telemetry.runtime.requests import Requests


@pytest.fixture
def requests():
    return Requests()


def test_an_answer_is_for_all_who_asked_before(requests):
    """
    Who asked up to that number has an answer; who asked later waits on.
    """
    first, second = requests.ask(), requests.ask()
    requests.take()
    requests.answer(first)

    assert [requests.has_answered(number) for number in (first, second)] == [True, False]
    assert requests.is_open


def test_a_refusal_is_no_answer(requests):
    """
    Who asks in vain is told so, and is waited for by nobody.
    """
    number = requests.ask()
    requests.take()
    requests.refuse()

    assert requests.has_refused(number)
    assert not requests.has_answered(number)


@pytest.mark.parametrize("call", ["ask", "wake"])
def test_what_comes_ends_the_wait(requests, call):
    """
    A request and a token alike: the follower looks again at once.
    """
    getattr(requests, call)()
    begun = time.monotonic()
    requests.wait(60)

    assert time.monotonic() - begun < 30
    assert requests.is_open == (call == "ask")


def test_nobody_waits_beyond_the_deadline(requests):
    """
    However long there was to wait, the end comes in time.
    """
    requests.deadline = time.monotonic()
    requests.wait(60)

    assert requests.is_late


def test_a_stop_asks_for_all_that_is_left(requests):
    """
    Whoever follows next has what could not be delivered; taken back, it is as if nobody had come.
    """
    requests.stop(time.monotonic())
    requests.take()

    assert requests.is_stopping
    assert requests.is_open
    assert requests.is_late
    requests.give_up()
    assert requests.has_given_up
    assert not requests.is_open
    requests.go_on()
    assert not requests.is_stopping
    assert not requests.is_late
