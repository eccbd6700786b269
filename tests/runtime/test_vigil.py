"""
For how long nothing new was heard of a run.
"""

from __future__ import annotations

from telemetry.runtime.vigil import Vigil


def test_silence_begins_with_the_first_look_and_with_each_word():
    """
    What was there before anybody looked is as new as what came since.
    """
    readings = iter([10.0, 15.0, 16.0, 18.0])
    vigil = Vigil(readings.__next__)

    silences = [vigil.silent_s("run", said) for said in ("a", "a", "b", "b")]

    assert silences == [0.0, 5.0, 0.0, 2.0]


def test_what_is_forgotten_begins_anew():
    """
    A run that has ended takes no room, and one that is open again is waited for again.
    """
    readings = iter([1.0, 2.0, 3.0, 4.0])
    vigil = Vigil(readings.__next__)
    vigil.silent_s("gone", "a")
    vigil.silent_s("open", "a")

    vigil.forget_all_but({"open"})

    assert vigil.silent_s("open", "a") == 1.0
    assert vigil.silent_s("gone", "a") == 0.0
