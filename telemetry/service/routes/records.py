"""
Records of another machine's journal: kept as they are, each once.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

import msgspec

from telemetry.model.adopting import adopted
from telemetry.model.codec import decode_line, decode_lines
from telemetry.model.errors import CodecError
from telemetry.model.records import (
    DECODE_ERRORS,
    FORMAT_VERSION,
    Record,
    RecordType,
)
from telemetry.service.answers import json_answer
from telemetry.service.auth import ANONYMOUS, Principal
from telemetry.service.operations import NDJSON, PREFIX, Operation
from telemetry.service.problems import FieldError, Problem, shown
from telemetry.service.seen import is_id
from telemetry.service.tokens import Scope
from telemetry.storage.undo import EDITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from starlette.requests import Request

    from telemetry.service.answers import Answer
    from telemetry.service.state import Service

#: Records in one request.
MAX_RECORDS = 50_000
_SEGMENT = RecordType.SEGMENT.value
_EVENT = RecordType.EVENT.value
_KNOWN_TYPES = frozenset(kind.value for kind in RecordType)
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Refusal(NamedTuple):
    """
    A record that will never be taken, and why.
    """

    id: str
    slug: str
    reason: str


async def add_records(service: Service, request: Request) -> Answer:
    """
    Keep records that were journaled elsewhere.
    """
    principal: Principal = request.scope.get("state", {}).get("principal", ANONYMOUS)
    body = await request.body()
    service.barrier.check_room()
    taken: list[Record] = []
    ids: set[str] = set()
    refused: list[Refusal] = []
    duplicates = 0
    for record in _records_in(body, refused):
        refusal = _refusal(record, principal)
        if refusal is not None:
            refused.append(refusal)
        elif record.id in ids or record.id in service.seen:
            duplicates += 1
        else:
            ids.add(record.id)
            taken.append(record)
    lines = [adopted(record, service.runtime.encoder) for record in taken]
    if lines:
        block = b"\n".join([*lines, b""])
        written = service.writer.append(block, int(time.time()))
        service.barrier.wrote(
            written, [one.event_id for one in taken if one.record_type != _EVENT and one.event_id]
        )
        for record in taken:
            service.seen.add(record.id)
    return json_answer(
        {
            "stored": len(lines),
            "duplicates": duplicates,
            "refused": [refusal._asdict() for refusal in refused],
            "total": len(lines) + duplicates + len(refused),
        }
    )


def _records_in(body: bytes, refused: list[Refusal]) -> Iterable[Record]:
    """
    Return the records of a body, and name its damaged lines.
    """
    count = body.count(b"\n") + 1
    if count > MAX_RECORDS:
        error = FieldError(
            loc=("body",),
            rule=f"must have at most {MAX_RECORDS} records",
            value=count,
            way_out="send several requests",
        )
        raise Problem("too-many-records", 413, "Too many records", errors=[error])
    decoded = decode_lines(body)
    if not decoded.damaged_count:
        return decoded.records
    return list(_one_by_one(body, refused))


def _one_by_one(body: bytes, refused: list[Refusal]) -> Iterator[Record]:
    for line in filter(None, body.split(b"\n")):
        try:
            yield decode_line(line)
        except CodecError as error:
            reason = f"{error}; send the line as it stands in the journal"
            refused.append(Refusal(_id_in(line), "damaged", reason[:500]))


def _id_in(line: bytes) -> str:
    """
    Return what a damaged line calls itself, for whoever sent it.
    """
    try:
        found = _decode(line).get("id")
    except DECODE_ERRORS:
        return ""
    return found if isinstance(found, str) and is_id(found) else ""


def _refusal(record: Record, principal: Principal) -> Optional[Refusal]:
    """
    Return why a record cannot be taken; None where it can.
    """
    if record.lt != FORMAT_VERSION:
        reason = f"lt must be {FORMAT_VERSION} (got {record.lt}); update the service"
        return Refusal(record.id[:64], "unknown-format", reason)
    if not is_id(record.id):
        reason = f"id must be 16 hex digits, a dash and a number (got {shown(record.id)})"
        return Refusal(record.id[:64], "bad-id", reason)
    if record.record_type == _SEGMENT or record.record_type not in _KNOWN_TYPES:
        reason = f"record_type must be run, event or commit (got {shown(record.record_type)})"
        return Refusal(record.id, "bad-type", reason)
    if not (record.event_id or record.run_id):
        return Refusal(record.id, "no-run", "event_id or run_id must name the run")
    if record.change in EDITS and not principal.may(Scope.EDIT.value):
        reason = f"a record of change {record.change} needs a token with the scope edit"
        return Refusal(record.id, "missing-scope", reason)
    return None


OPERATIONS = (
    Operation(
        method="POST",
        path=f"{PREFIX}/records",
        handler=add_records,
        tag="records",
        summary="Ship records of a journal",
        body="Records",
        body_type=NDJSON,
        answers={200: "RecordsResult"},
        problems=(413,),
    ),
)
