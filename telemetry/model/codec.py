"""
Records to lines and back.

A line is one flat JSON object. ``{"lt":`` opens it and ``,"crc":"xxxxxxxx"}`` closes it: the crc32
of all bytes before that comma. The opening bytes stand nowhere else: inside strings their quotes
are escaped, and an object of the user's that begins so is written with a space after its brace. So
a damaged line can be cut at each place where a record can begin, and a piece counts only if it is
whole and its checksum holds. Nothing inside a payload can pass for a record.
"""

from __future__ import annotations

import struct
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple, Optional
from zlib import crc32

import msgspec

from telemetry.model.errors import CodecError
from telemetry.model.records import DECODE_ERRORS, FORMAT_VERSION, Change, Record, RecordType

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from telemetry.model.records import LineKind

#: Only an object that has this key can open like a record.
MARKER_KEY = "lt"
MARKER = b'{"lt":'
ESCAPED_MARKER = b'{ "lt":'
_CRC_KEY = b',"crc":"'
_MARKER_LENGTH = len(MARKER)
#: `,"crc":"` + 8 hex digits + `"}`
_CLOSING_LENGTH = len(_CRC_KEY) + 8 + 2
_BETWEEN_CHECKSUMS = b'"}' + _CRC_KEY
_RELAYED = b',"relayed":true'


def _head(kind: str) -> bytes:
    return f'{{"lt":{FORMAT_VERSION},"record_type":{kind},'.encode()


#: How a line of each kind begins.
_HEADS: dict[str, bytes] = {
    **{kind: _head(f'"{kind.value}"') for kind in RecordType},
    **{kind: _head(f'"{RecordType.RUN.value}","change":"{kind.value}"') for kind in Change},
}
_LINE = repeat("line")

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
    optional = {"event_id": event_id, "run_id": run_id, "event_type": event_type}
    envelope.update({key: value for key, value in optional.items() if value})
    if payload is not None:
        envelope["payload"] = msgspec.Raw(payload)
    try:
        opening = _encode(envelope)[:-1]
        rest = _encode(body)[1:-1] if body else b""
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise CodecError(f"a {record_type} record must hold plain JSON values ({error})") from error
    joined = opening + b"," + rest if rest else opening
    return seal(MARKER + escape_marker(joined[len(MARKER) :]))


def encode_again(
    record: Record,
    *,
    body: Optional[Mapping[str, Any]] = None,
    payload: Optional[bytes] = None,
) -> bytes:
    """
    Encode a record with other content; whoever has it under its id has it already.

    Raises:
        CodecError: The body holds what JSON cannot.
    """
    return encode_line(
        record.record_type,
        id=record.id,
        timestamp=record.timestamp,
        event_id=record.event_id,
        run_id=record.run_id,
        change=record.change,
        event_type=record.event_type,
        body=body,
        payload=payload,
    )


def relayed(line: bytes) -> bytes:
    """
    Return a line without its newline with a mark that another base directory's process wrote it.

    A line that has the mark stays as it is.
    """
    body = line[:-_CLOSING_LENGTH]
    return line if body.endswith(_RELAYED) else seal(body + _RELAYED)[:-1]


def decode_line(line: bytes) -> Record:
    """
    Decode one line, with or without its newline.

    Raises:
        CodecError: It is not a whole record, or its checksum does not hold.
    """
    if line.endswith(b"\n"):
        line = line[:-1]
    if not line.startswith(MARKER):
        raise CodecError("a record must begin with its marker")
    body = line[:-_CLOSING_LENGTH]
    if line[-_CLOSING_LENGTH:] != b'%b%08x"}' % (_CRC_KEY, crc32(body)):
        raise CodecError("a record must end with the checksum of its bytes")
    try:
        _require_utf8(line)
        record: Record = _decode(line)
    except DECODE_ERRORS as error:
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
    lines = chunk.split(b"\n")
    if not lines[-1]:
        lines.pop()
    if lines and _are_whole(lines):
        try:
            _require_utf8(chunk)
            records = list(map(_decode, lines))
        except DECODE_ERRORS:
            return _decode_each(lines)
        any(map(_set, records, _LINE, lines))  # it returns None: all are set, without a loop here
        return Decoded(records, 0, 0)
    return _decode_each(lines)


def lines_without(chunk: bytes, kinds: Collection[LineKind]) -> bytes:
    """
    Return the lines of a chunk that are not of some kinds, at a tenth of the cost of decoding them.

    A damaged line may be taken for one by its beginning; what is inside it is then left out.
    """
    heads = tuple(_HEADS[kind] for kind in kinds if kind in _HEADS)
    return b"\n".join([line for line in chunk.split(b"\n") if not line.startswith(heads)])


def _require_utf8(data: bytes) -> None:
    """
    Raise UnicodeDecodeError for bytes that are no text; the decoder looks only into what it keeps.
    """
    if not data.isascii():
        str(data, "utf-8")


def _are_whole(lines: Sequence[bytes]) -> bool:
    """
    Tell whether each line has its marker and its checksum, at a third of the cost of one by one.

    All checksums are rendered, joined and compared at once, so a single difference anywhere fails.
    Each closing is 18 bytes of its line or fewer; so equal joins have them equal one by one.
    """
    if [line[:_MARKER_LENGTH] for line in lines].count(MARKER) != len(lines):
        return False
    checksums = map(crc32, [line[:-_CLOSING_LENGTH] for line in lines])
    digits = struct.pack(f">{len(lines)}I", *checksums).hex(",", 4)
    rendered = digits.encode().replace(b",", _BETWEEN_CHECKSUMS)
    closings = b"".join([line[-_CLOSING_LENGTH:] for line in lines])
    return closings == b'%b%b"}' % (_CRC_KEY, rendered)


def _decode_each(lines: Iterable[bytes]) -> Decoded:
    """
    Decode line by line, for a chunk that holds damage somewhere.
    """
    records: list[Record] = []
    damaged_count = damaged_bytes = 0
    for line in filter(None, lines):
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

    A record may be followed by garbage where its newline was lost: it then ends with the piece's
    last checksum. No proper prefix of a JSON object is one, so nothing shorter can pass for it.
    """
    before, *pieces = line.split(MARKER)
    records: list[Record] = []
    lost = len(before)
    for piece in pieces:
        candidate = MARKER + piece
        end = candidate.rfind(_CRC_KEY) + _CLOSING_LENGTH
        try:
            records.append(decode_line(candidate[:end]))
            lost += len(candidate[end:])
        except CodecError:
            lost += len(candidate)
    return records, lost
