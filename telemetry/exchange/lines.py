"""
NDJSON of any origin, line by line: this format's journal, an export of it, the original system's.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import msgspec

from telemetry.exchange.found import Found, FoundRecord, Refused, from_object
from telemetry.model.codec import MARKER, decode_lines
from telemetry.model.records import DECODE_ERRORS, Change, RecordType

if TYPE_CHECKING:
    from pathlib import Path

READ_BYTES = 4 << 20
#: A line that is longer is nobody's record.
MAX_LINE_BYTES = 64 << 20
_SEGMENT = RecordType.SEGMENT.value
_DELETED = b'"change":"deleted"'

#: Is told how many more bytes of the source have been read.
Advance = Callable[[int], None]


def nothing(_: int) -> None:
    """
    Tell nobody.
    """


def read_ndjson(path: Path, advance: Advance = nothing) -> Iterator[Found]:
    """
    Yield what a file holds; what cannot be read is said and passed over.

    Raises:
        OSError: The file cannot be read at all.
    """
    number = 0
    with open_source(path) as file:
        for block in _blocks(file):
            advance(sum(map(len, block)) + len(block))
            ours = [line for line in block if line.startswith(MARKER)]
            yield from _records(ours, f"{path.name}, before line {number + len(block) + 1}")
            for line in block:
                number += 1
                if line.strip() and not line.startswith(MARKER):
                    yield _foreign(line, f"{path.name}, line {number}")


def open_source(path: Path) -> BinaryIO:
    """
    Open a file, compressed or not.
    """
    if path.suffix == ".gz":
        return cast("BinaryIO", gzip.open(path, "rb"))
    return path.open("rb")


def deleted_in_lines(path: Path) -> Iterator[str]:
    """
    Yield the keys of the runs that a journal of ours says were deleted.
    """
    with open_source(path) as file:
        for block in _blocks(file):
            said = [line for line in block if _DELETED in line and line.startswith(MARKER)]
            for record in decode_lines(b"\n".join(said) + b"\n").records if said else ():
                if record.change == Change.DELETED and record.event_id:
                    yield record.event_id


def _blocks(file: BinaryIO) -> Iterator[list[bytes]]:
    """
    Yield the lines of a file, some at a time, without what ends them; a line too long is cut.
    """
    rest = b""
    while True:
        try:
            data = file.read(READ_BYTES)
        except (EOFError, zlib.error, gzip.BadGzipFile):  # compressed, and not to its end
            data = b""
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            lines.append(rest)
            rest = b""
        if lines:
            yield lines
    if rest:
        yield [rest]


def _records(lines: list[bytes], place: str) -> Iterator[Found]:
    decoded = decode_lines(b"\n".join(lines) + b"\n") if lines else None
    if decoded is None:
        return
    for record in decoded.records:
        if record.record_type != _SEGMENT:
            yield FoundRecord(record)
    for _ in range(decoded.damaged_count):
        yield Refused("a line is damaged", place, is_damage=True)


def _foreign(line: bytes, place: str) -> Found:
    if MARKER in line:  # a torn line before a record
        decoded = decode_lines(line + b"\n").records
        if len(decoded) == 1:
            return FoundRecord(decoded[0])
    said = parsed(line)
    if not isinstance(said, dict):
        return Refused("a line must be a JSON object", place, is_damage=True)
    return from_object(said, place)


def parsed(line: bytes) -> Any:
    """
    Return the value of a line; None where it has none.

    The original wrote NaN and infinities, which are no JSON.
    """
    try:
        return msgspec.json.decode(line)
    except DECODE_ERRORS:
        pass
    import json

    try:
        return json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
