"""
Runs to and from rows and plain data, by cattrs.

For readers only: an agent's process, which merely writes, never imports this.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import cattrs
import msgspec
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from telemetry.model.records import DECODE_ERRORS
from telemetry.model.run import COLUMNS, Kind, Run, Status
from telemetry.model.values import time_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_decode = msgspec.json.Decoder().decode


def _time_from_text(text: str, _: object) -> datetime:
    return msgspec.convert(text, datetime)


def _json_from_row(value: Any, _: object) -> Any:
    """
    Return the data of a JSON column; what is no JSON text stands for itself.
    """
    try:
        return _decode(value) if isinstance(value, str) else value
    except DECODE_ERRORS:
        return value


def _make_converter(json_hook: Callable[[Any, object], Any]) -> cattrs.Converter:
    converter = cattrs.Converter()
    converter.register_structure_hook(datetime, _time_from_text)
    converter.register_unstructure_hook(datetime, time_text)
    converter.register_structure_hook(bool, lambda value, _: bool(value))
    converter.register_structure_hook(Status, lambda value, _: Status(value))
    json_columns: dict[str, Any] = {
        column.name: override(struct_hook=json_hook)
        for column in COLUMNS.values()
        if column.kind is Kind.JSON
    }
    converter.register_structure_hook(Run, make_dict_structure_fn(Run, converter, **json_columns))
    converter.register_unstructure_hook(Run, make_dict_unstructure_fn(Run, converter))
    return converter


_rows = _make_converter(_json_from_row)
_plain = _make_converter(lambda value, _: value)


def run_from_row(row: Mapping[str, Any]) -> Run:
    """
    Return the run that a row holds; columns that are no fields are passed over.
    """
    return _rows.structure(dict(row), Run)


def run_from_plain(data: Mapping[str, Any]) -> Run:
    """
    Return the run of plain JSON data, as `run_to_plain` gives it.
    """
    return _plain.structure(dict(data), Run)


def run_to_plain(run: Run) -> dict[str, Any]:
    """
    Return a run as plain JSON data: times as text, JSON columns as objects, flags as booleans.
    """
    plain: dict[str, Any] = _plain.unstructure(run)
    return plain
