"""
What one connection may cost before a request is there: uvicorn's protocol, with limits.

uvicorn bounds neither the time in which the head of a request must arrive, nor its size, nor says
when to come again once there are too many connections. All of that costs nothing per request.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar, Optional

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from telemetry.service.auth import access_of
from telemetry.service.exchange import request_id_of
from telemetry.service.middleware import SECURITY_HEADERS
from telemetry.service.problems import (
    FieldError,
    Problem,
    problem_response,
    respond,
    unavailable,
)

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from telemetry.config import TelemetryConfig

#: All of what stands before a body.
MAX_HEAD_BYTES = 64 << 10
#: Connections beyond the limit that are still told so; more of them are dropped without a word.
TOLD_CONNECTIONS = 100
#: Whoever sends what is no HTTP hears so; a line in the log for each would only fill the disk.
_logger = logging.getLogger("uvicorn.connections")
_STATUS_LINES = {
    400: b"HTTP/1.1 400 Bad Request\r\n",
    408: b"HTTP/1.1 408 Request Timeout\r\n",
    431: b"HTTP/1.1 431 Request Header Fields Too Large\r\n",
}


class GuardedProtocol(HttpToolsProtocol):
    """
    One connection.
    """

    max_connections = 1000
    #: So many of one address: the rest is for others.
    max_of_one = 750
    head_timeout_s = 30.0
    #: How many each address has; of the server that the protocol was made for.
    addresses: ClassVar[Counter[str]] = Counter()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """
        Take a connection, unless there are too many, or too many of one address.
        """
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self.addresses[self._address] += 1
        self.logger = _logger
        self._head_bytes = 0
        self._is_in_head = True
        #: Whether nothing more is listened to, while the last answer is given.
        self._is_deaf = False
        #: When the client was last to say something, and did not; None while it is answered.
        self._waiting_since: Optional[float] = self.loop.time()
        self.app_state = {**self.app_state, "abort": transport.abort}
        too_many = max(
            len(self.connections) - self.max_connections,
            self.addresses[self._address] - self.max_of_one,
        )
        if too_many > TOLD_CONNECTIONS:
            transport.abort()
            return
        if too_many > 0:
            self.app = _Busy(self.app)
        self._timer = self.loop.call_later(self.head_timeout_s, self._look)

    def connection_lost(self, exc: Optional[Exception]) -> None:
        """
        Forget a connection.
        """
        timer = getattr(self, "_timer", None)
        if timer is not None:
            timer.cancel()
        self.addresses[self._address] -= 1
        if not self.addresses[self._address]:
            del self.addresses[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """
        Take what came; a head that does not end is refused.
        """
        if self._is_deaf:
            return
        super().data_received(data)
        if not self._is_in_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(
                _problem(
                    "head-too-large",
                    431,
                    "The head of the request is too large",
                    f"must have at most {MAX_HEAD_BYTES} bytes, URL and headers together",
                )
            )

    def eof_received(self) -> Optional[bool]:  # type: ignore[override]
        """
        Answer a client that will say no more; without a whole request there is nothing to answer.
        """
        cycle: Optional[RequestResponseCycle] = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body:
            return False
        cycle.keep_alive = False
        return True

    def on_message_begin(self) -> None:
        """
        Begin with the head of a request.
        """
        super().on_message_begin()
        self._is_in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """
        Hand a request to the application.
        """
        self._is_in_head = False
        self._waiting_since = None
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """
        Wait for the next request.
        """
        if not self.pipeline:
            self._waiting_since = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """
        Refuse what is no HTTP.
        """
        self._refuse(_problem("no-http", 400, "That is no HTTP request", "must be one of HTTP/1.1"))

    def _look(self) -> None:
        """
        Hang up on a client that has said nothing, or no whole head, for too long.
        """
        since, now = self._waiting_since, self.loop.time()
        # uvicorn itself hangs up on a connection that is only kept alive.
        is_kept = since is None or self.timeout_keep_alive_task is not None
        ends = now if is_kept or since is None else since
        if ends + self.head_timeout_s > now:
            self._timer = self.loop.call_at(ends + self.head_timeout_s, self._look)
        elif self._head_bytes:
            self._refuse(
                _problem(
                    "timeout",
                    408,
                    "The request took too long",
                    f"must arrive within {self.head_timeout_s:g} s",
                )
            )
        else:
            self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        """
        Answer without the application, and hang up.
        """
        if self.transport.is_closing():
            return
        cycle: Optional[RequestResponseCycle] = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body:
            if cycle is None or cycle.response_complete or not cycle.response_started:
                self.transport.write(_bytes_of(problem))
            self.transport.close()
        else:
            # The request before it is whole, and has its answer first.
            cycle.keep_alive = False
            self._is_deaf = True


class _Busy:
    """
    The application of a connection too many: it answers health checks, and nothing else.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and access_of(scope["method"], scope["path"]).scope is not None:
            problem = unavailable("connections", "there are too many connections", 1)
            problem.headers["Connection"] = "close"
            request_id = request_id_of(dict(scope["headers"]).get(b"x-request-id"))
            scope.setdefault("state", {})["request_id"] = request_id
            answer = respond(problem, scope)
            answer.headers += [*SECURITY_HEADERS, _named(request_id)]
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def protocol_for(config: TelemetryConfig) -> type[GuardedProtocol]:
    """
    Return the protocol with the limits of the settings, for uvicorn's ``http``.
    """
    _logger.setLevel(logging.ERROR)
    limits = {
        "max_connections": config.api_max_connections,
        "max_of_one": max(1, config.api_max_connections * 3 // 4),
        "head_timeout_s": config.api_request_timeout_s,
        "addresses": Counter(),
    }
    return type("GuardedProtocol", (GuardedProtocol,), limits)


def _problem(slug: str, status: int, title: str, rule: str) -> Problem:
    """
    Return what is wrong with the head of a request; what was sent is not repeated.
    """
    error = FieldError(
        loc=("request", "head"),
        rule=rule,
        value="…",
        way_out="send URL and headers as HTTP/1.1 has them, all at once",
    )
    return Problem(slug, status, title, errors=[error])


def _bytes_of(problem: Problem) -> bytes:
    request_id = request_id_of(None)
    answer = problem_response(problem, request_id=request_id)
    headers = [*answer.headers, *SECURITY_HEADERS, _named(request_id), (b"connection", b"close")]
    lines = [b"%s: %s\r\n" % header for header in headers]
    return b"".join([_STATUS_LINES[problem.status], *lines, b"\r\n", answer.body])


def _named(request_id: str) -> tuple[bytes, bytes]:
    return b"x-request-id", request_id.encode()
