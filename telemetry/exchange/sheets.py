"""
Runs from a CSV file or a JSON document, such as our own exports.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from telemetry.exchange.cells import unguarded
from telemetry.exchange.found import Found, FoundRun, Refused, from_object
from telemetry.exchange.lines import Advance, nothing, open_source, parsed
from telemetry.model.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

#: A JSON document that does not have one record a line is read whole, up to this size.
MAX_DOCUMENT_BYTES = 512 << 20
_MAX_CELL_CHARS = 16 << 20
KEYS = ("run_id", "event_id")


def read_csv(path: Path, advance: Advance = nothing) -> Iterator[Found]:
    """
    Yield the runs of a CSV file with a heading; an empty cell is nothing.

    Raises:
        UsageError: Its heading does not name what tells runs apart.
        OSError: It cannot be read.
    """
    before = csv.field_size_limit(_MAX_CELL_CHARS)
    try:
        with open_source(path) as file:
            text = io.TextIOWrapper(file, "utf-8-sig", errors="replace", newline="")
            rows = csv.reader(text, strict=False)
            names = [unguarded(name).strip() for name in next(rows, [])]
            if not set(KEYS) & set(names):
                raise UsageError(
                    f"a CSV file must have a heading with run_id or event_id (got {names[:5]});"
                    " export it with telemetry export csv"
                )
            yield from _rows(path, rows, names, advance)
    finally:
        csv.field_size_limit(before)


def _rows(path: Path, rows: Any, names: list[str], advance: Advance) -> Iterator[Found]:
    while True:
        place = f"{path.name}, line {rows.line_num + 1}"
        try:
            row = next(rows, None)
        except csv.Error as error:
            yield Refused(f"a line must be CSV ({error})", place, is_damage=True)
            continue
        if row is None:
            return
        advance(sum(map(len, row)) + len(row))
        said = {name: unguarded(cell) for name, cell in zip(names, row) if cell}
        if not said:
            continue
        if len(row) != len(names):
            yield Refused(f"a line must have {len(names)} cells", place, is_damage=True)
        elif not said.keys() & set(KEYS):
            yield Refused("it must name a run, by run_id or event_id", place)
        else:
            yield FoundRun(said, place)


def read_json(path: Path, advance: Advance = nothing) -> Iterator[Found]:
    """
    Yield the runs of a JSON document: an array of them, or an object with one under ``runs``.

    Raises:
        UsageError: It is no such document.
        OSError: It cannot be read.
    """
    with open_source(path) as file:
        opening, first = file.readline().strip(), file.readline()
    if opening == b"[" and isinstance(parsed(first.strip().rstrip(b",")), dict):
        yield from _array(path, advance)
    else:
        yield from _document(path, advance)


def _array(path: Path, advance: Advance) -> Iterator[Found]:
    """
    Yield the records of our own export, which has one on each line, however many they are.
    """
    with open_source(path) as file:
        for number, line in enumerate(file, start=1):
            advance(len(line))
            text = line.strip().rstrip(b",")
            if text in {b"", b"[", b"]"}:
                continue
            said = parsed(text)
            place = f"{path.name}, line {number}"
            if isinstance(said, dict):
                yield from_object(said, place)
            else:
                yield Refused("a line must be a JSON object", place, is_damage=True)


def _document(path: Path, advance: Advance) -> Iterator[Found]:
    with open_source(path) as file:
        data = file.read(MAX_DOCUMENT_BYTES + 1)
    if len(data) > MAX_DOCUMENT_BYTES:
        raise UsageError(
            f"{path} must have one record a line to be this large; make it NDJSON:"
            " jq -c '.[]' FILE > FILE.ndjson"
        )
    found = parsed(data)
    if isinstance(found, dict):
        found = found.get("runs", [found])
    if not isinstance(found, list):
        raise UsageError(f"{path} must hold runs as a JSON array; see telemetry export json")
    advance(len(data))
    for number, said in enumerate(found, start=1):
        place = f"{path.name}, record {number}"
        if isinstance(said, dict):
            yield from_object(said, place)
        else:
            yield Refused("a record must be a JSON object", place)
