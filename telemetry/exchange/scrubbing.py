"""
Records that come from elsewhere, bounded and scrubbed as if they had been recorded here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from telemetry.model.codec import encode_again
from telemetry.model.records import RecordType
from telemetry.model.run import COLUMNS, Kind

if TYPE_CHECKING:
    from telemetry.model.payload import PayloadEncoder
    from telemetry.model.records import Record

_CLEANED = frozenset(
    name for name, column in COLUMNS.items() if column.kind in {Kind.TEXT, Kind.JSON}
)
_KEYS = frozenset({"event_id", "run_id"})


def scrubbed_line(record: Record, encoder: PayloadEncoder) -> bytes:
    """
    Return a record's line with its newline: as it is, or made anew without what must not be kept.

    The id stays, so that it is the same record.
    """
    if record.record_type == RecordType.EVENT:
        value = record.payload_value()
        cleaned = encoder.clean(value)
        if cleaned == value:
            return record.line + b"\n"
        return encode_again(record, payload=encoder.encode(value))
    fields = record.fields()
    clean = {
        name: value if _is_safe(name, value) else _cleaned(name, value, encoder)
        for name, value in fields.items()
    }
    if clean == fields:
        return record.line + b"\n"
    body = {name: value for name, value in clean.items() if name not in _KEYS}
    return encode_again(record, body=body)


def _is_safe(name: str, value: Any) -> bool:
    return (
        name in _KEYS
        or not isinstance(value, (str, dict, list))
        or (name in COLUMNS and name not in _CLEANED)
    )


def _cleaned(name: str, value: Any, encoder: PayloadEncoder) -> Any:
    if name in COLUMNS:
        return encoder.clean(value)
    cleaned = encoder.clean({name: value})
    return cleaned.get(name) if isinstance(cleaned, dict) else cleaned
