"""
Which run the code is in: one context variable.

It is compared and set, never reset by token: a generator may be closed in another context than the
one that it was entered in.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Callable, Optional

if TYPE_CHECKING:
    from telemetry.run_context import RunContext

_current: ContextVar[Optional[RunContext]] = ContextVar("telemetry_run", default=None)
#: Return the innermost run of this context; None outside of any. The variable's own method: no call
#: of ours around it.
current_context: Callable[[], Optional[RunContext]] = _current.get
#: Make a run the innermost one of this context.
set_context: Callable[[Optional[RunContext]], object] = _current.set


def enter(run: Optional[RunContext]) -> Optional[RunContext]:
    """
    Make a run the innermost one, and return the one before.
    """
    outer = _current.get()
    _current.set(run)
    return outer


def leave(run: RunContext, outer: Optional[RunContext]) -> None:
    """
    Go back to the run before, if this one is still the innermost in this context.
    """
    if _current.get() is run:
        _current.set(outer)
