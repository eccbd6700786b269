"""
What a server is asked, what it answers, and what that may mean.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import timezone
from enum import Enum
from typing import Optional

import attrs

from telemetry.model.errors import TransientSinkError
from telemetry.runtime.chance import chance

MAX_ANSWER_BYTES = 1 << 20
#: Longest time that a server may ask to be left alone for.
MAX_RETRY_AFTER_S = 3600.0
#: The first waits after a failure; after that the follower's own grow from a few seconds to thirty.
FIRST_WAITS_S = (1.0, 2.0, 4.0)
JITTER = 0.25
MAX_EXCERPT_LENGTH = 300
_SECONDS = re.compile(r"\d{1,10}(\.\d+)?", re.ASCII)


class Verdict(Enum):
    """
    What becomes of what was sent.
    """

    DONE = "done"
    MOVED = "moved"
    TRANSIENT = "transient"
    DENIED = "denied"
    TOO_LARGE = "too large"
    REFUSED = "refused"


_SPECIAL: Mapping[int, Verdict] = {
    401: Verdict.DENIED,
    403: Verdict.DENIED,
    408: Verdict.TRANSIENT,
    413: Verdict.TOO_LARGE,
    425: Verdict.TRANSIENT,
    429: Verdict.TRANSIENT,
}
_BY_HUNDRED: Mapping[int, Verdict] = {
    2: Verdict.DONE,
    3: Verdict.MOVED,
    4: Verdict.REFUSED,
}


def verdict_of(status: int) -> Verdict:
    """
    Return what a status means; one that no rule knows is tried again.
    """
    return _SPECIAL.get(status) or _BY_HUNDRED.get(status // 100, Verdict.TRANSIENT)


@attrs.frozen(kw_only=True)
class Request:
    """
    One request, without what every request to an address says.
    """

    method: str = "POST"
    #: Appended to the URL's own path.
    path: str = ""
    body: Optional[bytes] = None
    headers: Mapping[str, str] = attrs.Factory(dict)
    #: Of the answer's body; the rest is not read.
    wanted_bytes: int = MAX_ANSWER_BYTES
    #: Whether it does no harm twice: then a kept connection that the server was just about to close
    #: is no failure.
    is_repeatable: bool = False


@attrs.frozen(kw_only=True)
class Answer:
    """
    One answer: its status, its headers, and as much of its body as was wanted.
    """

    status: int
    #: By names in lower case.
    headers: Mapping[str, str]
    body: bytes = b""
    #: What kept the body from being whole; empty where nothing did.
    damage: str = ""

    @property
    def verdict(self) -> Verdict:
        """
        Return what its status means.
        """
        return verdict_of(self.status)

    def excerpt(self) -> str:
        """
        Return the beginning of the body in one printable line.
        """
        text = self.body[: 4 * MAX_EXCERPT_LENGTH].decode("utf-8", "replace")
        printable = "".join(letter if letter.isprintable() else " " for letter in text)
        return " ".join(printable.split())[:MAX_EXCERPT_LENGTH]

    def retry_after_s(self) -> Optional[float]:
        """
        Return for how long the server wants to be left alone, at most an hour; None for no wish.
        """
        wish = self.headers.get("retry-after", "").strip()
        if _SECONDS.fullmatch(wish):
            return min(float(wish), MAX_RETRY_AFTER_S)
        until = _as_seconds(wish)
        if until is None:
            return None
        # By the server's own clock, where it says what that shows.
        now = _as_seconds(self.headers.get("date", "")) or time.time()
        return min(max(0.0, until - now), MAX_RETRY_AFTER_S)


def _as_seconds(date: str) -> Optional[float]:
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(date)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    # HTTP's dates are UTC, also in the form that says no zone.
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


class Patience:
    """
    How long to wait before the next try: 1, 2 and 4 seconds, then what the follower thinks.

    A quarter more or less, so that many processes do not come back at once.
    """

    def __init__(self) -> None:
        self._failure_count = 0

    def reset(self) -> None:
        """
        Begin anew after a success.
        """
        self._failure_count = 0

    def failure(self, message: str, wish_s: Optional[float] = None) -> TransientSinkError:
        """
        Return the error for a failed try.

        Args:
            wish_s: What the server asked for; it is never asked sooner, nor without a pause.
        """
        number, self._failure_count = self._failure_count, self._failure_count + 1
        last = len(FIRST_WAITS_S) - 1
        own_s = FIRST_WAITS_S[min(number, last)] * (1 + chance.uniform(-JITTER, JITTER))
        wait_s: Optional[float] = own_s if number <= last else None
        if wish_s is not None:
            # Who says "at once" again and again is not to be asked without pause.
            wait_s = max(own_s, wish_s * (1 + chance.uniform(0, JITTER / 2)))
        return TransientSinkError(message, retry_after_s=wait_s)
