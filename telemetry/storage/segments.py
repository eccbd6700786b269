"""
Reading the journal's files.

A segment is one file, ``events_<day>.ndjson`` or ``events_<day>.<writer>.ndjson``; its first line
is its header, with a random id. A file without a readable header is known by its name. One that was
compressed, ``….ndjson.gz``, is the same segment with the same id and the same offsets.
"""

from __future__ import annotations

import os
import re
import stat
import time
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional, Protocol
from zlib import crc32

import attrs

from telemetry.model.codec import (
    MARKER,
    decode_line,
    decode_lines,
    encode_line,
    lines_without,
)
from telemetry.model.errors import CodecError
from telemetry.model.records import FORMAT_VERSION, RecordType, deliverable
from telemetry.sinks import Chunk, Cursor, Segment
from telemetry.storage.appendfile import Identity, identity_of, open_to_read, read_at
from telemetry.storage.foreign import without_foreign
from telemetry.storage.packed import PackedFile, is_packed, packed_name, plain_name, size_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from telemetry.model.records import LineKind

#: Bytes before an offset whose checksum a cursor carries.
FINGERPRINT_BYTES = 256
#: Another process may allow longer lines than this one does.
_SMALLEST_LONGEST_LINE = 8 << 20
_HEADER_BYTES = 4096
_NAME = re.compile(r"events_(\d{8})[^/\\]*\.ndjson(?:\.gz)?")
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z
#: Compressed files whose place is remembered: each is read to its end before the next.
_PACKED_AT_HAND = 4
_NOT_A_CURSOR = Cursor("", 0)


def day_of(second: int) -> str:
    """
    Return the UTC day of a Unix time as eight digits; times no calendar has become the nearest day.
    """
    return time.strftime("%Y%m%d", time.gmtime(min(max(second, 0), _LAST_SECOND)))


def segment_name(day: str, writer: str = "") -> str:
    """
    Return the name of a day's file, shared or of one writer.
    """
    return f"events_{day}.{writer}.ndjson" if writer else f"events_{day}.ndjson"


def day_in(name: str) -> str:
    """
    Return the day in a segment's name; empty text for another file's.
    """
    found = _NAME.fullmatch(name)
    return found[1] if found else ""


def header_line(segment_id: str, second: int, writer: str) -> bytes:
    """
    Return a new segment's first line.

    Args:
        second: The Unix time of the record that the segment is made for.
        writer: Who makes it.
    """
    moment = time.gmtime(min(max(second, 0), _LAST_SECOND))
    return encode_line(
        RecordType.SEGMENT.value,
        id=f"{segment_id}-0",
        timestamp=time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", moment),
        body={
            "segment": segment_id,
            "host": _host(),
            "format": FORMAT_VERSION,
            "writer": writer,
        },
    )


def _host() -> str:
    if hasattr(os, "uname"):
        return os.uname().nodename
    return os.environ.get("COMPUTERNAME", "")  # pragma: no cover (needs Windows)


class _Known(NamedTuple):
    identity: Identity
    #: Of the file; a compressed one has more in it.
    size: int
    id: str
    host: str
    #: What a compressed file has in it, as far as it can be read.
    unpacked: int = 0


class _PlainFile:
    """
    A segment that is open for reading.
    """

    def __init__(self, path: Path) -> None:
        self._fd = open_to_read(path)

    def read_at(self, count: int, offset: int) -> bytes:
        return read_at(self._fd, count, offset)

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def close(self) -> None:
        os.close(self._fd)


class _Readable(Protocol):
    def read_at(self, count: int, offset: int) -> bytes: ...


class SegmentReader:
    """
    The segments of one directory, and what is in them.

    Holds no descriptor between calls; safe from any thread.

    Args:
        directory: Where the files are; it need not exist.
        max_line_bytes: The longest line that this process would write; readers accept more.
        settle_s: For how long zeros near the end of a file may be data on their way: a network
            file system may show a file's new size before its content.
        monotonic: Seconds, for `settle_s`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_line_bytes: int = 2 << 20,
        settle_s: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._longest_line = max(2 * max_line_bytes, _SMALLEST_LONGEST_LINE)
        self._settle_s = settle_s
        self._monotonic = monotonic
        self._known: dict[str, _Known] = {}
        self._unsettled: dict[str, tuple[int, float]] = {}
        self._packed: dict[str, PackedFile] = {}

    def segments(self) -> Sequence[Segment]:
        """
        Return the files that hold at least one line, oldest day first.

        Links, directories and files that this user may not read are left out.

        Raises:
            OSError: The directory exists and cannot be listed.
        """
        found: dict[str, Segment] = {}
        known: dict[str, _Known] = {}
        for entry in sorted(self._entries(), key=_by_day):
            segment = self._segment(entry, known)
            if segment is None:
                continue
            if segment.id in found:  # a copy beside its original
                if is_packed(segment.path):  # made of it; the original is about to go
                    continue
                segment = Segment(entry.name, segment.path, segment.size, segment.host)
            found[segment.id] = segment
        self._known = known
        return tuple(found.values())

    def read(
        self,
        segment: Segment,
        cursor: Optional[Cursor],
        max_bytes: int,
        /,
        *,
        without: Collection[LineKind] = (),
    ) -> Chunk:
        """
        Return the next whole records after a cursor; see `telemetry.sinks.Journal.read`.

        Lines of the original system, JSON objects without this format's marker and checksum, are
        passed over and counted apart from damage.

        Raises:
            OSError: The file has gone, or cannot be read.
        """
        if is_packed(segment.path):
            return self._read_packed(segment, cursor, max_bytes, without=without)
        try:
            file = _PlainFile(segment.path)
        except FileNotFoundError:
            packed = segment.path.with_name(packed_name(segment.path.name))
            if not packed.exists():
                raise
            # It was compressed since it was listed: the same lines at the same offsets.
            segment = attrs.evolve(segment, path=packed)
            return self._read_packed(segment, cursor, max_bytes, without=without)
        try:
            start, before = self._begin(file, segment, cursor)
            data = self._lines(file, start, max_bytes)
            at_end = start + len(data) >= file.size()
        finally:
            file.close()
        if at_end and self._settle_s:
            data = self._settled(segment.id, start, data)
        return _chunk(segment.id, start, before, data, without=without)

    def _read_packed(
        self,
        segment: Segment,
        cursor: Optional[Cursor],
        max_bytes: int,
        *,
        without: Collection[LineKind],
    ) -> Chunk:
        """
        Read on in a compressed file; what cannot be inflated is damage, and the end.
        """
        name = segment.path.name
        file = self._packed.pop(name, None) or PackedFile(segment.path)
        was_over = file.is_over
        start, before = self._begin(file, segment, cursor)
        chunk = _chunk(
            segment.id, start, before, self._lines(file, start, max_bytes), without=without
        )
        while len(self._packed) >= _PACKED_AT_HAND:
            self._packed.pop(next(iter(self._packed)), None)
        self._packed[name] = file
        known = self._known.get(name)
        if file.is_over and known is not None:
            self._known[name] = known._replace(unpacked=file.end)
        if file.is_damaged and not was_over:
            lost = max(0, segment.size - file.end)
            chunk = attrs.evolve(
                chunk,
                damaged_count=chunk.damaged_count + 1,
                damaged_bytes=chunk.damaged_bytes + lost,
            )
        return chunk

    def _begin(
        self, file: _Readable, segment: Segment, cursor: Optional[Cursor]
    ) -> tuple[int, bytes]:
        start, before = _starting_point(file, segment, cursor)
        if cursor is not None and cursor.offset != start:  # it may have another header too
            self._known.pop(segment.path.name, None)
        return start, before

    def _entries(self) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._directory) as entries:
                return [entry for entry in entries if _NAME.fullmatch(entry.name)]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _segment(self, entry: os.DirEntry[str], known: dict[str, _Known]) -> Optional[Segment]:
        path = self._directory / entry.name
        try:
            status = path.lstat() if os.name == "nt" else entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode) or not status.st_size:
                return None
            before = self._known.get(entry.name)
            identity, size = identity_of(status), status.st_size
            # A file that has shrunk was cut or written anew, and may have another header.
            if before is None or before.identity != identity or size < before.size:
                named = _identify(path)
                if named is None:
                    return None
                before = _Known(identity, size, *named)
            if is_packed(path):
                return self._packed_segment(path, before._replace(size=size), known)
        except OSError:
            return None
        known[entry.name] = before._replace(size=size)
        return Segment(before.id, path, size, before.host)

    def _packed_segment(self, path: Path, found: _Known, known: dict[str, _Known]) -> Segment:
        before = self._known.get(path.name)
        is_same = before is not None and before[:2] == found[:2] and before.unpacked > 0
        unpacked = before.unpacked if before is not None and is_same else size_of(path).unpacked
        known[path.name] = found._replace(unpacked=unpacked)
        return Segment(found.id, path, unpacked, found.host)

    def _lines(self, file: _Readable, start: int, max_bytes: int) -> bytes:
        """
        Read whole lines; where one is longer than can be, the part that no record can reach into.
        """
        count = max(1, min(max_bytes, self._longest_line))
        while True:
            data = file.read_at(count, start)
            end = data.rfind(b"\n") + 1
            if end:
                return data[:end]
            if len(data) < count:
                return b""
            if count == self._longest_line:
                last = data.rfind(MARKER)
                return data[:last] if last > 0 else data[: 1 - len(MARKER)]
            count = min(count * 4, self._longest_line)

    def _settled(self, segment_id: str, start: int, data: bytes) -> bytes:
        """
        Hold back the lines from the first zeros on, once, for `settle_s`.
        """
        zeros = data.find(b"\0")
        if zeros < 0:
            return data
        line = data.rfind(b"\n", 0, zeros) + 1
        now = self._monotonic()
        offset, since = self._unsettled.get(segment_id, (-1, now))
        if offset != start + line:
            since = now
        self._unsettled[segment_id] = (start + line, since)
        return data if now - since >= self._settle_s else data[:line]


def _by_day(entry: os.DirEntry[str]) -> tuple[str, str]:
    return (day_in(entry.name), entry.name)


def _identify(path: Path) -> Optional[tuple[str, str]]:
    """
    Return a file's id and host; None where it has no whole line yet.
    """
    if is_packed(path):
        beginning = PackedFile(path).read_at(_HEADER_BYTES, 0)
    else:
        file = _PlainFile(path)
        try:
            beginning = file.read_at(_HEADER_BYTES, 0)
        finally:
            file.close()
    line, newline, _ = beginning.partition(b"\n")
    if not newline and len(beginning) < _HEADER_BYTES:
        return None
    try:
        record = decode_line(line)
    except CodecError:
        return plain_name(path.name), ""
    fields = record.fields() if record.record_type == RecordType.SEGMENT else {}
    segment_id, host = fields.get("segment"), fields.get("host")
    is_named = isinstance(segment_id, str) and bool(segment_id)
    named = str(segment_id) if is_named else plain_name(path.name)
    return named, host if isinstance(host, str) else ""


def _starting_point(
    file: _Readable, segment: Segment, cursor: Optional[Cursor]
) -> tuple[int, bytes]:
    """
    Return where to read on, and the bytes before it that the next fingerprint may need.
    """
    cursor = cursor or _NOT_A_CURSOR
    if cursor.offset <= 0 or cursor.segment != segment.id:
        return 0, b""
    count = min(FINGERPRINT_BYTES, cursor.offset)
    before = file.read_at(count, cursor.offset - count)
    if len(before) == count and crc32(before) == cursor.fingerprint:
        return cursor.offset, before
    return 0, b""


def _chunk(
    segment_id: str, start: int, before: bytes, data: bytes, *, without: Collection[LineKind]
) -> Chunk:
    decoded = decode_lines(lines_without(data, without) if without else data)
    records = deliverable(decoded.records)
    foreign_count = 0
    if decoded.damaged_count:
        foreign_count, decoded = without_foreign(data, decoded)
    end = data[-FINGERPRINT_BYTES:]
    if len(end) < FINGERPRINT_BYTES:
        end = (before + end)[-FINGERPRINT_BYTES:]
    return Chunk(
        records,
        Cursor(segment_id, start + len(data), crc32(end), start),
        decoded.damaged_count,
        decoded.damaged_bytes,
        foreign_count,
    )
