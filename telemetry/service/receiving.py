"""
The body of a request, as the server hands it over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from starlette.requests import Request


async def whole_body(request: Request) -> bytes:
    """
    Return a body; nearly always it comes as one piece, and then that is it.

    Raises:
        ClientDisconnect: The client went away before the end of it.
    """
    receive = request.receive
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        part: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            return b"".join([*parts, part]) if parts else part
        parts.append(part)
