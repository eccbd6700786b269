from __future__ import annotations

import logging
import sys
import threading

import pytest

from telemetry.runtime import notices
from telemetry.runtime.notices import counts, is_suppressed, notice, suppressed


def test_a_key_is_said_once_a_minute_and_counted_always(said):
    """
    Repetitions within the minute are only counted; another key is said.
    """
    for number in range(5):
        notice("disk", f"disk full {number}")
    notice("lock", "locked")

    assert [message for _, message in said.messages] == ["disk full 0", "locked"]
    assert counts()["disk"] == 5


def test_what_was_held_back_is_told_with_the_next_one(said, monkeypatch):
    """
    When a key may be said again, it says how many were held back.
    """
    notice("disk", "disk full")
    notice("disk", "disk full")
    monkeypatch.setattr(notices, "INTERVAL_S", 0.0)
    notice("disk", "disk full")

    assert said.messages[-1] == ("WARNING", "disk full (1 more of these before)")


def test_a_level_below_the_set_one_is_not_said(said):
    """
    The level is that of the logger; the count goes on.
    """
    notices.set_level("warning")
    notice("quiet", "nothing much", level=logging.INFO)

    assert said.messages == []
    assert counts()["quiet"] == 1


class BrokenStream:
    def write(self, text):
        raise BrokenPipeError

    def flush(self):
        raise ValueError("closed")


@pytest.mark.parametrize("stream", [None, BrokenStream()])
def test_a_broken_stderr_is_not_felt(monkeypatch, stream):
    """
    Saying something never raises, wherever stderr went.
    """
    notices.forget()
    monkeypatch.setattr(notices.logger, "handlers", [])
    monkeypatch.setattr(sys, "stderr", stream)

    notice("broken", "nobody hears this")
    assert counts()["broken"] == 1
    notices.forget()


def test_stderr_is_written_as_it_is_now(capsys, monkeypatch):
    """
    Without handlers of the application's own, a notice is a line on the present stderr.
    """
    notices.forget()
    monkeypatch.setattr(notices.logger, "handlers", [])
    notice("plain", "100% said")

    assert capsys.readouterr().err == "telemetry: 100% said\n"
    notices.forget()


def test_a_handler_that_raises_is_not_felt(said):
    """
    An application's own handler may do what it likes.
    """

    class Bad(logging.Handler):
        def emit(self, record):
            raise RuntimeError

    bad = Bad()
    notices.logger.addHandler(bad)
    notice("bad", "handled badly")
    notices.logger.removeHandler(bad)

    assert counts()["unwritten"] == 1


def test_a_notice_inside_a_notice_is_only_counted(said):
    """
    A handler that makes the library speak does not make it speak for ever.
    """

    class Echo(logging.Handler):
        def emit(self, record):
            notice(f"echo {record.getMessage()}", "again")

    echo = Echo()
    notices.logger.addHandler(echo)
    notice("first", "once")
    notices.logger.removeHandler(echo)

    assert said.about("again") == []
    assert counts()["echo once"] == 1


def test_the_guard_is_the_threads_own():
    """
    Suppression covers the thread that asked for it, nested as often as it likes.
    """
    seen = []
    with suppressed(), suppressed():
        other = threading.Thread(target=lambda: seen.append(is_suppressed()))
        other.start()
        other.join()
        seen.append(is_suppressed())

    assert seen == [False, True]
    assert not is_suppressed()


def test_notices_do_not_reach_the_root_logger(said):
    """
    An application's logging does not carry the library's words unless it asks for them.
    """
    heard = []

    class Root(logging.Handler):
        def emit(self, record):
            heard.append(record)

    root = Root()
    logging.getLogger().addHandler(root)
    notice("private", "not for the root")
    logging.getLogger().removeHandler(root)

    assert heard == []


def test_the_keys_remembered_are_bounded(said):
    """
    A key that changes all the time does not fill the memory.
    """
    for number in range(notices.MAX_KEYS + 50):
        notice(f"key {number}", "x")

    assert len(notices._state.said_at) == notices.MAX_KEYS
