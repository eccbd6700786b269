from __future__ import annotations

import os
import subprocess
import sys

import pytest
from forking import in_child

from telemetry.runtime import notices
from telemetry.runtime.forks import on_fork_in_child

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
TIMEOUT_S = 60
#: The import takes longer than it takes to fork; the child gives up after a while.
FORKED = """
import importlib.abc, os, signal, sys, threading
from telemetry.model.scrub import Scrubber
from telemetry.runtime.forks import late_imports, on_fork_in_child

class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "telemetry.model.secret_anchors":
            begun.set()
            threading.Event().wait(0.5)

begun = threading.Event()
sys.meta_path.insert(0, Slow())
scrubber = Scrubber(held=late_imports)
on_fork_in_child(lambda: None)  # as each runtime does
first = threading.Thread(target=scrubber.scrub_text, args=["token=abcd"])
first.start()
begun.wait()
pid = os.fork()
if not pid:
    signal.alarm(20)
print(scrubber.scrub_text("token=abcd"), flush=True)
if not pid:
    os._exit(0)
first.join()
sys.exit(os.waitpid(pid, 0)[1])
"""


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


def test_a_fork_waits_for_an_import_that_is_under_way():
    """
    A child scrubs also where a thread of its parent was about to load the expressions.
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED],
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT_S,
    )

    assert done.stdout.count("token=[scrubbed:key]") == 2
