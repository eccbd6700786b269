"""
The border between a follower and its sink, whose code may hang, log, exit or fork.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Callable

from telemetry.runtime.deadletters import describe
from telemetry.runtime.notices import notice, suppressed
from telemetry.runtime.surroundings import ForkedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telemetry.sinks import Sink


class Boundary:
    """
    Surrounds the calls of one sink, in one process.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._pid = os.getpid()
        self._since = 0.0

    @contextmanager
    def busy(self) -> Iterator[None]:
        """
        Surround the sink's own code.

        Raises:
            ForkedError: The sink forked, and this is the child.
        """
        self._since = time.monotonic()
        try:
            with suppressed():
                yield
        finally:
            if self._pid != os.getpid():
                raise ForkedError
            self._since = 0.0

    def busy_s(self) -> float:
        """
        Return for how long the sink has not returned; 0 when it is not at work.
        """
        since = self._since
        return time.monotonic() - since if since else 0.0

    def close(self) -> None:
        """
        Close the sink; what it raises is said and not felt.
        """
        self._call(self._sink.close, "close", "cannot be closed")

    def idle(self) -> None:
        """
        Let the sink do what it keeps for quiet moments, if it keeps any.
        """
        idle = getattr(self._sink, "idle", None)
        if idle is not None:
            self._call(idle, "idle", "failed while idle")

    def say(self, about: str, message: str, *, level: int = logging.WARNING) -> None:
        """
        Say something about the sink.
        """
        notice(f"sink:{self._sink.name}:{about}", f"sink {self._sink.name} {message}", level=level)

    def _call(self, method: Callable[[], object], about: str, problem: str) -> None:
        try:
            with self.busy():
                method()
        except ForkedError:
            raise
        except BaseException as error:  # noqa: BLE001 (a sink is a stranger's code)
            self.say(about, f"{problem} ({type(error).__name__}: {describe(error)})")
