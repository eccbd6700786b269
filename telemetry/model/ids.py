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
#: "000" to "999": to look three digits up costs a fifth of formatting them.
THREE_DIGITS = tuple(map("%03d".__mod__, range(1000)))
MICROS = 1_000_000


#: A count and 8 hex digits.
Drawn = tuple[str, str]
#: What follows the time in UUIDv7s, up to the count: with dashes and without; then what is drawn.
Pool = tuple[str, str, "Iterator[Drawn]"]


class _Pools:
    """
    Random texts that are made ready a thousand at a time, so that drawing costs next to nothing.

    Any thread or signal handler may draw: `pool` is replaced whole, and one is drawn by advancing
    its iterator, which is atomic. From an exhausted pool, `refilled` goes on.
    """

    __slots__ = ("known", "pool")

    def __init__(self) -> None:
        self.pool: Pool
        #: The last UUID's millisecond, and its digits, with the dash and without.
        self.known = (-1, "", "")
        self.after_fork()

    def timed(self, millis: int) -> tuple[int, str, str]:
        """
        Return a millisecond with its digits in a UUID, and remember them.
        """
        digits = f"{millis:012x}"
        self.known = known = (millis, f"{digits[:8]}-{digits[8:]}", digits)
        return known

    def refilled(self) -> tuple[str, str, Drawn]:
        """
        Make texts ready, and return the first.
        """
        digits = os.urandom(8).hex()
        variant = "89ab"[int(digits[0], 16) & 3]
        beginning = f"-7{digits[1:4]}-{variant}{digits[4:7]}-{digits[7:]}"
        bare = beginning.replace("-", "")
        ends = os.urandom(4 * len(THREE_DIGITS)).hex()
        draws = zip(THREE_DIGITS, [ends[at : at + 8] for at in range(0, len(ends), 8)])
        first = next(draws)
        self.pool = beginning, bare, draws
        return beginning, bare, first

    def after_fork(self) -> None:
        """
        Forget what the parent process will draw too.
        """
        self.pool = ("", "", iter(()))


_pools = _Pools()


def forget_drawn() -> None:
    """
    Draw anew in a child process; called after a fork.
    """
    _pools.after_fork()


os.register_at_fork(after_in_child=forget_drawn) if hasattr(os, "register_at_fork") else None


def new_writer() -> str:
    """
    Return the identity of a process as a writer: 16 hex digits, random.
    """
    return os.urandom(8).hex()


def new_ids(now_us: int, stamp: str, agent_name: str) -> tuple[str, str, str]:
    """
    Return a run's key, the trace it begins, and its run id.

    The key is a UUIDv7 of that time, the trace the same without dashes. The run id is as the
    original's readers know it: stamp, agent, 8 hex digits.

    Args:
        now_us: Microseconds since the epoch.
        stamp: The second, "20261122T004217".
    """
    beginning, bare, draws = _pools.pool
    drawn = next(draws, None)
    if drawn is None:
        beginning, bare, drawn = _pools.refilled()
    count, end = drawn
    millis = now_us // 1000
    number, dashed, digits = _pools.known
    if millis != number:
        _, dashed, digits = _pools.timed(millis)
    return (
        f"{dashed}{beginning}{count}",
        f"{digits}{bare}{count}",
        f"{stamp}Z-{agent_name}-{end}",
    )


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

    __slots__ = ("last_us", "read", "time_ns")

    #: Return the time as `now_us` and as `text` give it, its second's stamp, and the second.
    read: Callable[[], tuple[int, str, str, int]]

    def __init__(self, time_ns: Callable[[], int] = time.time_ns) -> None:
        self.time_ns = time_ns
        #: The last reading; who reads the time himself keeps this rising as `now_us` does.
        self.last_us = 0
        self.read = self._compile_read()

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
        Return the second that a time falls into.
        """
        second = now_us // MICROS
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        stamp = text.replace("-", "").replace(":", "")
        return second * MICROS, text, stamp, second

    def _compile_read(self) -> Callable[[], tuple[int, str, str, int]]:
        """
        Return `read`, as a closure: it costs less than a method.
        """
        time_ns, digits = self.time_ns, THREE_DIGITS
        known: Second = (-MICROS, "", "", -1)

        def read() -> tuple[int, str, str, int]:
            nonlocal known
            now = time_ns() // 1000
            if now <= self.last_us:
                now = self.last_us + 1
            self.last_us = now
            # One reading of one name: another thread may put the next second there.
            first, text, stamp, second = known
            micro = now - first
            if not 0 <= micro < MICROS:
                first, text, stamp, second = known = self.second_of(now)
                micro = now - first
            millis, micros = digits[micro // 1000], digits[micro % 1000]
            return now, f"{text}.{millis}{micros}Z", stamp, second

        return read

    def text(self, now_us: int) -> str:
        """
        Return a time as ISO 8601 in UTC with microseconds and Z.
        """
        first, text, _, _ = self.second_of(now_us)
        return f"{text}.{now_us - first:06d}Z"
