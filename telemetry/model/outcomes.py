"""
What an exception says about the run it ended.

Nothing here raises, whatever the exception's own methods do, and each of them is called once.
"""

from __future__ import annotations

import traceback
from typing import Optional

import attrs

from telemetry.model.run import Status

#: Frames kept of a traceback; the innermost ones tell the most.
MAX_FRAMES = 30
#: Characters read of an exception's own text before it is scrubbed and cut to its column.
MAX_TEXT_LENGTH = 20_000

_TIMEOUT_NAMES = frozenset({"TimeoutError", "TimeoutExpired", "TimeoutException", "timeout"})
_CANCELLED_NAMES = frozenset({"CancelledError", "Cancelled"})


@attrs.frozen
class Outcome:
    """
    How a run ended, before scrubbing.
    """

    status: Status
    error_summary: Optional[str] = None
    error_details: Optional[str] = None
    #: The status as it is written; an enum's ``value`` costs as much as a clock.
    word: str = attrs.field(
        init=False, default=attrs.Factory(lambda self: str(self.status.value), takes_self=True)
    )


#: The outcomes that say no more than a status.
OUTCOMES = {status: Outcome(status) for status in Status}


def outcome_of(error: Optional[BaseException]) -> Outcome:
    """
    Return how a run ended that this exception left; None is success.
    """
    if error is None:
        return OUTCOMES[Status.SUCCESS]
    status = status_of(error)
    if status is Status.SUCCESS:
        return Outcome(status)
    return Outcome(status, _summary(error), _details(error))


def status_of(error: BaseException) -> Status:
    """
    Return the status that an exception means.

    Timeouts and cancellations are known by their class's name, so that those of asyncio, trio,
    concurrent.futures, subprocess and HTTP clients count without importing any of them.
    """
    if isinstance(error, (KeyboardInterrupt, GeneratorExit)):
        return Status.CANCELLED
    if isinstance(error, SystemExit):
        # Python's own reading of the code: None and the integer 0 are success, no other object is.
        code = error.code
        is_zero = isinstance(code, int) and int.__eq__(code, 0)
        return Status.SUCCESS if code is None or is_zero else Status.FAILED
    names = {cls.__name__ for cls in type(error).__mro__}
    if names & _CANCELLED_NAMES:
        return Status.CANCELLED
    if names & _TIMEOUT_NAMES:
        return Status.TIMEOUT
    return Status.FAILED


def _summary(error: BaseException) -> str:
    name = type(error).__name__
    try:
        text = str(error)[:MAX_TEXT_LENGTH]
    except Exception as broken:  # noqa: BLE001 (the user's own __str__)
        text = f"[its text raised {type(broken).__name__}]"
    return f"{name}: {text}" if text else name


def _details(error: BaseException) -> Optional[str]:
    try:
        lines = traceback.format_exception(
            type(error), error, error.__traceback__, limit=-MAX_FRAMES
        )
        return _end_of("".join(lines))
    except Exception as broken:  # noqa: BLE001 (the user's __str__, __repr__ or __cause__)
        return f"[its traceback raised {type(broken).__name__}]"


def _end_of(text: str) -> str:
    """
    Return the end of a text from the beginning of a line on: half a line may hide what it holds.

    Where the end is the middle of one long word, the beginning is what can be kept.
    """
    if len(text) <= MAX_TEXT_LENGTH:
        return text
    kept = text[-MAX_TEXT_LENGTH:]
    return kept.partition("\n")[2] or kept.partition(" ")[2] or text[:MAX_TEXT_LENGTH]
