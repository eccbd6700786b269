"""
What an exception says about the run that it ended.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import subprocess
import sys

import pytest

from telemetry.model.outcomes import MAX_FRAMES, MAX_TEXT_LENGTH, outcome_of, status_of
from telemetry.model.run import Status


class Unequal:
    def __eq__(self, other):
        raise ZeroDivisionError

    __hash__ = None


class SpeechlessError(Exception):
    def __str__(self):
        raise ZeroDivisionError


class TracelessError(Exception):
    @property
    def __traceback__(self):
        raise ZeroDivisionError


def raised(error):
    try:
        raise error
    except BaseException as caught:
        return caught


def test_no_exception_is_success():
    """
    A run that nothing interrupted has succeeded, and has no error.
    """
    outcome = outcome_of(None)

    assert (outcome.status, outcome.error_summary, outcome.error_details) == (
        Status.SUCCESS,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("x"), Status.FAILED),
        (MemoryError(), Status.FAILED),
        (OSError(28, "no space"), Status.FAILED),
        (TimeoutError(), Status.TIMEOUT),
        (asyncio.TimeoutError(), Status.TIMEOUT),
        (concurrent.futures.TimeoutError(), Status.TIMEOUT),
        (subprocess.TimeoutExpired("cmd", 1), Status.TIMEOUT),
        (type("ReadTimeout", (type("TimeoutException", (Exception,), {}),), {})(), Status.TIMEOUT),
        (KeyboardInterrupt(), Status.CANCELLED),
        (GeneratorExit(), Status.CANCELLED),
        (asyncio.CancelledError(), Status.CANCELLED),
        (concurrent.futures.CancelledError(), Status.CANCELLED),
        (type("Cancelled", (BaseException,), {})(), Status.CANCELLED),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else value.value,
)
def test_the_class_of_an_exception_names_the_status(error, status):
    """
    Timeouts and cancellations are told apart from failures, whatever library they come from.
    """
    assert status_of(error) is status


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (None, Status.SUCCESS),
        (0, Status.SUCCESS),
        (False, Status.SUCCESS),
        (1, Status.FAILED),
        (True, Status.FAILED),
        (0.0, Status.FAILED),
        ("", Status.FAILED),
        ("no input", Status.FAILED),
        (Unequal(), Status.FAILED),
    ],
)
def test_an_exit_is_read_as_python_reads_it(code, status):
    """
    The code with which the process would end decides; any object but None and 0 is a failure.
    """
    assert status_of(SystemExit(code)) is status


def test_a_successful_exit_has_no_error():
    """
    `sys.exit(0)` is an end like any other.
    """
    assert outcome_of(SystemExit(0)).error_summary is None


def test_an_error_says_its_type_its_text_and_where():
    """
    The summary is one line, the details are the traceback.
    """
    outcome = outcome_of(raised(ValueError("no such column")))

    assert outcome.error_summary == "ValueError: no such column"
    assert "in raised" in outcome.error_details
    assert outcome.error_details.endswith("ValueError: no such column\n")


def test_an_error_without_text_is_its_type():
    """
    Nothing stands behind the name where there is nothing to say.
    """
    assert outcome_of(ValueError()).error_summary == "ValueError"


def test_an_error_whose_text_raises_is_still_an_end():
    """
    The user's own `__str__` may raise; the run ends as failed all the same.
    """
    outcome = outcome_of(raised(SpeechlessError()))

    assert outcome.status is Status.FAILED
    assert outcome.error_summary == "SpeechlessError: [its text raised ZeroDivisionError]"


def test_an_error_whose_traceback_raises_is_still_an_end():
    """
    What cannot be formatted is named instead.
    """
    outcome = outcome_of(TracelessError("x"))

    assert outcome.error_details == "[its traceback raised ZeroDivisionError]"


def test_a_long_text_is_bounded():
    """
    An error of a megabyte costs no more than a long one.
    """
    outcome = outcome_of(raised(ValueError("x" * 1_000_000)))

    assert len(outcome.error_summary) <= MAX_TEXT_LENGTH + len("ValueError: ")
    assert len(outcome.error_details) <= MAX_TEXT_LENGTH


def deep(levels):
    """
    Recurse, then fail.
    """
    if levels == 0:
        raise ValueError("at the bottom")
    deep(levels - 1)


def deep_error():
    try:
        deep(300)
    except ValueError as error:
        return error
    return None


def test_of_a_deep_traceback_the_innermost_frames_are_kept():
    """
    They tell the most.
    """
    details = outcome_of(deep_error()).error_details

    assert details is not None
    assert "at the bottom" in details
    assert 0 < details.count('File "') <= MAX_FRAMES


def endless():
    return endless()


def test_endless_recursion_is_a_failure_like_any():
    """
    Formatting it needs no stack that is not there.
    """
    try:
        endless()
    except RecursionError as error:
        outcome = outcome_of(error)

    assert outcome.status is Status.FAILED
    assert outcome.error_summary is not None
    assert outcome.error_summary.startswith("RecursionError")


def test_causes_are_told_and_a_ring_of_them_ends():
    """
    As Python tells them itself.
    """
    try:
        try:
            raise KeyError("first")
        except KeyError as first:
            raise ValueError("second") from first
    except ValueError as error:
        second = error
    second.__cause__.__cause__ = second

    details = outcome_of(second).error_details

    assert details is not None
    assert "first" in details
    assert "direct cause" in details


def test_a_long_chain_of_causes_is_no_harm():
    """
    However long, an outcome comes of it.
    """
    error = ValueError("last")
    for number in range(2000):
        following = ValueError(str(number))
        following.__cause__ = error
        error = following

    assert outcome_of(error).status is Status.FAILED


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with Python 3.11")
def test_a_group_tells_its_members():
    """
    A task group's failure names each of them.
    """
    group = ExceptionGroup("both", [ValueError("one"), TimeoutError("two")])  # noqa: F821 (3.11)

    outcome = outcome_of(raised(group))

    assert outcome.status is Status.FAILED
    assert outcome.error_details is not None
    assert "ValueError: one" in outcome.error_details
    assert "TimeoutError: two" in outcome.error_details


def test_a_long_traceback_keeps_whole_lines():
    """
    What is cut off in front ends with a line, so that no half of a secret is left without its name.
    """
    lines = [f"password={'x' * 40}{number}" for number in range(2000)]

    details = outcome_of(raised(ValueError("\n".join(lines)))).error_details

    assert details is not None
    assert len(details) <= MAX_TEXT_LENGTH
    assert details.startswith("password=")
    assert details.rstrip("\n").endswith(lines[-1][-10:])


def test_one_long_word_keeps_the_beginning():
    """
    Where the end of a traceback is the middle of a word, its frames are kept.
    """
    details = outcome_of(raised(ValueError("x" * 30_000))).error_details

    assert details is not None
    assert details.startswith("Traceback")
    assert len(details) == MAX_TEXT_LENGTH
