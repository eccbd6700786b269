"""
Identities and the clock.

A run's key is a UUIDv7 (RFC 9562, section 5.7): it begins with the time, so an index on it grows at
its end.
A record's id is its writer, drawn at random per process, and a number that counts up.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Longest run id that a caller may bring along, in characters.
MAX_RUN_ID_LENGTH = 255
#: Longest name of an agent in a run id: with the stamp and the digits it stays a good one.
MAX_NAME_LENGTH = 200
_FORBIDDEN_IN_RUN_ID = re.compile(r"[/\\\x00-\x1f\x7f]")
_POOL_BYTES = 4096
#: "000" to "999": to look three digits up costs a fifth of formatting them.
THREE_DIGITS = tuple(map("%03d".__mod__, range(1000)))
MICROS = 1_000_000
#: Above every count of milliseconds that a UUIDv7 can hold, so that `hex` writes all its digits.
_ABOVE_MILLIS = 1 << 48


class _Pool:
    """
    Texts that are made ready many at a time, so that drawing one costs next to nothing.

    Any thread or signal handler may draw: a text is taken by advancing one iterator, which is
    atomic. ``next(pool.texts, None) or pool.refill()`` draws one that was never drawn before.
    """

    __slots__ = ("_fill", "texts")

    def __init__(self, fill: Callable[[], Iterator[str]]) -> None:
        self._fill = fill
        self.texts: Iterator[str] = iter(())

    def refill(self) -> str:
        """
        Make texts ready, and return the first.
        """
        texts = self._fill()
        first = next(texts)
        self.texts = texts
        return first

    def after_fork(self) -> None:
        """
        Forget what the parent process will draw too.
        """
        self.texts = iter(())


def _uuid_tails() -> Iterator[str]:
    """
    Return what follows the time in UUIDv7s: 62 random bits for all of it, and a count at the end.
    """
    digits = os.urandom(8).hex()
    variant = "89ab"[int(digits[0], 16) & 3]
    beginning = f"-7{digits[1:4]}-{variant}{digits[4:7]}-{digits[7:]}"
    return map(beginning.__add__, THREE_DIGITS)


def _run_id_tails() -> Iterator[str]:
    digits = os.urandom(_POOL_BYTES).hex()
    return iter([digits[i : i + 8] for i in range(0, len(digits), 8)])


_uuid_pool = _Pool(_uuid_tails)
_run_id_pool = _Pool(_run_id_tails)


def forget_pools() -> None:
    """
    Draw anew in a child process; called after a fork.
    """
    _uuid_pool.after_fork()
    _run_id_pool.after_fork()


os.register_at_fork(after_in_child=forget_pools) if hasattr(os, "register_at_fork") else None


def new_writer() -> str:
    """
    Return the identity of a process as a writer: 16 hex digits, random.
    """
    return os.urandom(8).hex()


def new_event_id(now_us: int) -> str:
    """
    Return a run's key: a UUIDv7 of that time.

    Args:
        now_us: Microseconds since the epoch.
    """
    # "0x1", then twelve digits.
    digits = hex(now_us // 1000 + _ABOVE_MILLIS)
    tail = next(_uuid_pool.texts, None) or _uuid_pool.refill()
    return f"{digits[3:11]}-{digits[11:]}{tail}"


def new_run_id(agent_name: str, stamp: str) -> str:
    """
    Return a run id as the original's readers know it: stamp, agent, 8 hex digits.

    Args:
        stamp: The second, "20261122T004217".
    """
    tail = next(_run_id_pool.texts, None) or _run_id_pool.refill()
    return f"{stamp}Z-{agent_name}-{tail}"


def name_in_run_id(agent_name: str) -> str:
    """
    Return an agent's name as a run id may hold it: as given, unless `run_id_problem` would object.
    """
    return _FORBIDDEN_IN_RUN_ID.sub("_", agent_name[:MAX_NAME_LENGTH])


def run_id_problem(run_id: object) -> str:
    """
    Return what is wrong with a caller's own run id; empty text where nothing is.
    """
    if not isinstance(run_id, str):
        return f"must be a string (got {type(run_id).__name__})"
    if not run_id.strip():
        return "must not be empty"
    if len(run_id) > MAX_RUN_ID_LENGTH:
        return f"must have at most {MAX_RUN_ID_LENGTH} characters (got {len(run_id)})"
    if not run_id.isascii() and run_id != run_id.encode("utf-8", "replace").decode():
        return "must be text that UTF-8 can hold"
    if _FORBIDDEN_IN_RUN_ID.search(run_id):
        return "must not contain a slash, a backslash or control characters"
    return ""


#: A second since the epoch: its first microsecond; its text, "2026-11-22T00:42:17"; its stamp,
#: "20261122T004217"; and its number. A bare tuple is taken apart in a tenth of the time.
Second = tuple[int, str, str, int]


class Clock:
    """
    Wall-clock time that never goes back within a process, with its text made cheaply.

    Two threads that read at once may get neighbouring times in either order; one thread's readings
    never fall.
    """

    __slots__ = ("_known", "last_us", "time_ns")

    def __init__(self, time_ns: Callable[[], int] = time.time_ns) -> None:
        self.time_ns = time_ns
        #: The last reading; who reads the time himself keeps this rising as `now_us` does.
        self.last_us = 0
        self._known: Second = (-MICROS, "", "", -1)

    def now_us(self) -> int:
        """
        Return microseconds since the epoch, each reading above the one before.
        """
        now = self.time_ns() // 1000
        if now <= self.last_us:
            now = self.last_us + 1
        self.last_us = now
        return now

    def observe(self, other_us: int) -> None:
        """
        Let no later reading fall below a time that was seen elsewhere.
        """
        self.last_us = max(self.last_us, other_us)

    def second_of(self, now_us: int) -> Second:
        """
        Return the second that a time falls into; made once for all readings of that second.
        """
        second = now_us // MICROS
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        stamp = text.replace("-", "").replace(":", "")
        self._known = known = (second * MICROS, text, stamp, second)
        return known

    def read(self) -> tuple[int, str, str, int]:
        """
        Return the time as `now_us` and as `text` give it, its second's stamp, and the second.
        """
        time_ns = self.time_ns
        now = time_ns() // 1000
        if now <= self.last_us:
            now = self.last_us + 1
        self.last_us = now
        first, text, stamp, second = self._known
        micro = now - first
        if not 0 <= micro < MICROS:
            first, text, stamp, second = self.second_of(now)
            micro = now - first
        thousandths = THREE_DIGITS[micro // 1000]
        return now, f"{text}.{thousandths}{THREE_DIGITS[micro % 1000]}Z", stamp, second

    def text(self, now_us: int) -> str:
        """
        Return a time as ISO 8601 in UTC with microseconds and Z.
        """
        first, text, _, _ = self.second_of(now_us)
        return f"{text}.{now_us - first:06d}Z"
