"""
Whether a journal is whole: every line, and the numbers of every writer.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Optional

import attrs

from telemetry.model.codec import MARKER, decode_line
from telemetry.model.errors import CodecError
from telemetry.model.records import RecordType
from telemetry.model.words import several
from telemetry.storage.appendfile import open_to_read, read_at
from telemetry.storage.chunks import chunks_of
from telemetry.storage.findings import MAX_NAMED, Finding, Level
from telemetry.storage.packed import PackedFile, is_packed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from telemetry.sinks import Chunk, Journal, Segment
    from telemetry.storage.copying import Progress

#: A damaged piece of the journal is searched in steps of this size.
_STEP_BYTES = 64 * 1024
_SHOWN_RANGES = 3
_CLOSING = b'"}'
_PASSED_OVER = "readers pass over it; a record that it took is named among the missing"


@attrs.frozen(kw_only=True)
class JournalCounts:
    """
    What the journal holds.
    """

    segment_count: int = 0
    record_count: int = 0
    byte_count: int = 0
    writer_count: int = 0
    foreign_count: int = 0


def check_journal(
    journal: Journal, *, retired: bool = False, progress: Optional[Progress] = None
) -> tuple[list[Finding], JournalCounts]:
    """
    Read all of a journal; return what is wrong with it, and what it holds.

    Args:
        retired: Whether segments were dropped: then numbers are no loss that are missing before a
            writer's first one, or between two files.

    Raises:
        OSError: Its directory cannot be read.
    """
    findings: list[Finding] = []
    writers = _Writers()
    segments = journal.segments()
    total = sum(segment.size for segment in segments)
    done = record_count = foreign_count = 0
    for segment in segments:
        try:
            for chunk in chunks_of(journal, segment):
                findings += _damage(journal, segment, chunk)
                writers.see(chunk, segment.id)
                record_count += len(chunk.records)
                foreign_count += chunk.foreign_count
                done += chunk.cursor.offset - chunk.cursor.start
                (progress or _nobody)(done, total)
        except OSError as error:
            findings.append(_unreadable(segment, error))
    if foreign_count:
        text = f"the journal has {several(foreign_count, 'line')} of another program"
        way_out = "telemetry import takes them over, once their files are moved elsewhere"
        findings.append(Finding("journal", Level.NOTE, text, way_out))
    findings += writers.gaps(is_retired=retired)
    counts = JournalCounts(
        segment_count=len(segments),
        record_count=record_count,
        byte_count=total,
        writer_count=len(writers.ranges),
        foreign_count=foreign_count,
    )
    return findings, counts


def _nobody(_done: int, _total: int) -> None:
    """
    Tell nobody how far it is.
    """


def _unreadable(segment: Segment, error: OSError) -> Finding:
    text = f"{segment.path} cannot be read ({error.strerror or error})"
    advice = "make it readable for this user, or move it out of the directory"
    return Finding("journal", Level.DAMAGE, text, advice)


def _damage(journal: Journal, segment: Segment, chunk: Chunk) -> Iterator[Finding]:
    """
    Name each damaged line of a chunk by its place.

    A line that was cut short is what a killed process leaves: its record was never acknowledged.
    """
    if not chunk.damaged_count:
        return
    named = 0
    for offset, line in _lines(segment, chunk.cursor.start, chunk.cursor.offset):
        if _is_whole(line):
            continue
        named += 1
        is_cut = line.startswith(MARKER) and not line.endswith(_CLOSING)
        kind = "is cut short, as a killed process leaves it" if is_cut else "is damaged"
        level = Level.ATTENTION if is_cut else Level.DAMAGE
        size = several(len(line), "byte")
        text = f"{segment.path.name}: the line of {size} at offset {offset} {kind}"
        yield Finding("journal", level, text, "" if is_cut else _PASSED_OVER)
        if named >= min(MAX_NAMED, chunk.damaged_count):
            break
    is_short = is_packed(segment.path) and named < min(MAX_NAMED, chunk.damaged_count)
    if not named or is_short:
        text = (
            f"{segment.path.name}: {chunk.damaged_bytes} bytes from offset {chunk.cursor.offset} on"
            " cannot be read"
        )
        yield Finding("journal", Level.DAMAGE, text, "bring the file back from a copy of it")


def _lines(segment: Segment, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """
    Yield the lines of a part of a file, each with its offset.
    """
    rest, offset = b"", start
    for piece in _pieces(segment.path, start, end):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield offset, line
            offset += len(line) + 1


def _pieces(path: Path, start: int, end: int) -> Iterator[bytes]:
    if is_packed(path):
        packed = PackedFile(path)
        while start < end and (data := packed.read_at(min(_STEP_BYTES, end - start), start)):
            yield data
            start += len(data)
        return
    fd = open_to_read(path)
    try:
        while start < end and (data := read_at(fd, min(_STEP_BYTES, end - start), start)):
            yield data
            start += len(data)
    finally:
        os.close(fd)


def _is_whole(line: bytes) -> bool:
    """
    Return whether a line is a record, nothing, or another program's.
    """
    if not line:
        return True
    try:
        decode_line(line)
    except CodecError:
        try:
            return MARKER not in line and isinstance(json.loads(line), dict)
        except ValueError:
            return False
    return True


@attrs.define(order=True)
class _Range:
    """
    Numbers without a hole, and the segments of the first and the last of them.
    """

    low: int
    high: int
    begins_in: str
    ends_in: str


class _Writers:
    """
    Which numbers of each writer were seen.
    """

    def __init__(self) -> None:
        self.ranges: dict[str, list[_Range]] = {}

    def see(self, chunk: Chunk, segment: str) -> None:
        for record in chunk.records:
            if record.record_type == RecordType.SEGMENT.value:
                continue
            writer, number = record.writer, record.number
            ranges = self.ranges.setdefault(writer, [])
            if ranges and ranges[-1].high + 1 == number:
                ranges[-1].high, ranges[-1].ends_in = number, segment
            else:
                ranges.append(_Range(number, number, segment, segment))

    def gaps(self, *, is_retired: bool) -> Iterator[Finding]:
        dropped_count = 0
        for writer, ranges in self.ranges.items():
            lost, dropped = _holes(sorted(ranges), is_retired=is_retired)
            dropped_count += sum(high - low + 1 for low, high in dropped)
            if lost:
                yield _lost(writer, lost)
        if dropped_count:
            text = f"{dropped_count:,} records are in none of the files, but between two of them"
            advice = "the files between were dropped: telemetry retention does that"
            yield Finding("sequence", Level.NOTE, text, advice)


def _holes(
    ranges: list[_Range], *, is_retired: bool
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """
    Return the holes between ranges: those within a file, and those that a dropped file explains.

    A writer is in one file after the other, so a file that is there explains no hole in itself.
    """
    lost: list[tuple[int, int]] = []
    dropped: list[tuple[int, int]] = []
    expected, last = (None, "") if is_retired else (1, "")
    for each in ranges:
        if expected is not None and each.low > expected:
            is_between = is_retired and each.begins_in != last
            (dropped if is_between else lost).append((expected, each.low - 1))
        if expected is None or each.high + 1 > expected:
            expected, last = each.high + 1, each.ends_in
    return lost, dropped


def _lost(writer: str, missing: list[tuple[int, int]]) -> Finding:
    count = sum(high - low + 1 for low, high in missing)
    shown = ", ".join(
        f"{low}" if low == high else f"{low}-{high}" for low, high in missing[:_SHOWN_RANGES]
    )
    more = ", …" if len(missing) > _SHOWN_RANGES else ""
    return Finding(
        "sequence",
        Level.ATTENTION,
        f"{several(count, 'record')} of writer {writer} {'is' if count == 1 else 'are'} missing"
        f" (numbers {shown}{more}):"
        " the disk refused them, a power cut or a damaged line took them, or a file was removed",
    )
