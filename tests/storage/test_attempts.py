from __future__ import annotations

import os
import stat

import pytest

from telemetry.storage import attempts as module
from telemetry.storage.attempts import Attempt, Attempts

WHEN = "2026-11-22T12:00:00.000000Z"


@pytest.fixture
def attempts(tmp_path):
    return Attempts(tmp_path / "state", "posts")


def another(tmp_path):
    found = Attempts(tmp_path / "state", "posts")
    found.refresh()
    return found


def test_the_last_word_about_a_run_counts(attempts, tmp_path):
    """
    For the process that wrote it, and for the next.
    """
    attempts.put(Attempt("a", count=1))
    attempts.put(Attempt("b", count=1))
    attempts.put(Attempt("a", count=2, posted_at=WHEN, status="success", is_guess=True))

    for each in (attempts, another(tmp_path)):
        assert each.of("a") == Attempt("a", 2, WHEN, "success", True)
        assert each.of("b") == Attempt("b", 1)
        assert each.of("c") == Attempt("c")


def test_what_another_process_wrote_is_seen(attempts, tmp_path):
    """
    At the next refresh, whoever wrote last.
    """
    other = another(tmp_path)
    attempts.put(Attempt("a", count=1))
    other.refresh()
    other.put(Attempt("a", count=2))
    attempts.put(Attempt("b", count=1))
    attempts.refresh()
    other.refresh()

    assert attempts.all() == other.all() == {"a": Attempt("a", 2), "b": Attempt("b", 1)}


def test_a_torn_line_is_passed_over(attempts, tmp_path):
    """
    A process was killed in mid-write, or the disk was full.
    """
    attempts.put(Attempt("a", count=1))
    with attempts.path.open("ab") as file:
        file.write(b'{"event_id":"b","cou\n\n{"event_id":"c","count":3}\n{"event_id"')

    assert another(tmp_path).all() == {"a": Attempt("a", 1), "c": Attempt("c", 3)}


def test_a_file_that_is_gone_is_a_beginning(attempts):
    """
    Deleted by hand: nothing is known.
    """
    attempts.put(Attempt("a", count=1))
    attempts.path.unlink()
    attempts.refresh()

    assert attempts.all() == {}


def test_a_long_file_is_shortened(attempts, tmp_path, monkeypatch):
    """
    What is being worked on, the guesses and the newest stay; the rest goes.
    """
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    monkeypatch.setattr(module, "KEPT_RUNS", 3)
    attempts.put(Attempt("wanted", count=1))
    attempts.put(Attempt("guess", count=1, posted_at=WHEN, is_guess=True))
    attempts.shorten(["wanted"])
    assert len(attempts.all()) == 2
    for number in range(50):
        attempts.put(Attempt(f"run-{number}", count=1, posted_at=WHEN))
    attempts.shorten(["wanted"])

    kept = {"wanted", "guess", "run-47", "run-48", "run-49"}
    assert attempts.all().keys() == another(tmp_path).all().keys() == kept
    assert attempts.path.stat().st_size < 1000
    attempts.put(Attempt("more", count=1))
    attempts.refresh()
    assert "more" in another(tmp_path).all()


def test_the_file_is_private(attempts):
    """
    Its directory too.
    """
    attempts.put(Attempt("a"))

    if os.name != "nt":
        assert stat.S_IMODE(attempts.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(attempts.path.parent.stat().st_mode) == 0o700


def test_a_full_disk_is_an_error(attempts, monkeypatch):
    """
    What cannot be written down whole must not be sent.
    """
    attempts.put(Attempt("a", count=1))
    monkeypatch.setattr(module.os, "write", lambda fd, data: 1)

    with pytest.raises(OSError, match="free some space"):
        attempts.put(Attempt("a", count=2))
    assert attempts.of("a").count == 1


def test_a_file_that_was_replaced_is_read_again(attempts, tmp_path):
    """
    Another process has shortened it in between.
    """
    attempts.put(Attempt("a", count=1))
    replaced = attempts.path.with_name("new")
    replaced.write_bytes(b'{"event_id":"b","count":7}\n')
    replaced.replace(attempts.path)
    attempts.put(Attempt("c", count=1))
    attempts.refresh()

    assert attempts.all() == {"b": Attempt("b", 7), "c": Attempt("c", 1)}
