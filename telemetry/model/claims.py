"""
What a record says about the fields of its run.

A line may come from a newer version or from a hostile writer, so nothing in it is taken on trust:
each value is checked against its column, and what does not fit, or has no column, is put aside
under its own name. Nothing here raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict, Union

import msgspec

from telemetry.model.records import DECODE_ERRORS, ENVELOPE_KEYS, plain_value
from telemetry.model.run import COLUMNS, MAX_INTEGER, Column, Kind
from telemetry.model.values import SqlValue, accept, clean_text, is_canonical_time, to_sql

if TYPE_CHECKING:
    from telemetry.model.records import Record

#: Keys of a run's line that are no fields to set: who edited, what that one saw and wanted, and a
#: time that follows from the records' own.
_ABOUT_THE_RECORD = frozenset({"base_status", "force", "actor", "updated_at"})
_NOT_FIELDS = ENVELOPE_KEYS | {"event_id", "run_id"}
_FIELDS = {
    name: column
    for name, column in COLUMNS.items()
    if name not in _NOT_FIELDS and name not in _ABOUT_THE_RECORD
}
_KNOWN_KEYS = _NOT_FIELDS | _ABOUT_THE_RECORD | _FIELDS.keys()
#: What JSON itself must give for a column; `accept` would also take what only a caller may mean.
_JSON_TYPES: dict[Kind, tuple[type, ...]] = {
    Kind.COUNT: (int,),
    Kind.FLAG: (bool, int),
    Kind.JSON: (object,),
}


#: The fields a record sets, as a row holds them; the names it says null of; and all the rest.
Claims = tuple[dict[str, SqlValue], Sequence[str], dict[str, Any]]


def claimed_type(column: Column) -> Any:
    """
    Return the type that msgspec checks a column's value by, where a line says it as usual.
    """
    if column.choices:
        return Literal[column.choices]
    plain: dict[Kind, Any] = {
        Kind.COUNT: Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)],
        Kind.FLAG: bool,
        Kind.JSON: Union[dict[str, Any], list[Any]],
    }
    text = Annotated[str, msgspec.Meta(max_length=column.max_length)] if column.max_length else str
    return plain.get(column.kind, text)


_decode_typed = msgspec.json.Decoder(
    TypedDict("_Said", {n: claimed_type(c) for n, c in _FIELDS.items()}, total=False)  # type: ignore[operator]
).decode
_TIMES = tuple(name for name, column in _FIELDS.items() if column.kind is Kind.TIME)
_CONVERTED = tuple(
    (name, column) for name, column in _FIELDS.items() if column.kind in (Kind.JSON, Kind.FLAG)
)


def read_claims(record: Record) -> Claims:
    """
    Return what a record says about its run.

    The usual line is checked by the decoder itself; any doubt takes the slower way, value by value.
    """
    line = record.line
    try:
        fields = _decode_typed(line)
    except DECODE_ERRORS:
        return _read_each(record)
    for name in _TIMES:
        if name in fields and not is_canonical_time(fields[name]):
            return _read_each(record)
    # An escape may stand for NUL, which a row cannot hold.
    if b"\\" in line and b"\\u" in line:
        return _read_each(record)
    for name, column in _CONVERTED:
        if name in fields:
            fields[name] = to_sql(column, fields[name])
    # Each key but the first stands behind a comma: no more commas than keys are no more keys.
    others = 4 + bool(record.change) + bool(record.event_id) + bool(record.run_id) + len(fields)
    if line.count(b",") == others or line.count(b',"') == others:
        return fields, (), {}
    return fields, (), _read_aside(record)


def _read_aside(record: Record) -> dict[str, Any]:
    """
    Return what a record says under names that are nothing this version knows.
    """
    raw_fields = record.raw_fields().items()
    return {name: plain_value(raw) for name, raw in raw_fields if name not in _KNOWN_KEYS}


def _read_each(record: Record) -> Claims:
    fields: dict[str, SqlValue] = {}
    cleared: list[str] = []
    aside: dict[str, Any] = {}
    for name, raw in record.raw_fields().items():
        column = _FIELDS.get(name)
        if column is None and name in _KNOWN_KEYS:
            continue
        value = plain_value(raw)
        found = None if column is None else fit(column, value)
        if found is not None:
            fields[name] = found
        elif column is not None and value is None:
            cleared.append(name)
        else:
            aside[clean_text(name)] = value
    return fields, cleared, aside


def fit(column: Column, value: Any) -> SqlValue:
    """
    Return a JSON value as its column holds it in a row; None where it does not fit.
    """
    if not isinstance(value, _JSON_TYPES.get(column.kind, (str,))):
        return None
    if isinstance(value, bool) and column.kind is Kind.COUNT:
        return None
    return to_sql(column, accept(column, value).value)
