"""
A Parquet file, typed: integers, booleans, times in UTC, text.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from telemetry.model.run import COLUMNS, Column, Kind

if TYPE_CHECKING:
    from telemetry.exchange.formats import Order
    from telemetry.storage.selection import Row, Snapshot

#: Rows of one group: large enough to be read fast, small enough to be held.
_ROWS_IN_A_GROUP = 8_192
_TIME = pa.timestamp("us", tz="UTC")
_TYPES = {Kind.COUNT: pa.int64(), Kind.FLAG: pa.bool_(), Kind.TIME: _TIME}


class ParquetWriter:
    """
    Writes groups of rows as they come.
    """

    def __init__(self, file: BinaryIO, order: Order) -> None:
        columns = [COLUMNS[name] for name in order.columns]
        self._kinds = [column.kind for column in columns]
        self._schema = pa.schema([_field(column) for column in columns])
        self._writer = pq.ParquetWriter(file, self._schema)
        self._waiting: list[Row] = []

    def write(self, batch: Sequence[Row], /) -> None:
        """
        Write some runs, once there are enough of them.
        """
        self._waiting += batch
        if len(self._waiting) >= _ROWS_IN_A_GROUP:
            self._flush()

    def finish(self, snapshot: Snapshot, /) -> None:
        """
        Write the rest, and the file's own index.
        """
        if self._waiting:
            self._flush()
        self._writer.close()

    def abandon(self) -> None:
        """
        Let go of the file.
        """
        self._writer.close()

    def _flush(self) -> None:
        arrays = [
            pa.array(_values(kind, values), type=field.type)
            for kind, values, field in zip(self._kinds, zip(*self._waiting), self._schema)
        ]
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))
        self._waiting = []


def _field(column: Column) -> Any:
    metadata = {"unit": column.unit} if column.unit else None
    return pa.field(column.name, _TYPES.get(column.kind, pa.string()), metadata=metadata)


def _values(kind: Kind, values: Sequence[Any]) -> Sequence[Any]:
    if kind is Kind.TIME:
        return [None if value is None else _moment(value) for value in values]
    if kind is Kind.FLAG:
        return [None if value is None else bool(value) for value in values]
    return values


def _moment(value: str) -> datetime | None:
    try:
        return msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        return None
