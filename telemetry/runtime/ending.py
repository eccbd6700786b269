"""
How the followers of a process end: each finishes, those that are stuck are left behind.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from telemetry.runtime.tickets import glance_until

if TYPE_CHECKING:
    from telemetry.runtime.follower import Follower
    from telemetry.runtime.watcher import Watcher

#: Of the time that an end may take, what the sinks have that may still record something.
HEAD_START = 0.5


def in_order_of_end(followers: Iterable[Follower]) -> tuple[list[Follower], list[Follower]]:
    """
    Return which followers end first, and which last: those that keep their cursors with their rows.

    What the first do, they may record (where a run worked, that it was posted), and that belongs
    into the database too. Else each start of a command would find it behind the journal.
    """
    first: list[Follower] = []
    last: list[Follower] = []
    for follower in followers:
        (last if follower.keeps_cursors else first).append(follower)
    return first, last


def end_threads(followers: Sequence[Follower], watcher: Watcher, deadline: float) -> bool:
    """
    Let the threads finish, each for itself, and leave those behind that do not.

    Returns:
        Whether every sink has everything.
    """
    watcher.stop(deadline)
    first, last = in_order_of_end(followers)
    for follower in first:
        follower.stop(deadline)
    if first:
        now = time.monotonic()
        _await_end(watcher, first, now + (deadline - now) * HEAD_START)
    for follower in last:
        follower.stop(deadline)
    has_ended = _await_end(watcher, followers, deadline)
    return has_ended and all(follower.is_complete for follower in followers)


def end_here(followers: Sequence[Follower], deadline: float) -> bool:
    """
    Drain here: no thread could be started. Only sinks that keep cursors: a network may hang.

    Returns:
        Whether every sink has everything.
    """
    is_complete = True
    for follower in followers:
        is_complete &= follower.keeps_cursors and bool(follower.drain(deadline))
    close_sinks(followers)
    return is_complete


def close_sinks(followers: Iterable[Follower]) -> None:
    """
    Close what this thread worked with; a thread that was left behind in a sink keeps it.
    """
    for follower in followers:
        if follower.has_ended:
            follower.close()


def _await_end(watcher: Watcher, followers: Sequence[Follower], deadline: float) -> bool:
    """
    Return whether the threads of followers ended in time.
    """
    return glance_until(
        lambda: watcher.has_begun and all(follower.has_ended for follower in followers), deadline
    )
