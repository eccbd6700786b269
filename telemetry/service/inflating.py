"""
Bodies sent compressed, unpacked in pieces: a small body that unpacks to a huge one costs one piece.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Callable, Generic, Protocol, TypeVar

PIECE_BYTES = 256 << 10
_GZIP_SLICE_BYTES = 64 << 10
#: zstandard has no bound on what one call unpacks; so many bytes hold at most 64 blocks of 128 KiB.
_ZSTD_SLICE_BYTES = 256
_ZSTD_WINDOW_BYTES = 16 << 20
#: One file compressed piece by piece has as many members; more of them only cost time.
MAX_MEMBERS = 1000
_GZIP_FORMAT = 31


class PackedBodyError(ValueError):
    """
    A body is not compressed as it says, or not whole.
    """


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...


InflaterType = TypeVar("InflaterType", bound=_Inflater)


class _Members(Generic[InflaterType]):
    """
    The inflaters of a body, one for each of its members.

    Args:
        make: Returns a new one.
        noun: What such a format calls its members.
    """

    def __init__(self, make: Callable[[], InflaterType], noun: str) -> None:
        self._make = make
        self._noun = noun
        self._count = 1
        #: That of the last member so far.
        self.last = make()

    def present(self) -> InflaterType:
        """
        Return the inflater of the bytes that come next.

        Raises:
            PackedBodyError: There are too many members.
        """
        if self.last.eof:
            self._count += 1
            if self._count > MAX_MEMBERS:
                raise PackedBodyError(f"more than {MAX_MEMBERS} {self._noun}")
            self.last = self._make()
        return self.last


def gunzip(packed: bytes) -> Iterator[bytes]:
    """
    Yield what a gzip body holds, in pieces.

    Raises:
        PackedBodyError: It is damaged or cut short.
    """
    members = _Members(lambda: zlib.decompressobj(_GZIP_FORMAT), "members")
    for one in _slices(packed, _GZIP_SLICE_BYTES):
        rest = one
        while rest:
            inflater = members.present()
            try:
                piece = inflater.decompress(rest, PIECE_BYTES)
            except zlib.error as error:
                raise PackedBodyError("not gzip, or damaged") from error
            rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            if piece:
                yield piece
    yield from _remaining(members.last)


def _slices(packed: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(packed), size):
        yield packed[start : start + size]


def _remaining(inflater: zlib._Decompress) -> Iterator[bytes]:
    """
    Yield what the last call held back for want of room, and check that the end was there.
    """
    while not inflater.eof:
        piece = inflater.decompress(b"", PIECE_BYTES)
        if not piece:
            raise PackedBodyError("cut short")
        yield piece


def unzstd(packed: bytes) -> Iterator[bytes]:
    """
    Yield what a zstd body holds, in pieces.

    Raises:
        PackedBodyError: It is damaged or cut short, or needs too much memory.
    """
    held: list[bytes] = []
    held_bytes = 0
    for piece in _unzstd_slices(packed):
        held.append(piece)
        held_bytes += len(piece)
        if held_bytes >= PIECE_BYTES:
            yield b"".join(held)
            held, held_bytes = [], 0
    yield b"".join(held)


def _unzstd_slices(packed: bytes) -> Iterator[bytes]:
    """
    Yield what each small slice holds, and check that the end was there.
    """
    import zstandard

    reader = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
    members = _Members(reader.decompressobj, "frames")
    for one in _slices(packed, _ZSTD_SLICE_BYTES):
        rest = one
        while rest:
            inflater = members.present()
            try:
                piece = inflater.decompress(rest)
            except zstandard.ZstdError as error:
                raise PackedBodyError("not zstd, damaged, or with too large a window") from error
            rest = inflater.unused_data if inflater.eof else b""
            yield piece
    if not members.last.eof:
        raise PackedBodyError("cut short")


#: The encodings that are understood, as Content-Encoding names them.
INFLATERS: Mapping[bytes, Callable[[bytes], Iterator[bytes]]] = {
    b"gzip": gunzip,
    b"x-gzip": gunzip,
    b"zstd": unzstd,
}
