"""
How often one client may ask.

Counted is the token where a good one is shown, else the peer's address; what a proxy says about
addresses is not trusted. The tables are bounded: whom they counted longest is forgotten first.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional, Union

from limits import RateLimitItemPerMinute
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from telemetry.service.hosts import client_of
from telemetry.service.problems import FieldError, Problem

MAX_CLIENTS = 20_000


class Window:
    """
    One client's requests since a moment.
    """

    __slots__ = ("count", "ends")

    def __init__(self, ends: float) -> None:
        self.count = 0
        self.ends = ends


class BoundedWindows(Storage):
    """
    Counters in memory, of so many clients and no more; no thread, no lock, one event loop.
    """

    STORAGE_SCHEME = None

    def __init__(self, max_clients: int = MAX_CLIENTS) -> None:
        super().__init__()
        self._max_clients = max_clients
        # Windows have one length, so the order in which they began is that in which they end.
        self._windows: dict[str, Window] = {}

    @property
    def base_exceptions(self) -> type[Exception]:
        """
        Return what could go wrong in here; nothing does.
        """
        return ValueError

    def incr(self, key: str, expiry: float, amount: int = 1, **others: Any) -> int:
        """
        Count a request and return how many there were in the window.
        """
        now = time.time()
        window = self._windows.get(key)
        if window is None or window.ends <= now:
            self._windows.pop(key, None)
            self._make_room(now)
            window = self._windows[key] = Window(now + expiry)
        window.count += amount
        return window.count

    def _make_room(self, now: float) -> None:
        while self._windows:
            oldest = next(iter(self._windows))
            if len(self._windows) < self._max_clients and self._windows[oldest].ends > now:
                return
            del self._windows[oldest]

    def get(self, key: str) -> int:
        """
        Return how many requests there were in the window.
        """
        window = self._windows.get(key)
        return window.count if window is not None and window.ends > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """
        Return the Unix time at which the window ends.
        """
        window = self._windows.get(key)
        return window.ends if window is not None else time.time()

    def check(self) -> bool:
        """
        Return whether the counters can be used; they always can.
        """
        return True

    def reset(self) -> Optional[int]:
        """
        Forget every client.
        """
        count = len(self._windows)
        self._windows.clear()
        return count

    def clear(self, key: str) -> None:
        """
        Forget one client.
        """
        self._windows.pop(key, None)

    def __len__(self) -> int:
        return len(self._windows)


class Share(NamedTuple):
    """
    What is left to a client.
    """

    limit: int
    remaining: int
    #: Unix time, in whole seconds, from which all of it is there again.
    resets_at: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        """
        Return the headers that tell the client.
        """
        return [
            (b"x-ratelimit-limit", b"%d" % self.limit),
            (b"x-ratelimit-remaining", b"%d" % self.remaining),
            (b"x-ratelimit-reset", b"%d" % self.resets_at),
        ]


class RateLimit:
    """
    So many requests a minute for each client.
    """

    def __init__(self, per_minute: int, max_clients: int = MAX_CLIENTS) -> None:
        self.windows = BoundedWindows(max_clients)
        self._limiter = FixedWindowRateLimiter(self.windows)
        self._item = RateLimitItemPerMinute(per_minute)

    def count(self, client: str) -> Share:
        """
        Count a client's request and return what is left.

        Raises:
            TooManyRequestsError: It was one too many.
        """
        is_within = self._limiter.hit(self._item, client)
        resets_at, remaining = self._limiter.get_window_stats(self._item, client)
        share = Share(self._item.amount, max(0, remaining), math.ceil(resets_at))
        if not is_within:
            raise TooManyRequestsError(share)
        return share


class Quotas:
    """
    The limits of those who show a token, and of peers that do not.

    Apart from each other, so that no crowd of peers makes a token forgotten.
    """

    def __init__(self, per_minute: int, max_clients: int = MAX_CLIENTS) -> None:
        self._tokens = RateLimit(per_minute, max_clients)
        self._peers = RateLimit(per_minute, max_clients)

    def count_token(self, token_id: str) -> Share:
        """
        Count a request with a good token.

        Raises:
            TooManyRequestsError: It was one too many.
        """
        return self._tokens.count(token_id)

    def count_peer(self, peer: Optional[Sequence[Union[str, int]]]) -> Share:
        """
        Count a request without one, by where it comes from.

        Raises:
            TooManyRequestsError: It was one too many.
        """
        return self._peers.count(client_of(peer))


class TooManyRequestsError(Problem):
    """
    A client asks more often than it may.
    """

    def __init__(self, share: Share) -> None:
        wait_s = max(1, share.resets_at - int(time.time()))
        super().__init__(
            "too-many-requests",
            429,
            "Too many requests",
            errors=[
                FieldError(
                    loc=("request", "rate"),
                    rule=f"must be at most {share.limit} a minute",
                    value="more",
                    way_out=f"ask again in {wait_s} s",
                )
            ],
            headers={"Retry-After": str(wait_s)},
        )
        self.share = share
