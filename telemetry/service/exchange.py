"""
One request and what is answered to it.
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
#: Headers that the application may say itself.
_OURS = frozenset(
    {
        b"cache-control",
        b"connection",
        b"content-security-policy",
        b"referrer-policy",
        b"telemetry-base",
        b"x-content-type-options",
        b"x-request-id",
    }
)
_prefix = secrets.token_hex(4)
_numbers = itertools.count(1)

HeaderList = list[tuple[bytes, bytes]]


def request_id_of(header: Optional[bytes]) -> str:
    """
    Return the client's own id of a request where it is a plain word, else a new one.
    """
    if header is not None and _REQUEST_ID.fullmatch(header):
        return header.decode("ascii")
    return f"{_prefix}-{next(_numbers):x}"


class Exchange:
    """
    A request, its `receive`, and the `send` of its answer: adds headers, and knows how far it is.
    """

    __slots__ = (
        "found",
        "has_body",
        "headers",
        "is_complete",
        "is_muted",
        "method",
        "receive",
        "scope",
        "send",
        "status",
        "token_id",
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        found: dict[bytes, bytes],
        headers: HeaderList,
    ) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.receive = receive
        self.send = send
        #: The headers that are looked at; one that is there twice is joined, and then fits no rule.
        self.found = found
        #: Added to the answer, unless the application says the same itself.
        self.headers = headers
        self.status = 0
        self.token_id = ""
        self.is_complete = False
        self.is_muted = False
        #: Whether a body that is counted has come to its end.
        self.has_body = False

    @property
    def is_preflight(self) -> bool:
        """
        Return whether a browser asks what a page may ask.
        """
        return self.method == "OPTIONS" and b"access-control-request-method" in self.found

    def mute(self) -> None:
        """
        Drop what the application answers from now on.
        """
        self.is_muted = True

    def __call__(self, message: Message) -> Awaitable[None]:
        """
        Pass a part of the answer on.
        """
        if self.is_muted:
            return _nothing()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = self._headers(message.get("headers") or ())
        elif not message.get("more_body", False):
            self.is_complete = True
        return self.send(message)

    def _headers(self, given: Iterable[tuple[bytes, bytes]]) -> HeaderList:
        for name, _ in given:
            if name in _OURS:
                names = {name for name, _ in given} - {b"vary"}
                return [*given, *(header for header in self.headers if header[0] not in names)]
        return [*given, *self.headers]


async def _nothing() -> None:
    return None
