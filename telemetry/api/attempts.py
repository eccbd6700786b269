"""
Whether a call that failed is made again, and when; the same for both clients.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Optional

import httpx
from backoff import expo

from telemetry.api.answers import NOT_NOW, Answer
from telemetry.api.calls import Call, Repeat
from telemetry.api.errors import (
    APIError,
    InvalidError,
    TimedOutError,
    UnavailableError,
    UnexpectedAnswerError,
)
from telemetry.runtime.chance import chance

FIRST_WAIT_S = 0.2
#: Longest pause that is made for the service; a longer wish is the caller's to obey.
MAX_WAIT_S = 10.0
#: Nobody was reached, so nothing can have been done.
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
#: What another try cannot change.
_SETTLED = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.DecodingError)


class Attempts:
    """
    The tries of one call.
    """

    def __init__(self, call: Call[Any], url: str, retries: int) -> None:
        self._call = call
        self._url = url
        self._left = retries
        self._waits: Generator[float, None, None] = expo(base=2, factor=FIRST_WAIT_S)
        next(self._waits)

    def answer(self, response: httpx.Response) -> Answer:
        """
        Return what came back.
        """
        return Answer(
            method=self._call.method,
            url=self._url,
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=response.content,
        )

    def after_answer(self, answer: Answer) -> Optional[float]:
        """
        Return how long to wait before the next try; None where this answer is the last word.
        """
        if answer.status not in NOT_NOW or not self._left:
            return None
        wish = answer.retry_after_s
        if wish is not None and wish > MAX_WAIT_S:
            return None
        return self._next(wish)

    def after_failure(self, error: httpx.HTTPError) -> float:
        """
        Return how long to wait before the next try.

        Raises:
            APIError: There is none; says what happened.
        """
        if not self._left or not self._may_repeat(error):
            raise self._error(error) from error
        return self._next(None)

    def _may_repeat(self, error: httpx.HTTPError) -> bool:
        if isinstance(error, _UNSENT):
            return True
        if isinstance(error, (*_SETTLED, httpx.TimeoutException)):
            return False
        return self._call.repeat is Repeat.ALWAYS

    def _next(self, wish: Optional[float]) -> float:
        self._left -= 1
        pause = chance.uniform(0, next(self._waits))
        return pause if wish is None else max(wish, pause)

    def _error(self, error: httpx.HTTPError) -> APIError:
        what = f"{self._call.method} {self._url}"
        said = str(error) or type(error).__name__
        if isinstance(error, httpx.ConnectTimeout):
            return TimedOutError(f"{what} must reach the service, but nobody answers ({said})")
        if isinstance(error, httpx.TimeoutException):
            return TimedOutError(
                f"{what} must be answered in time, but was not ({said}); ask again with a larger"
                " timeout_s, and first look whether it was done"
            )
        if isinstance(error, httpx.UnsupportedProtocol):
            return InvalidError(f"{what} must begin with http:// or https:// ({said})")
        if isinstance(error, httpx.DecodingError):
            return UnexpectedAnswerError(
                f"{what} must be answered in whole by a telemetry service ({said});"
                " check the address, TELEMETRY_API_URL"
            )
        if isinstance(error, httpx.RemoteProtocolError):
            return UnavailableError(
                f"{what} must be answered in whole, but the connection ended or another program"
                f" speaks there ({said}); check the service and the address, TELEMETRY_API_URL"
            )
        return UnavailableError(
            f"{what} must reach a running service, but none is there ({said});"
            " start it with telemetry serve, or check the address, TELEMETRY_API_URL"
        )
