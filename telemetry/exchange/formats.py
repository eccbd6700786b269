"""
The formats that runs are exported in, and what they share.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import attrs
import msgspec

from telemetry.model.errors import UsageError
from telemetry.model.hints import did_you_mean
from telemetry.model.run import COLUMNS, Group, Kind

if TYPE_CHECKING:
    from telemetry.storage.selection import Row, Selection, Snapshot

#: Columns of an export that asks for none: what the dashboard shows of a run.
DEFAULT_COLUMNS = (
    "event_id",
    "run_id",
    "agent_name",
    "job_type",
    *(name for name, column in COLUMNS.items() if name in {"status", "error_summary"}),
    *(name for name, column in COLUMNS.items() if column.group in {Group.TIMING, Group.ITEMS}),
)


class Format(str, Enum):
    """
    A format, by the name that is also its file's suffix.
    """

    CSV = "csv"
    XLSX = "xlsx"
    JSON = "json"
    NDJSON = "ndjson"
    PARQUET = "parquet"

    @property
    def is_text(self) -> bool:
        """
        Return whether it can be looked at on a terminal, and written without going back.
        """
        return self in {Format.CSV, Format.JSON, Format.NDJSON}


@attrs.frozen(kw_only=True)
class Order:
    """
    What is to be exported.
    """

    selection: Selection
    columns: Sequence[str] = DEFAULT_COLUMNS
    #: Whether no text may pass for a formula; for programs, not people, it need not be so.
    guarded: bool = True


class Writer(Protocol):
    """
    Writes runs in one format.
    """

    def write(self, batch: Sequence[Row], /) -> None:
        """
        Write some runs, their columns in the order of the export.
        """

    def finish(self, snapshot: Snapshot, /) -> None:
        """
        Write what follows the runs.
        """

    def abandon(self) -> None:
        """
        Release what is held, because the export ends before its end.
        """


_PLACES: Mapping[Format, tuple[str, str]] = {
    Format.CSV: ("telemetry.exchange.textual", "CsvWriter"),
    Format.JSON: ("telemetry.exchange.textual", "JsonWriter"),
    Format.NDJSON: ("telemetry.exchange.textual", "NdjsonWriter"),
    Format.XLSX: ("telemetry.exchange.excel", "ExcelWriter"),
    Format.PARQUET: ("telemetry.exchange.parquet", "ParquetWriter"),
}


def writer_for(format_: Format) -> Callable[[BinaryIO, Order], Writer]:
    """
    Return what writes a format.

    Raises:
        UsageError: It needs a library that is not installed.
    """
    module, name = _PLACES[format_]
    try:
        found: Callable[[BinaryIO, Order], Writer] = getattr(importlib.import_module(module), name)
    except ImportError as error:
        library = "XlsxWriter" if format_ is Format.XLSX else "telemetry[parquet]"
        raise UsageError(
            f"the format {format_.value} must have its library (got {error});"
            f" install it with: pip install '{library}'"
        ) from error
    return found


def parse_columns(text: str) -> tuple[str, ...]:
    """
    Return the columns that a text names: names with commas between, ``default`` or ``all``.

    Raises:
        UsageError: A name is none of a column.
    """
    found: list[str] = []
    for name in filter(None, (part.strip().lower() for part in text.split(","))):
        if name == "all":
            found += COLUMNS
        elif name == "default":
            found += DEFAULT_COLUMNS
        elif name in COLUMNS:
            found.append(name)
        else:
            hint = did_you_mean(name, COLUMNS, "see the schema's documentation")
            raise UsageError(f"a column must be one of a run's (got {name!r}); {hint}")
    if not found:
        raise UsageError("there must be a column to export (got none); name some, or all")
    return tuple(dict.fromkeys(found))


_decode = msgspec.json.Decoder().decode


def json_values(columns: Sequence[str]) -> Callable[[Row], dict[str, Any]]:
    """
    Return what makes a row a document: JSON columns as values, flags as booleans.
    """
    jsons = [i for i, name in enumerate(columns) if COLUMNS[name].kind is Kind.JSON]
    flags = [i for i, name in enumerate(columns) if COLUMNS[name].kind is Kind.FLAG]

    def document(row: Row) -> dict[str, Any]:
        found = dict(zip(columns, row))
        for i in jsons:
            if row[i] is not None:
                found[columns[i]] = _raw(row[i])
        for i in flags:
            found[columns[i]] = bool(row[i])
        return found

    return document


def _raw(text: str) -> Any:
    try:
        _decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return text
    return msgspec.Raw(text.encode())
