from __future__ import annotations

import os
import re
import threading
import uuid

import pytest
from forking import in_child
from hypothesis import given
from hypothesis import strategies as st

from telemetry.model import ids
from telemetry.model.ids import (
    MAX_RUN_ID_LENGTH,
    Clock,
    name_in_run_id,
    new_ids,
    new_writer,
    run_id_problem,
)

NOW_US = 1_795_308_137_123_456


def new_event_id(now_us):
    """
    Return a run's key alone.
    """
    return new_ids(now_us, "", "")[0]


def test_a_writer_is_sixteen_hex_digits():
    """
    A writer's name has 64 random bits.
    """
    assert re.fullmatch("[0-9a-f]{16}", new_writer())
    assert len({new_writer() for _ in range(1000)}) == 1000


@given(st.integers(0, 2**48 * 1000 - 1))
def test_an_event_id_is_a_uuid_of_its_time(now_us):
    """
    A run's key is a UUID, version 7, that begins with the milliseconds of its time.
    """
    text = new_event_id(now_us)
    parsed = uuid.UUID(text)

    assert str(parsed) == text
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == now_us // 1000


def test_event_ids_are_unique():
    """
    Keys of one microsecond differ, also when many threads draw at once.
    """
    drawn: list[str] = []

    def draw():
        drawn.extend([new_event_id(NOW_US) for _ in range(2000)])

    threads = [threading.Thread(target=draw) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(drawn)) == len(drawn) == 16_000


def test_each_pool_draws_its_random_bits():
    """
    What follows the time is random, the two bits beside the variant among it.
    """
    drawn = set()
    for _ in range(200):
        ids.forget_drawn()
        drawn.add(new_event_id(NOW_US)[19:])

    assert len(drawn) == 200
    assert {tail[0] for tail in drawn} == set("89ab")


def test_a_run_id_is_readable():
    """
    A run's name is its second, its agent and eight hex digits.
    """
    _, _, run_id = new_ids(NOW_US, "20261122T004217", "my agent")

    assert re.fullmatch("20261122T004217Z-my agent-[0-9a-f]{8}", run_id)


def test_a_trace_is_its_first_run():
    """
    The trace that a run begins is its key without dashes; no two run ids end alike.
    """
    drawn = [new_ids(NOW_US, "", "") for _ in range(2500)]

    assert all(trace_id == event_id.replace("-", "") for event_id, trace_id, _ in drawn)
    assert len({run_id for _, _, run_id in drawn}) == len(drawn)


def test_a_child_process_draws_anew():
    """
    After a fork, parent and child draw different ids.
    """
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this platform")
    new_event_id(NOW_US)
    theirs = set(in_child(lambda: " ".join(new_event_id(NOW_US) for _ in range(50))).split())
    ours = {new_event_id(NOW_US) for _ in range(50)}

    assert len(theirs) == 50
    assert not ours & theirs


def test_forgetting_the_pools_changes_nothing_else():
    """
    Pools that were forgotten are filled again.
    """
    ids.forget_drawn()

    assert new_event_id(NOW_US) != new_event_id(NOW_US)


@pytest.mark.parametrize(
    "run_id", ["a", "x" * MAX_RUN_ID_LENGTH, "20261122T004217Z-a-1", "\u00e9 b"]
)
def test_good_run_ids(run_id):
    """
    A caller's own id may be nearly anything.
    """
    assert run_id_problem(run_id) == ""


@pytest.mark.parametrize(
    ("run_id", "problem"),
    [
        (None, "must be a string (got NoneType)"),
        (5, "must be a string (got int)"),
        ("", "must not be empty"),
        (" \t", "must not be empty"),
        ("x" * 256, "must have at most 255 characters (got 256)"),
        ("a/b", "must not contain a slash, a backslash or control characters"),
        ("a\\b", "must not contain a slash, a backslash or control characters"),
        ("a\0", "must not contain a slash, a backslash or control characters"),
        ("a\x7f", "must not contain a slash, a backslash or control characters"),
        ("a\n", "must not contain a slash, a backslash or control characters"),
    ],
)
def test_bad_run_ids(run_id, problem):
    """
    An id that is none says what is wrong with it.
    """
    assert run_id_problem(run_id) == problem


def test_the_clock_never_goes_back():
    """
    Whatever the system's clock does, each reading is above the one before.
    """
    readings = iter([5_000_000, 5_000_000, 1_000, 4_999_999, 9_000_000, -5])
    clock = Clock(lambda: next(readings))

    assert [clock.now_us() for _ in range(6)] == [5000, 5001, 5002, 5003, 9000, 9001]


def test_the_clock_follows_what_it_observes():
    """
    A time seen elsewhere is a lower bound, and an older one changes nothing.
    """
    clock = Clock(lambda: 1000)
    clock.observe(50)
    clock.observe(20)

    assert clock.now_us() == 51


@pytest.mark.parametrize(
    ("now_us", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (NOW_US, "2026-11-22T00:42:17.123456Z"),
        (NOW_US + 1, "2026-11-22T00:42:17.123457Z"),
        (NOW_US + 1_000_000, "2026-11-22T00:42:18.123456Z"),
    ],
)
def test_the_clock_tells_time_as_text(now_us, text):
    """
    A time is ISO 8601 in UTC with microseconds.
    """
    clock = Clock()
    clock.text(NOW_US)

    assert clock.text(now_us) == text


def test_the_clock_is_the_systems():
    """
    By itself a clock reads the system's.
    """
    assert Clock().now_us() > NOW_US // 2


def test_the_clock_tells_all_at_once():
    """
    A reading comes with its text, its second in short and its second, and rises like the others.
    """
    readings = iter([5_000_000, 4_000_000, 1_234_567_890, 999_999_999])
    clock = Clock(lambda: next(readings))

    assert [clock.read() for _ in range(4)] == [
        (5000, "1970-01-01T00:00:00.005000Z", "19700101T000000", 0),
        (5001, "1970-01-01T00:00:00.005001Z", "19700101T000000", 0),
        (1_234_567, "1970-01-01T00:00:01.234567Z", "19700101T000001", 1),
        (1_234_568, "1970-01-01T00:00:01.234568Z", "19700101T000001", 1),
    ]


def test_a_reading_tells_its_own_second():
    """
    A text asked for in between, of another second, changes nothing.
    """
    readings = iter([5_000_000, 6_000_000])
    clock = Clock(lambda: next(readings))
    clock.read()
    clock.text(NOW_US)

    assert clock.read() == (6000, "1970-01-01T00:00:00.006000Z", "19700101T000000", 0)


def test_a_run_id_that_utf_8_cannot_hold_is_refused():
    """
    A lone surrogate has no bytes; any other letter is welcome.
    """
    assert run_id_problem("a\ud800") == "must be text that UTF-8 can hold"
    assert run_id_problem("läuft") == ""


def test_an_agents_name_makes_a_good_run_id():
    """
    What a run id may not hold is replaced, what is too long is cut, all else stands as given.
    """
    assert name_in_run_id("a/b\\c\0") == "a_b_c_"
    assert name_in_run_id("my agent") == "my agent"
    assert run_id_problem(f"20261122T004217Z-{name_in_run_id('x' * 999)}-0a1b2c3d") == ""
