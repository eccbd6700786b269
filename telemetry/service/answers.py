"""
Answers, as the server sends them.

The bytes are ready when an answer is made; sending it is two calls, and nothing is looked at again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"

_encode = msgspec.json.Encoder().encode


class Answer:
    """
    A whole answer: an ASGI application that sends it.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        body: bytes,
        status: int = 200,
        headers: Optional[Mapping[str, str]] = None,
        *,
        media_type: str = JSON,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = [
            (b"content-type", media_type.encode("latin-1")),
            (b"content-length", b"%d" % len(body)),
        ]
        if headers:
            self.headers += [
                (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
                for name, value in headers.items()
            ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Send it; to a HEAD request without its body.
        """
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        body = b"" if scope["method"] == "HEAD" else self.body
        await send({"type": "http.response.body", "body": body})


def json_answer(
    content: Any, status: int = 200, headers: Optional[Mapping[str, str]] = None
) -> Answer:
    """
    Return an answer with plain data as JSON.
    """
    return Answer(_encode(content), status, headers)
