"""
What the library says in the user's process: little, once, and never at the user's expense.

Notices go to the logger "telemetry", which does not propagate: an application's logging never sees
them unless it asks. Saying something can fail in no way that is seen outside: a closed or broken
stderr, a handler that logs, a destructor in the middle of a notice.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from _thread import RLock
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Union

#: The same key is said at most this often.
INTERVAL_S = 60.0
#: Keys remembered; the oldest is forgotten first, and would be said again.
MAX_KEYS = 512

logger = logging.getLogger("telemetry")


class _Guard(threading.local):
    depth = 0
    is_speaking = False


class _State:
    """
    What has been said, and how often.
    """

    def __init__(self) -> None:
        self.after_fork()
        self.counts: dict[str, int] = {}
        self.said_at: dict[str, float] = {}
        self.held_back: dict[str, int] = {}

    def after_fork(self) -> None:
        """
        Replace the mutex: in a child its holder may not exist.
        """
        self.mutex = RLock()


_guard = _Guard()
_state = _State()


class _StderrHandler(logging.Handler):
    """
    Writes to whatever ``sys.stderr`` is now; a stream that cannot be written is no reason to fail.
    """

    def emit(self, record: logging.LogRecord) -> None:
        stream = sys.stderr
        if stream is None:
            return
        try:
            stream.write(f"telemetry: {record.getMessage()}\n")
            stream.flush()
        except Exception:  # noqa: BLE001 (a notice must never be felt)
            count("unwritten")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """
        Say nothing about what could not be said.
        """


def notice(key: str, message: str, *, level: int = logging.WARNING) -> None:
    """
    Say something, at most once a minute for each key; the rest is only counted.

    Never raises and never waits for another thread's notice for long. Inside a notice, and while
    the interpreter shuts down, it only counts.

    Args:
        key: What it is about, such as ``sink:http``; also the name of its count.
    """
    try:
        count(key)
        if not _may_say(key, level):
            return
        held_back = _state.held_back.pop(key, 0)
        tail = f" ({held_back} more of these before)" if held_back else ""
        _say(message + tail, level)
    except Exception:  # noqa: BLE001 (a notice must never be felt: not even a user's handler that raises)
        count("unwritten")


def count(key: str, number: int = 1) -> None:
    """
    Count something that is not worth a word.
    """
    with _state.mutex:
        _state.counts[key] = _state.counts.get(key, 0) + number


def counts() -> Mapping[str, int]:
    """
    Return how often each key came up in this process, said or not.
    """
    return dict(_state.counts)


@contextmanager
def suppressed() -> Iterator[None]:
    """
    Mark this thread as the library's own, so that its log records are not recorded as events.

    Stands around sinks, hooks and notices: what they log must not come back as records.
    """
    _guard.depth += 1
    try:
        yield
    finally:
        _guard.depth = max(0, _guard.depth - 1)  # a sink may have forked, and the child begins at 0


def is_suppressed() -> bool:
    """
    Return whether this thread is doing the library's own work.
    """
    return _guard.depth > 0


def set_level(level: Union[int, str]) -> None:
    """
    Set from which level on notices are said: a number of `logging`, or its name.

    Raises:
        ValueError: There is no level of that name.
    """
    logger.setLevel(level.upper() if isinstance(level, str) else level)


def forget() -> None:
    """
    Start anew: nothing said, nothing counted, as in a fresh process; for tests.
    """
    with _state.mutex:
        _state.counts.clear()
        _state.said_at.clear()
        _state.held_back.clear()


def after_fork() -> None:
    """
    Let a child speak for itself; called in it before anything else.
    """
    _state.after_fork()
    _guard.depth = 0
    _guard.is_speaking = False


def _may_say(key: str, level: int) -> bool:
    if sys.is_finalizing() or not logger.isEnabledFor(level):
        return False
    now = time.monotonic()
    with _state.mutex:
        said_at = _state.said_at.get(key)
        if _guard.is_speaking or (said_at is not None and now - said_at < INTERVAL_S):
            _state.held_back[key] = _state.held_back.get(key, 0) + 1
            return False
        _state.said_at.pop(key, None)
        _state.said_at[key] = now
        while len(_state.said_at) > MAX_KEYS:
            oldest = next(iter(_state.said_at))
            del _state.said_at[oldest]
            _state.held_back.pop(oldest, None)
    return True


def _say(message: str, level: int) -> None:
    _set_up()
    _guard.is_speaking = True
    try:
        with suppressed():
            logger.log(level, "%s", message)
    finally:
        _guard.is_speaking = False


def _set_up() -> None:
    """
    Give the logger its handler, unless the application gave it one.
    """
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(_StderrHandler())
