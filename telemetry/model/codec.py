"""
Records to lines and back.

A line is one flat JSON object. ``{"lt":`` opens it and ``,"crc":"xxxxxxxx"}`` closes it: the crc32 of
all bytes before that comma. The opening bytes stand nowhere else: inside strings their quotes are
escaped, and an object of the user's that begins so is written with a space after its brace. So a
damaged line can be cut at each place where a record can begin, and a piece counts only if it is
whole and its checksum holds. Nothing inside a payload can pass for a record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Optional
from zlib import crc32

import msgspec

from telemetry.model.errors import CodecError
from telemetry.model.records import FORMAT_VERSION, Record

if TYPE_CHECKING:
    from collections.abc import Mapping

MARKER = b'{"lt":'
ESCAPED_MARKER = b'{ "lt":'
_CRC_KEY = b',"crc":"'
#: `,"crc":"` + 8 hex digits + `"}`
_CRC_LENGTH = len(_CRC_KEY) + 8 + 2

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode
_set = msgspec.structs.force_setattr


class Decoded(NamedTuple):
    """
    What a piece of a journal held: whole records in order, and how much of it was none.
    """

    records: list[Record]
    damaged_count: int
    damaged_bytes: int


def seal(body: bytes) -> bytes:
    """
    Close a line: append the checksum, the brace and the newline to everything before them.
    """
    return b'%b,"crc":"%08x"}\n' % (body, crc32(body))


def escape_marker(data: bytes) -> bytes:
    """
    Return JSON of the same meaning in which no object opens like a record.
    """
    return data.replace(MARKER, ESCAPED_MARKER) if MARKER in data else data


def encode_line(  # noqa: PLR0913 (one parameter for each key of the envelope)
    record_type: str,
    *,
    id: str,  # noqa: A002 (the line's own key)
    timestamp: str,
    event_id: str = "",
    run_id: str = "",
    change: str = "",
    event_type: str = "",
    body: Optional[Mapping[str, Any]] = None,
    payload: Optional[bytes] = None,
) -> bytes:
    """
    Encode one record as a line with its newline.

    The plain form, for every kind of record; `telemetry.runtime.emit` writes the frequent ones by
    hand to the same bytes.

    Args:
        body: The run's columns or a commit's parts, as plain JSON values.
        payload: An event's payload, already encoded.

    Raises:
        CodecError: The body holds what JSON cannot.
    """
    envelope: dict[str, Any] = {"lt": FORMAT_VERSION, "record_type": record_type}
    if change:
        envelope["change"] = change
    envelope["id"] = id
    envelope["timestamp"] = timestamp
    for key, value in (("event_id", event_id), ("run_id", run_id), ("event_type", event_type)):
        if value:
            envelope[key] = value
    if payload is not None:
        envelope["payload"] = msgspec.Raw(payload)
    try:
        opening = _encode(envelope)[:-1]
        rest = _encode(body)[1:-1] if body else b""
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise CodecError(f"a {record_type} record must hold plain JSON values ({error})") from error
    joined = opening + b"," + rest if rest else opening
    return seal(MARKER + escape_marker(joined[len(MARKER) :]))


def decode_line(line: bytes) -> Record:
    """
    Decode one line, with or without its newline.

    Raises:
        CodecError: It is not a whole record, or its checksum does not hold.
    """
    line = line.rstrip(b"\n")
    cut = len(line) - _CRC_LENGTH
    if cut < len(MARKER) or not line.startswith(MARKER) or line[cut : cut + 8] != _CRC_KEY:
        raise CodecError("a record must begin with its marker and end with its checksum")
    if b"%08x" % crc32(line[:cut]) != line[cut + 8 : cut + 16]:
        raise CodecError("the checksum of a record must be that of its bytes")
    try:
        record: Record = _decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise CodecError(f"a record must be one JSON object with its envelope ({error})") from error
    _set(record, "line", line)
    return record


def decode_lines(chunk: bytes) -> Decoded:
    """
    Decode whole lines, passing over what is damaged.

    Damage harms only the records whose bytes it touches: a broken line is cut at each place where
    a record can begin, and every whole piece is kept.

    Args:
        chunk: Bytes that end with a newline; blank lines are nothing.
    """
    records: list[Record] = []
    damaged_count = damaged_bytes = 0
    for line in chunk.split(b"\n"):
        if not line:
            continue
        try:
            records.append(decode_line(line))
        except CodecError:
            found, lost = _salvage(line)
            records += found
            damaged_count += 1 if lost else 0
            damaged_bytes += lost
    return Decoded(records, damaged_count, damaged_bytes)


def _salvage(line: bytes) -> tuple[list[Record], int]:
    """
    Return the whole records inside a damaged line, and the count of the bytes that are none.
    """
    before, *pieces = line.split(MARKER)
    records: list[Record] = []
    lost = len(before)
    for piece in pieces:
        try:
            records.append(decode_line(MARKER + piece))
        except CodecError:
            lost += len(MARKER) + len(piece)
    return records, lost
