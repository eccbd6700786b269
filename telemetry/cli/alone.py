"""
Working on a base directory alone: no second operator, no process that writes the database.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Callable

import click

from telemetry.cli.counts import Number
from telemetry.cli.exits import Exit, fail
from telemetry.storage.cursors import DATABASE_SINK

if TYPE_CHECKING:
    from telemetry.config import TelemetryConfig

DEFAULT_WAIT_S = 10.0
#: A leader that shows nothing for so long is idle: it looks again before it writes again.
SILENCE_S = 6.0
_POLL_S = 0.1
_LOCK_NAME = "maintenance.lock"


def wait_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """
    Add the option that says how long to wait for others.
    """
    return click.option(
        "--wait",
        "wait_s",
        type=Number(0),
        default=DEFAULT_WAIT_S,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for another operator, or a process that writes the database.",
    )(command)


def require_readable(config: TelemetryConfig) -> None:
    """
    End the command with 4 where a file of the journal cannot be read: its records would be missing.
    """
    from telemetry.storage.unreadable import unreadable_in

    for one in unreadable_in(config.ndjson_dir):
        fail(
            f"every file of the journal must be readable (got {one.path}: {one.reason}); make it"
            " readable for this user, or move it out of the directory to do without its records",
            Exit.UNAVAILABLE,
        )


@contextmanager
def operating(config: TelemetryConfig, wait_s: float) -> Iterator[None]:
    """
    Keep every other operator's command from changing the same base directory meanwhile.
    """
    from telemetry.runtime.locks import RecordLock
    from telemetry.runtime.places import make_private

    make_private(config.state_dir)
    lock = RecordLock(config.state_dir / _LOCK_NAME)
    _wait_for(
        lock.try_acquire,
        wait_s,
        f"the base directory {config.base_dir} must have one operator at a time (another command"
        f" holds {lock.path}); wait for it to end, or ask again with a longer --wait",
    )
    try:
        yield
    finally:
        lock.release()


@contextmanager
def without_writers(config: TelemetryConfig, wait_s: float) -> Iterator[None]:
    """
    Keep every other process from writing the database meanwhile; records go on into the journal.

    A process that drains gives way as soon as it looks, and one that is idle need not be asked.
    """
    from telemetry.runtime.leadership import Leadership

    leadership = Leadership(config.state_dir, DATABASE_SINK, lease_s=SILENCE_S, is_preferred=True)
    try:
        _wait_for(
            leadership.may_work,
            wait_s,
            f"the database {config.db_path} must have no writer meanwhile (a process has held"
            f" {leadership.path} for {wait_s:g} s); end that process, or ask again with a longer"
            " --wait",
        )
        yield
    finally:
        leadership.release()


def _wait_for(claim: Callable[[], bool], wait_s: float, refusal: str) -> None:
    deadline = time.monotonic() + wait_s
    while not claim():
        if time.monotonic() > deadline:
            fail(refusal, Exit.UNAVAILABLE)
        time.sleep(_POLL_S)
