"""
What the log says of requests.

Those that were refused, failed or slow; every one at level DEBUG, and at level INFO by
``TELEMETRY_ACCESS_LOG=all``. Refusals are cheap to provoke, so only so many a second are written,
and the others counted, unless all are wanted.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from telemetry.model.values import clean_text

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

SLOW_S = 1.0
MAX_REFUSALS_A_SECOND = 10
MAX_PATH_CHARACTERS = 200
_REFUSED = 400
_FAILED = 500


class Answered(NamedTuple):
    """
    One request and how it ended.
    """

    method: str
    path: str
    #: 0 where there was no answer.
    status: int
    duration_ms: float
    request_id: str
    #: Who asked: a token's id, "environment", "anonymous", or nothing for one who was refused.
    token_id: str
    peer: str


class AccessLog:
    """
    Writes entries about requests.

    Args:
        is_full: Whether every request is wanted.
    """

    def __init__(self, log: FilteringBoundLogger, *, is_full: bool = False) -> None:
        self._log = log
        self._is_full = is_full
        self._second = 0
        self._count = 0
        self._unwritten_count = 0

    def __call__(self, answered: Answered) -> None:
        """
        Write an entry, if there is to be one.
        """
        is_slow = answered.duration_ms > SLOW_S * 1000
        level = self._log.info if self._is_full else self._log.debug
        if is_slow or answered.status >= _FAILED:
            level = self._log.warning
        elif answered.status >= _REFUSED:
            level = self._log.info
            if not (self._is_full or self._has_room()):
                self._unwritten_count += 1
                return
        more = {"unwritten_count": self._unwritten_count} if self._unwritten_count else {}
        self._unwritten_count = 0
        path = clean_text(answered.path[:MAX_PATH_CHARACTERS])
        level("request", **{**answered._asdict(), "path": path, "is_slow": is_slow, **more})

    def _has_room(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        return self._count <= MAX_REFUSALS_A_SECOND
