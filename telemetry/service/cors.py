"""
What a browser is told about pages of other origins: nothing, unless they are named in the settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telemetry.service.hosts import Origins, about_origin
from telemetry.service.problems import Problem

if TYPE_CHECKING:
    from starlette.types import Send

    from telemetry.config import TelemetryConfig

PREFLIGHT_AGE_S = 600
_METHODS = b"GET, HEAD, POST, PATCH, DELETE"
_HEADERS = (
    b"accept, authorization, content-encoding, content-type, if-match, if-none-match, x-request-id"
)
_EXPOSED = (
    b"etag, link, retry-after, telemetry-base, x-ratelimit-limit, x-ratelimit-remaining, "
    b"x-ratelimit-reset, x-request-id"
)
_VARY = (b"vary", b"Origin")


class Cors:
    """
    The headers for pages of the origins that are named.

    No cookies are involved, so credentials are never allowed, and `*` is never answered.
    """

    def __init__(self, config: TelemetryConfig) -> None:
        self._allowed = Origins(config).allowed

    def headers(self, origin: bytes) -> list[tuple[bytes, bytes]]:
        """
        Return the headers of an answer to a page.
        """
        if not self._allowed:
            return []
        if origin.lower() not in self._allowed:
            return [_VARY]
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED),
            _VARY,
        ]

    async def answer_preflight(self, origin: bytes, send: Send) -> None:
        """
        Say what a page may ask.

        Raises:
            Problem: 403; the page is of no origin that is named.
        """
        if origin.lower() not in self._allowed:
            raise Problem(
                "origin-not-allowed",
                403,
                "That page may not use the service",
                errors=[about_origin(origin)],
            )
        headers = [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _HEADERS),
            (b"access-control-max-age", b"%d" % PREFLIGHT_AGE_S),
            (b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
        ]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
