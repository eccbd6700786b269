"""
A record: one line of the journal, and the words it is made of.

The envelope is decoded once, into a struct; what a run's record says about the run's columns stays
in the line until somebody asks (`Record.fields`), so that following a million events never builds
a million dictionaries.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Union

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMAT_VERSION = 1


class RecordType(str, Enum):
    """
    What a record is about. A reader keeps types it does not know.
    """

    RUN = "run"
    EVENT = "event"
    COMMIT = "commit"
    SEGMENT = "segment"
    UNDO = "undo"


class Change(str, Enum):
    """
    What a run's record did to the run.
    """

    STARTED = "started"
    UPDATED = "updated"
    ENDED = "ended"
    RECORDED = "recorded"
    EDITED = "edited"
    INFERRED = "inferred"
    POSTED = "posted"
    DELETED = "deleted"


#: What a reader may do without: all records of a type, or a run's records of a change.
LineKind = Union[RecordType, Change]

_SEGMENT = RecordType.SEGMENT.value
#: Digits of the largest number that 64 bits hold; a longer one is none of ours.
_MAX_DIGITS = 19
RAW_NULL = msgspec.Raw(b"null")

#: What the decoder raises for bytes that it cannot read, in all its versions.
DECODE_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)

_decode = msgspec.json.Decoder().decode
_decode_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

#: Keys of a line that belong to the record, not to the run it describes.
ENVELOPE_KEYS = frozenset(
    {"lt", "record_type", "change", "id", "timestamp", "event_type", "payload", "relayed", "crc"}
)


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    One journal line, decoded.

    Immutable; ``line`` is the line as it was written, without its newline, so that a sink can pass
    it on unchanged. Build one with `telemetry.model.codec.decode_line` only.
    """

    lt: int
    record_type: str
    id: str
    timestamp: str
    event_id: str = ""
    run_id: str = ""
    change: str = ""
    event_type: str = ""
    payload: msgspec.Raw = RAW_NULL
    line: bytes = msgspec.field(default=b"", name="~line")

    @property
    def writer(self) -> str:
        """
        Return the 16 hex digits that were drawn by the process that wrote it.
        """
        return self.id.partition("-")[0]

    @property
    def number(self) -> int:
        """
        Return its number within the writer; gaps mean lost records.
        """
        return as_number(self.id.partition("-")[2])

    def fields(self) -> dict[str, Any]:
        """
        Return what the line says beyond its envelope: the run's columns, a commit's parts.

        A new dictionary at each call; keys that this version does not know are in it too.
        """
        try:
            decoded: dict[str, Any] = _decode(self.line)
        except DECODE_ERRORS:
            return {key: plain_value(raw) for key, raw in self.raw_fields().items()}
        for key in ENVELOPE_KEYS & decoded.keys():
            del decoded[key]
        return decoded

    def raw_fields(self) -> dict[str, msgspec.Raw]:
        """
        Return what `fields` returns, each value as it was written.
        """
        try:
            decoded: dict[str, msgspec.Raw] = _decode_raw(self.line)
        except DECODE_ERRORS:  # a key that JSON's own rules forbid
            return {}
        for key in ENVELOPE_KEYS & decoded.keys():
            del decoded[key]
        return decoded

    def payload_value(self) -> Any:
        """
        Return the event's payload as plain data; None where it has none.
        """
        return plain_value(self.payload)


def deliverable(records: Sequence[Record]) -> Sequence[Record]:
    """
    Return the records that sinks are handed: all but the headers of segments.
    """
    if _SEGMENT in [record.record_type for record in records]:
        return [record for record in records if record.record_type != _SEGMENT]
    return records


def plain_value(raw: msgspec.Raw) -> Any:
    """
    Return a value as plain data; the text it was written as, where JSON's own rules forbid it.

    A record is accepted by its envelope; what else is in it was only passed over till now.
    """
    try:
        return _decode(raw)
    except DECODE_ERRORS:
        return bytes(raw).decode("utf-8", "replace")


def as_number(digits: str) -> int:
    """
    Return the number that ends a record's id; 0 for what is none of ours.
    """
    return int(digits) if digits.isdecimal() and len(digits) <= _MAX_DIGITS else 0
