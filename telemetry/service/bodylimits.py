"""
What a body may be, and how much of it.

A body of known and moderate length, sent as it is, passes untouched: the server holds it to its
length. Any other one is counted while it arrives, and not read on once it is too large.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn, Optional

from telemetry.service.inflating import INFLATERS, PackedBodyError
from telemetry.service.problems import FieldError, Problem, unavailable

if TYPE_CHECKING:
    from starlette.types import Message

    from telemetry.service.exchange import Exchange

#: Body of a request about one run.
MAX_ONE_RUN_BYTES = 1 << 20
#: Shorter bodies are not worth counting.
UNCOUNTED_BYTES = 64 << 10
#: Bodies that are being received, of all requests together, as multiples of the largest one.
BODIES_AT_ONCE = 16
#: No records compress so well; below so many bytes it does not matter.
MAX_RATIO = 250
RATIO_MATTERS_BYTES = 1 << 20

MAX_MEDIA_TYPE_BYTES = 200
_NO_ENCODINGS = frozenset({b"", b"identity"})

_MEDIA_TYPE = re.compile(
    rb"application/(?:[a-z0-9.+-]+\+)?(?:json|x-ndjson|ndjson|jsonl|x-jsonlines|json-seq)"
    rb"(?:\s*;\s*charset\s*=\s*\"?(?:utf-?8|us-ascii)\"?)?\s*;?",
    re.IGNORECASE,
)


def check_media_type(content_type: Optional[bytes]) -> None:
    """
    Refuse what is neither JSON nor NDJSON; no word about it is taken as JSON.

    A page of somebody else's can send forms and plain text without asking first, but not JSON.

    Raises:
        Problem: 415.
    """
    if content_type is None or content_type == b"application/json":
        return
    if len(content_type) > MAX_MEDIA_TYPE_BYTES or not _MEDIA_TYPE.fullmatch(content_type.strip()):
        error = FieldError(
            loc=("header", "Content-Type"),
            rule="must be application/json or application/x-ndjson, in UTF-8",
            value=content_type.decode("latin-1"),
            way_out="send the header Content-Type: application/json",
        )
        raise Problem(
            "media-type",
            415,
            "The body has a type that is not taken",
            errors=[error],
            headers={"Accept-Post": "application/json, application/x-ndjson"},
        )


def too_large(limit: int) -> Problem:
    """
    Return the problem of a body that is too large.
    """
    error = FieldError(
        loc=("request", "body"),
        rule=f"must have at most {limit} bytes here, also unpacked",
        value="more",
        way_out="send less at once",
    )
    return Problem("body-too-large", 413, "The body is too large", errors=[error])


class Budget:
    """
    Memory for the bodies of all requests together.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0

    def take(self, count: int) -> bool:
        """
        Hold more bytes, and return whether there is room for them.
        """
        self.held_bytes += count
        return self.held_bytes <= self.max_bytes


class Body:
    """
    A body that is counted while it arrives: the ASGI `receive` of its request.
    """

    def __init__(self, exchange: Exchange, limit: int, budget: Budget) -> None:
        self.is_complete = False
        #: Why it is not read on; then what the application answers does not matter.
        self.problem: Optional[Problem] = None
        self._exchange = exchange
        self._receive = exchange.receive
        self._limit = limit
        self._budget = budget
        self._count = 0
        self._held = 0

    async def __call__(self) -> Message:
        """
        Receive the next part.

        Raises:
            Problem: The body cannot be taken.
        """
        if self.problem is not None:
            raise self.problem
        message = await self._receive()
        if message["type"] == "http.request":
            self._take(len(message.get("body", b"")))
            self.is_complete = not message.get("more_body", False)
        return message

    def _take(self, count: int) -> None:
        self._count += count
        self._held += count
        has_room = self._budget.take(count)
        if self._count > self._limit:
            self._refuse(too_large(self._limit))
        if not has_room:
            self._refuse(unavailable("bodies", "too many large bodies arrive at once"))

    def _refuse(self, problem: Problem) -> NoReturn:
        self.problem = problem
        self._exchange.mute()
        raise problem

    def close(self) -> None:
        """
        Give the memory back; the request is answered.
        """
        self._budget.held_bytes -= self._held
        self._held = 0


class PackedBody(Body):
    """
    A compressed body: received whole, then handed on unpacked, piece by piece.
    """

    def __init__(self, exchange: Exchange, limit: int, budget: Budget, encoding: bytes) -> None:
        super().__init__(exchange, limit, budget)
        self._encoding = encoding
        self._pieces: Optional[Iterator[bytes]] = None
        self._packed_bytes = 0

    async def __call__(self) -> Message:
        """
        Receive the next piece, unpacked.

        Raises:
            Problem: The body cannot be taken.
        """
        if self.problem is not None:
            raise self.problem
        if self._pieces is None:
            packed = await self._packed()
            if packed is None:
                return {"type": "http.disconnect"}
            self._packed_bytes = len(packed)
            self._count = 0
            self._pieces = INFLATERS[self._encoding](packed)
        elif self._pieces is _NOTHING:
            return await self._receive()
        else:
            # Others have their turn between two pieces.
            await asyncio.sleep(0)
        return self._next_piece(self._pieces)

    async def _packed(self) -> Optional[bytes]:
        parts: list[bytes] = []
        while not self.is_complete:
            message = await super().__call__()
            if message["type"] != "http.request":
                return None
            parts.append(message.get("body", b""))
        return b"".join(parts)

    def _next_piece(self, pieces: Iterator[bytes]) -> Message:
        try:
            piece = next(pieces, None)
        except PackedBodyError as error:
            self._refuse(
                Problem(
                    "packed-body",
                    400,
                    "The body cannot be unpacked",
                    errors=[
                        FieldError(
                            loc=("request", "body"),
                            rule="must be what Content-Encoding says",
                            value=str(error),
                            way_out="send it again",
                        )
                    ],
                )
            )
        if piece is None:
            self._pieces = _NOTHING
            return {"type": "http.request", "body": b"", "more_body": False}
        self._take(len(piece))
        if self._count > max(RATIO_MATTERS_BYTES, self._packed_bytes * MAX_RATIO):
            self._refuse(too_large(self._limit))
        return {"type": "http.request", "body": piece, "more_body": True}


_NOTHING: Iterator[bytes] = iter(())


class Bodies:
    """
    The limits of all bodies of a service.
    """

    def __init__(self, max_body_bytes: int) -> None:
        self.max_many_bytes = max_body_bytes
        self.max_one_bytes = min(MAX_ONE_RUN_BYTES, max_body_bytes)
        self.budget = Budget(max_body_bytes * BODIES_AT_ONCE)

    def bound(self, exchange: Exchange, *, many: bool) -> Optional[Body]:
        """
        Return the `receive` of a request with a body; None for one that need not be counted.

        Without a Content-Length the body comes in chunks.

        Args:
            many: Whether the body may hold many runs.

        Raises:
            Problem: 413 for a body that says that it is too large, 415 for an unknown encoding.
        """
        found = exchange.found
        limit = self.max_many_bytes if many else self.max_one_bytes
        said = found.get(b"content-length")
        length = limit if said is None else _number(said)
        if length > limit:
            raise too_large(limit)
        if b"content-encoding" in found:
            encoding = found[b"content-encoding"].strip(b" \t").lower()
            if encoding in INFLATERS:
                return PackedBody(exchange, limit, self.budget, encoding)
            if encoding not in _NO_ENCODINGS:
                raise _unknown_encoding(encoding)
        if said is not None and length <= UNCOUNTED_BYTES:
            return None
        return Body(exchange, limit, self.budget)


def _number(length: bytes) -> int:
    if not length.isdigit() or len(length) > 20:  # noqa: PLR2004 (digits of any size there is)
        error = FieldError(
            loc=("header", "Content-Length"),
            rule="must be a number, once",
            value=length.decode("latin-1"),
            way_out="send one length",
        )
        raise Problem("body-length", 400, "Content-Length must be a number", errors=[error])
    return int(length)


def _unknown_encoding(encoding: bytes) -> Problem:
    error = FieldError(
        loc=("header", "Content-Encoding"),
        rule="must be gzip or zstd, once, or left out",
        value=encoding.decode("latin-1"),
        way_out="send the body as it is",
    )
    return Problem(
        "encoding",
        415,
        "The body has an encoding that is not taken",
        errors=[error],
        headers={"Accept-Encoding": "gzip, zstd"},
    )
