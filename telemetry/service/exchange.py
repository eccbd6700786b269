"""
One request and what is answered to it.
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from starlette.types import Message, Scope, Send

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
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
    The ASGI `send` of one request: adds headers, and knows how far the answer is.
    """

    __slots__ = (
        "has_body",
        "headers",
        "is_complete",
        "is_muted",
        "scope",
        "send",
        "status",
        "token_id",
    )

    def __init__(self, scope: Scope, send: Send, headers: HeaderList) -> None:
        self.scope = scope
        self.send = send
        #: Added to the answer, unless the application says the same itself.
        self.headers = headers
        self.status = 0
        self.token_id = ""
        self.is_complete = False
        self.is_muted = False
        #: Whether a body that is counted has come to its end.
        self.has_body = False

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
            given = message.get("headers") or ()
            names = {name for name, _ in given}
            more = [header for header in self.headers if header[0] not in names]
            if b"vary" in names:
                more += [header for header in self.headers if header[0] == b"vary"]
            message["headers"] = [*given, *more]
        elif not message.get("more_body", False):
            self.is_complete = True
        return self.send(message)


async def _nothing() -> None:
    return None
