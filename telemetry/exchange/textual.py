"""
Exports that are text: CSV, a JSON array, a JSON object a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from telemetry.exchange.cells import csv_text
from telemetry.exchange.formats import json_values

if TYPE_CHECKING:
    from telemetry.exchange.formats import Order
    from telemetry.storage.selection import Row, Snapshot


class CsvWriter:
    """
    UTF-8 with commas and a heading; null is an empty cell.
    """

    def __init__(self, file: BinaryIO, order: Order) -> None:
        self._file = file
        self._guarded = order.guarded
        self.write([tuple(order.columns)])

    def write(self, batch: Sequence[Row], /) -> None:
        """
        Write some runs.
        """
        self._file.write(csv_text(batch, guarded=self._guarded).encode())

    def finish(self, snapshot: Snapshot, /) -> None:
        """
        Nothing follows the last line.
        """

    def abandon(self) -> None:
        """
        Nothing is held.
        """


class NdjsonWriter:
    """
    One object a line, as `telemetry runs --json` has it.
    """

    def __init__(self, file: BinaryIO, order: Order) -> None:
        self._file = file
        self._document = json_values(order.columns)
        self._encode = msgspec.json.Encoder().encode

    def write(self, batch: Sequence[Row], /) -> None:
        """
        Write some runs.
        """
        encode, document = self._encode, self._document
        self._file.write(b"".join([encode(document(row)) + b"\n" for row in batch]))

    def finish(self, snapshot: Snapshot, /) -> None:
        """
        Nothing follows the last line.
        """

    def abandon(self) -> None:
        """
        Nothing is held.
        """


class JsonWriter:
    """
    An array with one record a line.
    """

    def __init__(self, file: BinaryIO, order: Order) -> None:
        self._file = file
        self._document = json_values(order.columns)
        self._encode = msgspec.json.Encoder().encode
        self._before = b"[\n"

    def write(self, batch: Sequence[Row], /) -> None:
        """
        Write some runs.
        """
        encode, document = self._encode, self._document
        self._file.write(self._before + b",\n".join([encode(document(row)) for row in batch]))
        self._before = b",\n"

    def finish(self, snapshot: Snapshot, /) -> None:
        """
        Close the array.
        """
        self._file.write(b"\n]\n" if self._before == b",\n" else b"[]\n")

    def abandon(self) -> None:
        """
        Nothing is held.
        """
