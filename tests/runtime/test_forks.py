from __future__ import annotations

import os

import pytest
from forking import in_child

from telemetry.runtime import notices
from telemetry.runtime.forks import on_fork_in_child

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


class Owner:
    def __init__(self, name, calls):
        self.name = name
        self.calls = calls

    def after_fork(self):
        self.calls.append(self.name)

    def fail(self):
        raise ValueError(self.name)


def test_methods_are_called_in_the_order_of_registration():
    """
    A child calls each registered method once, first come first served; the parent calls none.
    """
    calls = []
    owners = [Owner(name, calls) for name in "abc"]
    for owner in owners:
        on_fork_in_child(owner.after_fork)

    assert in_child(lambda: calls) == "['a', 'b', 'c']"
    assert calls == []


def test_an_object_that_is_gone_is_not_called():
    """
    Registration keeps nobody alive.
    """
    calls = []
    owner = Owner("gone", calls)
    on_fork_in_child(owner.after_fork)
    del owner

    assert in_child(lambda: calls) == "[]"


def test_one_that_fails_does_not_stop_the_others():
    """
    What a method raises is counted, and the next one is called.
    """
    calls = []
    bad, good = Owner("bad", calls), Owner("good", calls)
    on_fork_in_child(bad.fail)
    on_fork_in_child(good.after_fork)

    answer = in_child(lambda: (calls, notices.counts().get("fork", 0) >= 1))
    assert answer == "(['good'], True)"
