"""
A segment of the journal, compressed in place.

Killed at any step, all of it is there and counts once. The compressed file is written under a name
that no reader looks at, read back, and named; then the plain file goes. While both are there they
have one id, and readers take the plain one.
"""

from __future__ import annotations

import os
import time
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Callable

from telemetry.model.errors import JournalError
from telemetry.model.ids import new_writer
from telemetry.storage.appendfile import (
    create_exclusively,
    identity_of,
    open_to_read,
    read_at,
    sync_data,
    sync_directory,
)
from telemetry.storage.packed import PackedFile, packed_name
from telemetry.storage.segments import day_in, header_line, segment_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SCRATCH = ".packing."
_PIECE_BYTES = 1 << 20
_GZIP_WINDOW = 31
_LEVEL = 6


class ChangedSegmentError(JournalError):
    """
    A segment is not as it was: something still writes to it, or another file is in its place.
    """


def pack(path: Path, *, advance: Callable[[int], None] = lambda _: None) -> int:
    """
    Replace a plain segment by a compressed one of the same lines; return how many bytes that freed.

    The caller is the only one who does so. Positions in the segment stay right.

    Args:
        advance: Told of the bytes that have been compressed, piece by piece.

    Raises:
        ChangedSegmentError: It is still written to, or a compressed file with other lines is there.
        OSError: The directory cannot be written or has no room; nothing has changed.
    """
    target = path.with_name(packed_name(path.name))
    fd = open_to_read(path)
    try:
        status = os.fstat(fd)
        if os.path.lexists(target) and not holds_only(target, path):
            raise ChangedSegmentError(
                f"{target} must hold what {path.name} holds (it has something else); move one of"
                " the two out of the directory"
            )
        _publish(path, target, status, advance)
        _retire(path, fd, status)
        return status.st_size - target.stat().st_size
    finally:
        os.close(fd)


def sweep_unfinished(directory: Path) -> None:
    """
    Remove what was being compressed when a process was killed; call it while no other does so.
    """
    for path in directory.glob(f"{_SCRATCH}*"):
        with suppress(OSError):
            path.unlink()


def holds_only(target: Path, path: Path) -> bool:
    """
    Return whether a compressed file holds nothing that a plain one does not begin with.

    So is one that is whole, and one whose writer was killed half-way.
    """
    try:
        return all(plain.startswith(packed) for plain, packed in _pairs(path, PackedFile(target)))
    except OSError:
        return False


def _publish(
    path: Path, target: Path, status: os.stat_result, advance: Callable[[int], None]
) -> None:
    scratch = path.with_name(f"{_SCRATCH}{target.name}")
    with suppress(FileNotFoundError):
        scratch.unlink()
    try:
        create_exclusively(scratch, b"")
        _compress(path, scratch, status.st_size, advance)
        if not _is_the_same(path, scratch, status.st_size):
            raise ChangedSegmentError(
                f"{path} must stay as it is while it is compressed (it was written to, or cannot"
                " be read back); ask again"
            )
        # Its age stays to be seen.
        os.utime(scratch, ns=(status.st_atime_ns, status.st_mtime_ns))
        scratch.replace(target)
    finally:
        with suppress(FileNotFoundError):
            scratch.unlink()
    sync_directory(path.parent)


def _compress(path: Path, scratch: Path, size: int, advance: Callable[[int], None]) -> None:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    with scratch.open("r+b") as file:
        for piece in _pieces(path, size):
            file.write(packer.compress(piece))
            advance(len(piece))
        file.write(packer.flush())
        file.flush()
        sync_data(file.fileno())


def _pieces(path: Path, size: int) -> Iterator[bytes]:
    fd = open_to_read(path)
    try:
        offset = 0
        while offset < size and (piece := read_at(fd, min(_PIECE_BYTES, size - offset), offset)):
            yield piece
            offset += len(piece)
    finally:
        os.close(fd)


def _is_the_same(path: Path, scratch: Path, size: int) -> bool:
    """
    Read a compressed file back to its end, its checksum included.
    """
    packed = PackedFile(scratch)
    is_equal = all(plain == again for plain, again in _pairs(path, packed))
    return is_equal and packed.end == size and packed.is_over and not packed.is_damaged


def _pairs(path: Path, packed: PackedFile) -> Iterator[tuple[bytes, bytes]]:
    """
    Yield pieces of a plain file beside those of a compressed one, until both have ended.
    """
    fd = open_to_read(path)
    try:
        offset = 0
        while True:
            plain = read_at(fd, _PIECE_BYTES, offset)
            again = packed.read_at(_PIECE_BYTES, offset)
            yield plain, again
            if not (plain and again):
                return
            offset += len(again)
    finally:
        os.close(fd)


def _retire(path: Path, fd: int, status: os.stat_result) -> None:
    """
    Remove the plain file, if it still is what was compressed.
    """
    found = path.lstat()
    if identity_of(found) != identity_of(status) or found.st_size != status.st_size:
        raise ChangedSegmentError(
            f"{path} must stay as it is while it is compressed (it was written to); ask again"
        )
    path.unlink()
    sync_directory(path.parent)
    _keep_late(path, fd, status.st_size)


def _keep_late(path: Path, fd: int, size: int) -> None:
    """
    Give what was written at the very last moment, to the file that has just gone, one of its own.
    """
    late = b""
    while piece := read_at(fd, _PIECE_BYTES, size + len(late)):
        late += piece
    if late:
        writer = new_writer()
        beside = path.with_name(segment_name(day_in(path.name), writer))
        create_exclusively(beside, header_line(new_writer(), int(time.time()), writer) + late)
        sync_directory(path.parent)
