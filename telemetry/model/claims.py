"""
What a record says about the fields of its run.

A line may come from a newer version or from a hostile writer, so nothing in it is taken on trust:
each value is checked against its column, and what does not fit, or has no column, is put aside
under its own name. Nothing here raises.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple, Optional, TypedDict

import msgspec

from telemetry.model.records import ENVELOPE_KEYS, Record
from telemetry.model.run import COLUMNS, MAX_INTEGER, Column, Kind
from telemetry.model.values import SqlValue, accept, clean_text, is_canonical_time, to_sql

#: Keys of a run's line that are no fields to set: what an editor saw and wanted, and a time that
#: follows from the records' own.
_ABOUT_THE_RECORD = frozenset({"base_status", "force", "updated_at"})
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


class Claims(NamedTuple):
    """
    The fields a record sets, as a row holds them (None where it says null), and all the rest.
    """

    fields: dict[str, SqlValue]
    aside: dict[str, Any]


def _json_type(column: Column) -> Any:
    if column.choices:
        return Optional[Literal[column.choices]]
    plain: dict[Kind, Any] = {
        Kind.COUNT: Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)],
        Kind.FLAG: bool,
        Kind.JSON: Any,
    }
    text = Annotated[str, msgspec.Meta(max_length=column.max_length)] if column.max_length else str
    return Optional[plain.get(column.kind, text)]


_decode_typed = msgspec.json.Decoder(
    TypedDict("_Said", {n: _json_type(c) for n, c in _FIELDS.items()}, total=False)  # type: ignore[operator]
).decode
_decode_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode = msgspec.json.Decoder().decode
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
    except (msgspec.DecodeError, RecursionError):
        return _read_each(line)
    # An escape may stand for NUL, which a row cannot hold.
    if b"\\u" in line or not _are_canonical(fields):
        return _read_each(line)
    for name, column in _CONVERTED:
        if fields.get(name) is not None:
            fields[name] = to_sql(column, accept(column, fields[name]).value)
    # Each key but the first stands behind ,". No more of them than there should be: no others.
    keys = 5 + bool(record.change) + bool(record.event_id) + bool(record.run_id) + len(fields)
    if line.count(b',"') == keys - 1:
        return Claims(fields, {})
    return Claims(fields, _read_aside(line))


def _are_canonical(fields: dict[str, Any]) -> bool:
    for name in _TIMES:
        text = fields.get(name)
        if text is not None and not is_canonical_time(text):
            return False
    return True


def _read_aside(line: bytes) -> dict[str, Any]:
    """
    Return what a line says under names that are nothing this version knows.
    """
    decoded: dict[str, msgspec.Raw] = _decode_raw(line)
    return {name: _plain(raw) for name, raw in decoded.items() if name not in _KNOWN_KEYS}


def _plain(raw: msgspec.Raw) -> Any:
    """
    Return a value as plain data, or as the text it was written as where JSON's own rules forbid it.
    """
    try:
        return _decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return clean_text(bytes(raw).decode("utf-8", "replace"))


def _read_each(line: bytes) -> Claims:
    try:
        decoded: dict[str, msgspec.Raw] = _decode_raw(line)
    except (msgspec.DecodeError, RecursionError):
        return Claims({}, {})
    claims = Claims({}, {})
    for name, raw in decoded.items():
        column = _FIELDS.get(name)
        if column is not None:
            _take(claims, column, _plain(raw))
        elif name not in _KNOWN_KEYS:
            claims.aside[clean_text(name)] = _plain(raw)
    return claims


def _take(claims: Claims, column: Column, value: Any) -> None:
    """
    Put one value where it belongs.
    """
    found = fit(column, value)
    if found is None and value is not None:
        claims.aside[column.name] = value
    else:
        claims.fields[column.name] = found


def fit(column: Column, value: Any) -> SqlValue:
    """
    Return a JSON value as its column holds it in a row; None where it does not fit.
    """
    if not isinstance(value, _JSON_TYPES.get(column.kind, (str,))):
        return None
    if isinstance(value, bool) and column.kind is Kind.COUNT:
        return None
    return to_sql(column, accept(column, value).value)
