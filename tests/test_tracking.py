"""
What a decorated function records beyond that it ran: its arguments and its result, where asked for.
"""

from __future__ import annotations

import asyncio

import pytest

from telemetry import tracked_run


def calls(captured_runs):
    """
    Return the payloads of the only run's events, by type.
    """
    return dict(captured_runs.events(captured_runs.only().run_id))


def test_nothing_of_a_call_is_recorded_unasked(captured_runs):
    """
    Arguments and results stay the agent's own.
    """

    @tracked_run("a", "b")
    def add(one, two):
        return one + two

    assert add(1, 2) == 3

    assert calls(captured_runs) == {}


def test_arguments_are_recorded_by_name(captured_runs):
    """
    Each argument has its parameter's name, however it was passed, and so a secret is known as one.
    """

    @tracked_run("a", "b", capture_arguments=True, capture_result=True)
    def login(user, password, *more, timeout_s=5, **options):
        return {"user": user, "token": "t0p"}

    login("ada", "hunter22", 1, 2, timeout_s=3, color="red")

    assert calls(captured_runs) == {
        "call": {
            "user": "ada",
            "password": "[scrubbed:key]",
            "more": [1, 2],
            "timeout_s": 3,
            "options": {"color": "red"},
        },
        "result": {"user": "ada", "token": "[scrubbed:key]"},
    }


def test_a_method_records_its_arguments_without_self(captured_runs):
    """
    The object is no argument that the caller gave.
    """

    class Importer:
        @tracked_run("a", "b", capture_arguments=True)
        def run(self, path):
            return path

    Importer().run("data.csv")

    assert calls(captured_runs) == {"call": {"path": "data.csv"}}


def test_coroutines_and_generators_record_theirs(captured_runs):
    """
    What only begins later has the arguments that it was called with.
    """

    @tracked_run("a", "coroutine", capture_arguments=True, capture_result=True)
    async def fetch(url):
        return len(url)

    @tracked_run("a", "generator", capture_arguments=True, capture_result=True)
    def numbers(count):
        yield from range(count)
        return "done"

    asyncio.run(fetch("abc"))
    assert list(numbers(2)) == [0, 1]

    found = {run.job_type: dict(captured_runs.events(run.run_id)) for run in captured_runs.runs()}
    assert found == {
        "coroutine": {"call": {"url": "abc"}, "result": 3},
        "generator": {"call": {"count": 2}, "result": "done"},
    }


def test_arguments_that_do_not_fit_are_recorded_as_they_came(captured_runs):
    """
    A call that fails on its arguments is a run that failed, with what it was given.
    """

    @tracked_run("a", "b", capture_arguments=True)
    def one(value):
        return value

    with pytest.raises(TypeError):
        one(1, 2)

    assert calls(captured_runs) == {"call": {"args": [1, 2], "kwargs": {}}}
