"""
Segments that were compressed: read forwards, at the offsets that they had before.

A cursor in a segment stays right when the segment is compressed, because offsets count the bytes of
the lines. Going back means to inflate from the beginning, so what is read next is kept at hand.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, NamedTuple

from telemetry.storage.appendfile import Identity, identity_of, open_to_read, read_at

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX = ".gz"
#: Bytes before what is read next that are kept, for the checksum that a cursor carries.
KEPT_BYTES = 1024
_PACKED_BYTES = 1 << 18
_UNPACKED_BYTES = 1 << 22
_GZIP_WINDOW = 31
_TRAILER_BYTES = 8
#: Beyond it the four bytes that a file ends with may not say its whole size.
_LARGEST_SURE_BYTES = 1 << 27


class Size(NamedTuple):
    """
    How long a compressed file is.
    """

    packed: int
    #: As its end says it.
    unpacked: int


class PackedFile:
    """
    One compressed file on its way through a reader; it holds no descriptor between calls.

    Not safe from several threads at once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity = Identity(-1, -1)
        self._rewind()

    @property
    def end(self) -> int:
        """
        Return the offset up to which it was inflated.
        """
        return self._start + len(self._window)

    def read_at(self, count: int, offset: int) -> bytes:
        """
        Return up to `count` bytes from an offset; fewer only at the end, or before damage.

        Raises:
            OSError: The file has gone, or cannot be read.
        """
        fd = open_to_read(self.path)
        try:
            identity = identity_of(os.fstat(fd))
            if identity != self._identity or offset < self._start:
                self._rewind()
                self._identity = identity
            while self.end < offset + count and not self.is_over:
                self._forget(min(offset, self.end) - KEPT_BYTES)
                self._inflate(fd)
        finally:
            os.close(fd)
        at = max(0, offset - self._start)
        return self._window[at : at + count]

    def _rewind(self) -> None:
        self._inflater = zlib.decompressobj(_GZIP_WINDOW)
        self._packed_at = 0
        self._waiting = b""
        self._window = b""
        self._start = 0
        #: Whether nothing more can be read.
        self.is_over = False
        #: Whether it ends otherwise than it should.
        self.is_damaged = False

    def _forget(self, offset: int) -> None:
        if offset > self._start:
            self._window = self._window[offset - self._start :]
            self._start = offset

    def _inflate(self, fd: int) -> None:
        """
        Take in one more piece.
        """
        if not self._waiting:
            self._waiting = read_at(fd, _PACKED_BYTES, self._packed_at)
            self._packed_at += len(self._waiting)
        if not self._waiting:
            self.is_over = True
            self.is_damaged = not self._inflater.eof
            return
        if self._inflater.eof:  # another member behind the first
            self._inflater = zlib.decompressobj(_GZIP_WINDOW)
        try:
            self._window += self._inflater.decompress(self._waiting, _UNPACKED_BYTES)
        except zlib.error:
            self.is_over = self.is_damaged = True
            return
        self._waiting = self._inflater.unused_data or self._inflater.unconsumed_tail


def is_packed(path: Path) -> bool:
    """
    Return whether a file is a compressed segment, by its name.
    """
    return path.name.endswith(SUFFIX)


def packed_name(name: str) -> str:
    """
    Return the name that a plain segment has once it is compressed.
    """
    return name + SUFFIX


def plain_name(name: str) -> str:
    """
    Return the name that a segment had before it was compressed, if it was.
    """
    return name.removesuffix(SUFFIX)


def size_of(path: Path) -> Size:
    """
    Return a compressed file's sizes; the large are inflated to be sure.

    Raises:
        OSError: The file has gone, or cannot be read.
    """
    fd = open_to_read(path)
    try:
        packed = os.fstat(fd).st_size
        trailer = read_at(fd, 4, max(0, packed - 4))
    finally:
        os.close(fd)
    if packed <= _LARGEST_SURE_BYTES:
        return Size(packed, int.from_bytes(trailer, "little") if packed > _TRAILER_BYTES else 0)
    file = PackedFile(path)
    while not file.is_over:
        file.read_at(_UNPACKED_BYTES, file.end)
    return Size(packed, file.end)
