from __future__ import annotations

import pytest

from telemetry.model.codec import decode_line
from telemetry.runtime.deadletters import (
    DeadLetters,
    count_dead_letters,
    describe,
    read_dead_letters,
)


@pytest.fixture
def record(station):
    return decode_line(station.line())


def test_a_letter_tells_the_reason_and_keeps_the_line(tmp_path, record):
    """
    Nothing of the record is lost: its line can be delivered again later.
    """
    dead = DeadLetters(tmp_path, "http")
    dead.add(record, ValueError("too blue"))

    (letter,) = read_dead_letters(dead.path)
    assert (letter.sink, letter.error, letter.reason, letter.id) == (
        "http",
        "ValueError",
        "too blue",
        record.id,
    )
    assert decode_line(letter.line.encode()) == record
    assert dead.path.stat().st_mode & 0o077 == 0


def test_a_torn_letter_is_passed_over(tmp_path, record):
    """
    A crash while writing costs the torn letter only.
    """
    dead = DeadLetters(tmp_path, "http")
    dead.add(record, ValueError("a"))
    with dead.path.open("ab") as file:
        file.write(b'{"timestamp":"20\n{}\n')
    dead.add(record, ValueError("b"))

    assert [letter.reason for letter in read_dead_letters(dead.path)] == ["a", "b"]


def test_each_sink_is_counted_that_ever_refused_a_record(tmp_path, record):
    """
    A file from which all was taken back counts as none; a sink that refused nothing has no file.
    """
    assert count_dead_letters(tmp_path) == {}

    for _ in range(3):
        DeadLetters(tmp_path, "http").add(record, ValueError("no"))
    (tmp_path / "dead" / "posts.ndjson").touch()
    assert count_dead_letters(tmp_path) == {"http": 3, "posts": 0}


def test_an_error_that_cannot_be_shown_is_named():
    """
    An error's own text may fail, or be empty.
    """

    class ShyError(Exception):
        def __str__(self):
            raise RuntimeError

    assert describe(ShyError()) == "ShyError"
    assert describe(ValueError()) == "ValueError"
    assert describe(ValueError("x")) == "x"
