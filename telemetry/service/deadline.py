"""
How long one request may take.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from telemetry.service.problems import FieldError, Problem

if TYPE_CHECKING:
    from telemetry.service.exchange import Exchange


class Deadline:
    """
    Cancels the task that answers a request when its time is over.

    Costs a timer, not a task. What the request had recorded until then stays recorded.
    """

    __slots__ = ("_exchange", "_task", "_timer", "is_over")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, exchange: Exchange) -> None:
        self.is_over = False
        self._exchange = exchange
        self._task = asyncio.current_task(loop)
        self._timer = loop.call_later(seconds, self._end)

    def _end(self) -> None:
        self.is_over = True
        self._exchange.mute()
        if self._task is not None:
            self._task.cancel()

    def stop(self) -> None:
        """
        Let the time run; the request is answered.
        """
        self._timer.cancel()

    def forgive(self) -> None:
        """
        Let the task go on after it was cancelled by the deadline.
        """
        # Without this, on the Pythons that count, the task's next timeout would misbehave.
        uncancel = getattr(self._task, "uncancel", None)
        if uncancel is not None:
            uncancel()


def timed_out(seconds: float) -> Problem:
    """
    Return the problem of a request whose time is over.
    """
    error = FieldError(
        loc=("request", "time"),
        rule=f"must be at most {seconds:g} s from its first byte to the answer",
        value="more",
        way_out="send it again, in smaller parts",
    )
    return Problem("timeout", 408, "The request took too long", errors=[error])
