"""
Bodies sent compressed, unpacked in pieces: a small body that unpacks to a huge one costs one piece.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Callable

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


def gunzip(packed: bytes) -> Iterator[bytes]:
    """
    Yield what a gzip body holds, in pieces.

    Raises:
        PackedBodyError: It is damaged or cut short.
    """
    inflater = zlib.decompressobj(_GZIP_FORMAT)
    members_count = 1
    for start in range(0, len(packed), _GZIP_SLICE_BYTES):
        rest = packed[start : start + _GZIP_SLICE_BYTES]
        while rest:
            if inflater.eof:
                members_count += 1
                if members_count > MAX_MEMBERS:
                    raise PackedBodyError(f"more than {MAX_MEMBERS} members")
                inflater = zlib.decompressobj(_GZIP_FORMAT)
            try:
                piece = inflater.decompress(rest, PIECE_BYTES)
            except zlib.error as error:
                raise PackedBodyError("not gzip, or damaged") from error
            rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            if piece:
                yield piece
    yield from _remaining(inflater)


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
    import zstandard

    reader = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
    inflater = reader.decompressobj()
    members_count = 1
    held: list[bytes] = []
    held_bytes = 0
    for start in range(0, len(packed), _ZSTD_SLICE_BYTES):
        rest = packed[start : start + _ZSTD_SLICE_BYTES]
        while rest:
            if inflater.eof:
                members_count += 1
                if members_count > MAX_MEMBERS:
                    raise PackedBodyError(f"more than {MAX_MEMBERS} frames")
                inflater = reader.decompressobj()
            try:
                piece = inflater.decompress(rest)
            except zstandard.ZstdError as error:
                raise PackedBodyError("not zstd, damaged, or with too large a window") from error
            rest = inflater.unused_data if inflater.eof else b""
            held.append(piece)
            held_bytes += len(piece)
            if held_bytes >= PIECE_BYTES:
                yield b"".join(held)
                held, held_bytes = [], 0
    if not inflater.eof:
        raise PackedBodyError("cut short")
    yield b"".join(held)


#: The encodings that are understood, as Content-Encoding names them.
INFLATERS: Mapping[bytes, Callable[[bytes], Iterator[bytes]]] = {
    b"gzip": gunzip,
    b"x-gzip": gunzip,
    b"zstd": unzstd,
}
