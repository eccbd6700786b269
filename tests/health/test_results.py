"""
Performing checks: each alone, none of them able to stop the others.
"""

from __future__ import annotations

import itertools

import pytest

from telemetry.config import TelemetryConfig
from telemetry.health import Check, Outcome, Result, Scene, perform, worst_of
from telemetry.health.results import MAX_RESULTS, graded


@pytest.fixture
def scene(tmp_path):
    """
    A base directory that does not exist.
    """
    return Scene(TelemetryConfig(base_dir=tmp_path / "base"))


def result(name="one", outcome=Outcome.OK):
    return Result(name=name, outcome=outcome, sentence="it was looked at")


def failing(error):
    def run(scene):
        yield result()
        raise error

    return run


@pytest.mark.parametrize("error", [OSError(5, "I/O"), ValueError(), ZeroDivisionError("x")])
def test_a_check_that_fails_is_a_finding_and_the_others_go_on(scene, error):
    """
    What it said before counts, too.
    """
    checks = [Check(name="bad", run=failing(error)), Check(name="good", run=lambda _: [result()])]

    first, broken, last = perform(checks, scene)
    assert (first.outcome, last.outcome) == (Outcome.OK, Outcome.OK)
    assert (broken.name, broken.outcome) == ("bad", Outcome.FINDING)
    assert broken.sentence.startswith("it could not be looked at: ")


@pytest.mark.parametrize("returned", [None, [None], ["text"], 3])
def test_what_is_no_result_is_a_finding(scene, returned):
    """
    A check of a plugin may return anything.
    """
    (found,) = perform([Check(name="bad", run=lambda _: returned)], scene)

    assert found.outcome is Outcome.FINDING


def test_a_check_without_an_end_is_cut(scene):
    """
    An endless generator does not hang the command.
    """
    endless = Check(name="endless", run=lambda _: itertools.repeat(result()))

    assert len(perform([endless], scene)) == MAX_RESULTS


def test_the_worst_decides():
    """
    Of nothing all is well.
    """
    assert worst_of([]) is Outcome.OK
    found = [result(outcome=Outcome.FINDING), result(outcome=Outcome.WARNING)]
    assert worst_of(found) is Outcome.FINDING


@pytest.mark.parametrize(
    ("value", "warn", "fail", "is_less_worse", "outcome"),
    [
        (0, 1, 2, False, Outcome.OK),
        (1, 1, 2, False, Outcome.WARNING),
        (2, 1, 2, False, Outcome.FINDING),
        (9, None, None, False, Outcome.OK),
        (9, None, 2, False, Outcome.FINDING),
        (5, 5, 1, True, Outcome.OK),
        (4, 5, 1, True, Outcome.WARNING),
        (0, 5, 1, True, Outcome.FINDING),
        (0, None, None, True, Outcome.OK),
    ],
)
def test_numbers_are_graded(value, warn, fail, is_less_worse, outcome):
    """
    A limit is reached from it on; of a thing that runs out, below it.
    """
    assert graded(value, warn, fail, is_less_worse=is_less_worse) is outcome
