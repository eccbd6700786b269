"""
Records of another base directory's journal, as this one keeps them.

They are bounded and scrubbed as if they had been recorded here, and a run's start says that it was
not: the lock that shows that its process lives is in the other directory, so nobody may take the
process for dead because the lock is not in this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from telemetry.model.codec import encode_again, relayed
from telemetry.model.records import Change, RecordType
from telemetry.model.run import COLUMNS, Kind

if TYPE_CHECKING:
    from telemetry.model.payload import PayloadEncoder
    from telemetry.model.records import Record

_EVENT = RecordType.EVENT.value
_STARTED = Change.STARTED.value
_CLEANED = frozenset(
    name for name, column in COLUMNS.items() if column.kind in {Kind.TEXT, Kind.JSON}
)
#: They only say which run it is.
_KEYS = frozenset({"event_id", "run_id"})


def adopted(record: Record, encoder: PayloadEncoder) -> bytes:
    """
    Return a record's line without its newline: as it was written, or without what must not be kept.

    The id stays, so that it is the same record.
    """
    if record.record_type == _EVENT:
        return _event(record, encoder)
    line = _run(record, encoder)
    return relayed(line) if record.change == _STARTED else line


def _event(record: Record, encoder: PayloadEncoder) -> bytes:
    payload = record.payload_value()
    clean = encoder.encode(payload)
    if clean == record.payload or msgspec.json.decode(clean) == payload:
        return record.line
    return encode_again(record, payload=clean)[:-1]


def _run(record: Record, encoder: PayloadEncoder) -> bytes:
    fields = record.fields()
    clean = {
        name: value if _is_safe(name, value) else _cleaned(name, value, encoder)
        for name, value in fields.items()
    }
    if clean == fields:
        return record.line
    body = {name: value for name, value in clean.items() if name not in _KEYS}
    return encode_again(record, body=body)[:-1]


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
