"""
Every record, shipped as it stands in the journal to a telemetry service.

Delivery is at least once, and the service keeps each record once, by its id. Of what it refuses,
each record goes to the dead letters with the service's own reason. A service of this very base
directory has the records already, and is sent nothing; one of a copy elsewhere is sent them.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional

import msgspec

from telemetry.model.errors import PausedSinkError, PermanentSinkError
from telemetry.model.records import DECODE_ERRORS, RecordType
from telemetry.runtime.locks import locked_by_another
from telemetry.runtime.notices import notice
from telemetry.storage.baseid import HEADER, SERVICE_LOCK, base_id
from telemetry_plugins.http.answers import Answer, Request, Verdict
from telemetry_plugins.http.line import Line

if TYPE_CHECKING:
    from pathlib import Path

    from telemetry.config import Secret
    from telemetry.model.records import Record
    from telemetry.sinks import Cursor
    from telemetry_plugins.http.wire import Wire

PATH = "/api/v1/records"
HEALTH_PATH = "/healthz"
#: Of records in one request, as they stand in the journal; the service takes 16 MiB.
MAX_REQUEST_BYTES = 2 << 20
#: A shorter body is sent as it is, as is one that stays on this machine.
MIN_GZIP_BYTES = 1400
GZIP_LEVEL = 1
#: How long it is believed that a service has another base directory.
LOOK_EVERY_S = 60.0
_LOOK = Request(method="GET", path=HEALTH_PATH, is_repeatable=True)
_GZIP = 16 + zlib.MAX_WBITS
_UNDO = RecordType.UNDO.value
#: What an address says that is none of a service's.
_NO_SERVICE = frozenset({404, 405, 406, 410, 414, 421, 426, 431, 451})


class Refusal(msgspec.Struct, frozen=True):
    """
    One record that the service will never take.
    """

    id: str
    reason: str = ""
    slug: str = ""


class Receipt(msgspec.Struct, frozen=True):
    """
    What the service did with the records of one request.
    """

    stored: int
    duplicates: int
    refused: list[Refusal]

    @property
    def count(self) -> int:
        """
        Return how many records it speaks of.
        """
        return self.stored + self.duplicates + len(self.refused)


class UnacceptableError(RuntimeError):
    """
    The service refused a request as a whole: the follower finds out which record is the reason.
    """


_decode = msgspec.json.Decoder(Receipt).decode


class RecordsSink:
    """
    Ships records to ``<url>/api/v1/records``.

    Used by one thread at a time.
    """

    name = "http_records"
    #: Each request costs both sides more than its records do.
    linger_s = 1.0

    def __init__(self, url: str, token: Secret, state_dir: Path, *, timeout_s: float) -> None:
        self._line = Line(url, token, timeout_s=timeout_s)
        self._state_dir = state_dir
        self._looked_at = 0.0
        self._look_connection = 0
        self._is_own_base = False
        # Of a batch that was not done in one go: what the service has, and what it will never take.
        self._is_split = False
        self._settled: set[str] = set()
        self._refused: dict[str, str] = {}

    def write(self, batch: Sequence[Record], _: Cursor, /) -> None:
        """
        Ship what the service does not have of a batch yet.

        Raises:
            TransientSinkError: The service cannot be reached, or cannot take records now.
            PermanentSinkError: It refused some of them; it has the others.
            PausedSinkError: It does not let this process in, or is no telemetry service.
        """
        # What a person took back here is a matter of this journal alone.
        waiting = [record for record in batch if record.record_type != _UNDO]
        if self._settled:
            waiting = [record for record in waiting if record.id not in self._settled]
        wire = self._line.wire()
        if waiting and not self._is_shared(wire):
            pieces = parts(waiting)
            self._is_split = len(pieces) > 1
            for part in pieces:
                self._ship(wire, part)
        if self._refused:
            reasons, self._refused = self._refused, {}
            raise PermanentSinkError(
                f"{wire.shown} must take each record ({next(iter(reasons.values()))})",
                reasons=reasons,
            )
        self._settled = set()
        wire.patience.reset()

    def close(self) -> None:
        """
        Close the connection.
        """
        self._line.close()

    def after_fork(self) -> None:
        """
        Leave the connection to the parent.
        """
        self._line.after_fork()

    def _is_shared(self, wire: Wire) -> bool:
        """
        Return whether the service works on this base directory; asked anew when that may change.
        """
        is_fresh = time.monotonic() - self._looked_at < LOOK_EVERY_S
        if self._is_own_base:
            is_fresh &= wire.is_connected and wire.connection_count == self._look_connection
        if not self._looked_at or not is_fresh:
            self._take_note(wire, wire.exchange(_LOOK))
            self._looked_at = time.monotonic()
        return self._is_own_base

    def _take_note(self, wire: Wire, answer: Answer) -> None:
        said = answer.headers.get(HEADER.lower(), "")
        is_own = said == base_id(self._state_dir) and self._is_served_here()
        self._look_connection = wire.connection_count
        if is_own and not self._is_own_base:
            notice(
                f"sink:{self.name}:own",
                f"sink {self.name} ships nothing: the service at {wire.shown} works on this base"
                " directory and has every record already",
                level=logging.INFO,
            )
        self._is_own_base = is_own

    def _is_served_here(self) -> bool:
        try:
            return locked_by_another(self._state_dir / SERVICE_LOCK)
        except OSError:  # no locks here, so the identity alone must tell
            return True

    def _ship(self, wire: Wire, records: Sequence[Record]) -> None:
        body = b"\n".join([record.line for record in records]) + b"\n"
        headers = {"Content-Type": "application/x-ndjson"}
        if len(body) >= MIN_GZIP_BYTES and not wire.is_local:
            headers["Content-Encoding"] = "gzip"
            body = compressed(body)
        request = Request(path=PATH, body=body, headers=headers, is_repeatable=True)
        answer = wire.exchange(request)
        self._judge(wire, answer, records)

    def _judge(self, wire: Wire, answer: Answer, records: Sequence[Record]) -> None:
        """
        Do what an answer asks for.
        """
        verdict = answer.verdict
        said = wire.masked(answer.excerpt())
        if verdict is Verdict.DONE:
            self._settle(wire, answer, records)
        elif verdict is Verdict.TOO_LARGE and len(records) > 1:
            self._is_split = True
            middle = len(records) // 2
            self._ship(wire, records[:middle])
            self._ship(wire, records[middle:])
        elif verdict is Verdict.TOO_LARGE:
            self._refused[records[0].id] = f"413: too large for {wire.shown} ({said})"
        elif verdict is Verdict.TRANSIENT:
            raise wire.patience.failure(
                f"{wire.shown} must take records now (answered {answer.status}: {said})",
                answer.retry_after_s(),
            )
        elif verdict is Verdict.DENIED:
            raise PausedSinkError(
                f"TELEMETRY_API_TOKEN must be a token of {wire.shown} with the scope ingest"
                f" (answered {answer.status}); `telemetry token create` there makes one"
            )
        elif verdict is Verdict.MOVED or answer.status in _NO_SERVICE:
            raise PausedSinkError(_elsewhere(wire, answer))
        else:
            raise UnacceptableError(f"{wire.shown} answered {answer.status}: {said}")

    def _settle(self, wire: Wire, answer: Answer, records: Sequence[Record]) -> None:
        """
        Believe an answer that says what became of each record, and no other.
        """
        receipt = _receipt(answer)
        if receipt is None or receipt.count != len(records):
            wire.close()
            problem = answer.damage or "its answer speaks of none, or of others"
            raise wire.patience.failure(
                f"{wire.shown} must say what became of {len(records)} records"
                f" (answered {answer.status}; {problem})"
            )
        wire.patience.reset()
        if not (receipt.refused or self._is_split):
            return
        ids = {record.id for record in records}
        refused = {each.id: _reason(wire, each) for each in receipt.refused if each.id in ids}
        self._refused.update(refused)
        self._settled.update(ids.difference(refused))


def parts(records: Sequence[Record]) -> Sequence[Sequence[Record]]:
    """
    Return records in parts of at most so many bytes, or of one.
    """
    if sum([len(record.line) for record in records]) + len(records) <= MAX_REQUEST_BYTES:
        return [records]
    made: list[list[Record]] = []
    size = MAX_REQUEST_BYTES
    for record in records:
        length = len(record.line) + 1
        if size + length > MAX_REQUEST_BYTES:
            made.append([])
            size = 0
        made[-1].append(record)
        size += length
    return made


def compressed(body: bytes) -> bytes:
    """
    Return a body as gzip has it, at its fastest: records are alike.
    """
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP)
    return packer.compress(body) + packer.flush()


def _receipt(answer: Answer) -> Optional[Receipt]:
    try:
        found: Any = None if answer.damage else _decode(answer.body)
    except DECODE_ERRORS:
        return None
    receipt: Optional[Receipt] = found
    return receipt


def _reason(wire: Wire, refusal: Refusal) -> str:
    return wire.masked(": ".join(filter(None, (refusal.slug, refusal.reason)))) or "no reason given"


def _elsewhere(wire: Wire, answer: Answer) -> str:
    from telemetry.config.rules import masked_url

    where = masked_url(answer.headers.get("location", ""))[:200]
    hint = f"; it names {where}" if where else ""
    return (
        f"TELEMETRY_API_URL must be the address of a telemetry service"
        f" ({wire.shown} answered {answer.status}{hint}); set another, the journal keeps everything"
    )
