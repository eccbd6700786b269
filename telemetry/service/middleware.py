"""
What stands between the socket and the routes: every check of a request, in one frame.

In this order: is it addressed to us, is it from a page that may, is it of a sane size, who asks,
how often, may that one do it, is the body one that is taken. Only then a route sees it, for so long
and no longer. What is refused is answered in the form of every other problem.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Callable, Optional

from telemetry.service.accesslog import SLOW_S, AccessLog, Answered
from telemetry.service.auth import (
    ANONYMOUS,
    Access,
    Authenticator,
    Principal,
    access_of,
    require,
)
from telemetry.service.bodylimits import Bodies, Body, check_media_type
from telemetry.service.cors import Cors
from telemetry.service.deadline import Deadline, timed_out
from telemetry.service.exchange import Exchange, request_id_of
from telemetry.service.hosts import Hosts, Origins
from telemetry.service.limits import Quotas, TooManyRequestsError
from telemetry.service.problems import FieldError, Problem, respond
from telemetry.storage.baseid import HEADER

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from telemetry.config import TelemetryConfig
    from telemetry.service.state import Service

MAX_QUERY_BYTES = 16 << 10
MAX_PATH_BYTES = 8 << 10
MAX_HEADERS = 100
#: What of a URL is measured: its name, where the server puts it, and the most bytes.
_LIMITED = (("query", "query_string", MAX_QUERY_BYTES), ("path", "path", MAX_PATH_BYTES))
#: The server reads so much of a refused body and keeps the connection.
MAX_SKIPPED_BYTES = 64 << 10
#: A client that is refused may go on sending for so long; cut off, it would not read the answer.
LINGER_S = 2.0
LINGER_BYTES = 64 << 20

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
#: Headers that are looked at.
_LOOKED_AT = frozenset(
    {
        b"authorization",
        b"host",
        b"content-type",
        b"content-encoding",
        b"origin",
        b"access-control-request-method",
        b"content-length",
        b"transfer-encoding",
        b"x-request-id",
    }
)
_REFUSED = 400
_CLOSE = (b"connection", b"close")
SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)


class Guard:
    """
    An ASGI application around another one.
    """

    def __init__(
        self,
        app: ASGIApp,
        config: TelemetryConfig,
        *,
        headers: Iterable[tuple[bytes, bytes]] = (),
        record: Callable[[Answered], None],
    ) -> None:
        self.authenticator = Authenticator(config)
        self.bodies = Bodies(config.api_max_body_bytes)
        self._app = app
        self._headers = [*SECURITY_HEADERS, *headers]
        self._record = record
        self._records_all = config.access_log == "all" or config.service_log_level == "DEBUG"
        self._hosts = Hosts(config)
        self._origins = Origins(config)
        self._cors = Cors(config)
        self._timeout_s = config.api_request_timeout_s
        self._quotas = Quotas(config.rate_limit_rpm) if config.rate_limit_enabled else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Check a request, and let the application answer it.
        """
        if scope["type"] != "http":
            await self._pass_on(scope, receive, send)
            return
        begun = time.perf_counter()
        found: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in _LOOKED_AT:
                found[name] = value if name not in found else found[name] + b", " + value
        request_id = request_id_of(found.get(b"x-request-id"))
        scope.setdefault("state", {})["request_id"] = request_id
        headers = [*self._headers, (b"x-request-id", request_id.encode())]
        exchange = Exchange(scope, receive, send, found, headers)
        try:
            body = self._admit(exchange)
            if exchange.method == "OPTIONS" and exchange.is_preflight:
                await self._cors.answer_preflight(found.get(b"origin", b""), exchange)
            else:
                await self._answer(exchange, body)
        except Problem as problem:
            if exchange.status:
                raise
            await self._refuse(exchange, problem)
        finally:
            seconds = time.perf_counter() - begun
            if self._records_all or exchange.status >= _REFUSED or seconds > SLOW_S:
                self._record(_answered(exchange, seconds))

    def _admit(self, exchange: Exchange) -> Optional[Body]:
        """
        Check everything that can be known before the body is there.

        Returns:
            What counts the body; None where nothing needs to.

        Raises:
            Problem: The request is refused.
        """
        scope, method, found = exchange.scope, exchange.method, exchange.found
        host, origin = found.get(b"host"), found.get(b"origin")
        if host not in self._hosts.good:
            self._hosts.check(host, scope["http_version"])
        _check_sizes(scope)
        if origin is not None:
            exchange.headers.extend(self._cors.headers(origin))
            if method not in _SAFE:
                self._origins.check(origin, host)
        access = access_of(method, scope["path"])
        if method != "OPTIONS" or not exchange.is_preflight:
            self._identify(exchange, access)
        if method not in _SAFE:
            check_media_type(found.get(b"content-type"))
        if b"content-length" in found or b"transfer-encoding" in found:
            return self.bodies.bound(exchange, many=access.takes_many)
        return None

    def _identify(self, exchange: Exchange, access: Access) -> None:
        """
        Find out who asks, whether it is not too often, and whether that one may.
        """
        principal = ANONYMOUS
        if access.scope is not None:
            if self.authenticator.is_on():
                principal = self._authenticated(exchange)
            if self._quotas is not None:
                self._count(self._quotas, exchange, principal)
            if principal is not ANONYMOUS:
                require(principal, access.scope)
        exchange.token_id = principal.token_id
        exchange.scope["state"]["principal"] = principal

    def _authenticated(self, exchange: Exchange) -> Principal:
        try:
            return self.authenticator.identify(exchange.found.get(b"authorization"))
        except Problem:
            if self._quotas is not None:
                self._count(self._quotas, exchange, ANONYMOUS)
            raise

    def _count(self, quotas: Quotas, exchange: Exchange, principal: Principal) -> None:
        headers = exchange.headers
        try:
            share = (
                quotas.count_peer(exchange.scope.get("client"))
                if principal is ANONYMOUS
                else quotas.count_token(principal.token_id)
            )
        except TooManyRequestsError as problem:
            headers.extend(problem.share.headers())
            raise
        headers.extend(share.headers())

    async def _answer(self, exchange: Exchange, body: Optional[Body]) -> None:
        """
        Let the application answer, for so long and no longer.

        Raises:
            Problem: It had not begun to answer when its time was over, or the body was too much.
        """
        deadline = Deadline(asyncio.get_running_loop(), self._timeout_s, exchange)
        try:
            await self._app(exchange.scope, exchange.receive if body is None else body, exchange)
        except asyncio.CancelledError:
            if not deadline.is_over:
                raise
        except Exception:
            # Why the application failed does not matter once its answer is not wanted.
            if not exchange.is_muted:
                raise
        finally:
            deadline.stop()
            if body is not None:
                exchange.has_body = body.is_complete
                body.close()
        if exchange.is_muted:
            self._end(exchange, body, deadline)

    def _end(self, exchange: Exchange, body: Optional[Body], deadline: Deadline) -> None:
        if deadline.is_over:
            deadline.forgive()
        if exchange.is_complete:
            return
        if exchange.status:
            _cut_off(exchange.scope)
            return
        if body is not None and body.problem is not None:
            raise body.problem
        raise timed_out(self._timeout_s)

    async def _refuse(self, exchange: Exchange, problem: Problem) -> None:
        """
        Answer with a problem; a client that is still sending may go on a little, and is cut off.
        """
        exchange.is_muted = False
        answer = respond(problem, exchange.scope)
        is_late = problem.status == 408  # noqa: PLR2004 (a timeout)
        is_sending = not exchange.has_body and not _is_short(exchange.found)
        if is_late or is_sending:
            exchange.headers.append(_CLOSE)
        if is_late or not is_sending:
            await answer(exchange.scope, exchange.receive, exchange)
            return
        start = {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
        await exchange(start)
        await exchange({"type": "http.response.body", "body": answer.body, "more_body": True})
        await _linger(exchange.receive)
        await exchange({"type": "http.response.body", "body": b""})

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            self.authenticator.last_used.write()
        else:
            await send({"type": "websocket.close", "code": 1000})


def guard(app: ASGIApp, service: Service) -> Guard:
    """
    Return an application that lets through to another one only what the settings allow.
    """
    headers = [(HEADER.lower().encode(), service.base_id.encode())]
    log = AccessLog(service.log, is_full=service.config.access_log == "all")
    return Guard(app, service.config, headers=headers, record=log)


def _is_short(found: dict[bytes, bytes]) -> bool:
    """
    Return whether the rest of a body is so short that the server reads it rather than hang up.
    """
    if b"transfer-encoding" in found:
        return False
    length = found.get(b"content-length", b"0")
    return len(length) <= 5 and length.isdigit() and int(length) <= MAX_SKIPPED_BYTES  # noqa: PLR2004


def _check_sizes(scope: Scope) -> None:
    for name, key, limit in _LIMITED:
        if len(scope[key]) > limit:
            raise Problem(
                "url-too-long",
                414,
                "The URL is too long",
                errors=[_too_many(name, key, limit, scope)],
            )
    if len(scope["headers"]) > MAX_HEADERS:
        error = _too_many("headers", "headers", MAX_HEADERS, scope)
        raise Problem("too-many-headers", 431, "Too many headers", errors=[error])


def _too_many(name: str, key: str, limit: int, scope: Scope) -> FieldError:
    unit = "headers" if name == key else "bytes"
    return FieldError(
        loc=("request", name),
        rule=f"must have at most {limit} {unit}",
        value=len(scope[key]),
        way_out="ask for less at once",
    )


def _cut_off(scope: Scope) -> None:
    """
    End a connection in the middle of an answer: the only way to say that the rest will not come.
    """
    abort = scope["state"].get("abort")
    if abort is None:
        raise ConnectionAbortedError("an answer must be finished in time; the connection is closed")
    abort()


async def _linger(receive: Receive) -> None:
    """
    Take and drop what a client is still sending, for a while.
    """

    async def drop() -> None:
        count = 0
        while count < LINGER_BYTES:
            message: Message = await receive()
            if message["type"] != "http.request" or not message.get("more_body", False):
                return
            count += len(message.get("body", b""))

    try:
        await asyncio.wait_for(drop(), LINGER_S)
    except asyncio.TimeoutError:
        return


def _answered(exchange: Exchange, seconds: float) -> Answered:
    scope = exchange.scope
    client = scope.get("client")
    return Answered(
        method=scope["method"],
        path=scope["path"],
        status=exchange.status,
        duration_ms=round(seconds * 1000, 3),
        request_id=scope["state"]["request_id"],
        token_id=exchange.token_id,
        peer=client[0] if client else "",
    )
