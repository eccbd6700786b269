"""
The end of a child's output, kept as it goes by.
"""

from __future__ import annotations

import re
from collections import deque

#: Where a cut leaves a whole piece behind it: what hides secrets must not see half of one.
_SEAM = re.compile(rb"[\s\"'=,;:&]")
_LINE = re.compile(rb"\n")
_TERMINAL_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)|[@-Z\\^_=>()][0-9A-B]?)"
)
_OVERWRITTEN = re.compile(r"[^\n]*\r(?=[^\n])")


class Tail:
    """
    The last bytes of a stream, at most a number of them, in constant memory.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: deque[bytes] = deque()
        self._kept = 0
        self.total_bytes = 0

    def feed(self, piece: bytes) -> None:
        """
        Add what was just passed on.
        """
        self.total_bytes += len(piece)
        self._pieces.append(piece[-self._limit :] if self._limit else b"")
        self._kept += len(self._pieces[-1])
        while self._kept - len(self._pieces[0]) >= self._limit and len(self._pieces) > 1:
            self._kept -= len(self._pieces.popleft())

    def text(self) -> str:
        """
        Return the end of the stream as text.

        It begins at a line, or at least at a word; colours and what a progress bar drew over
        itself are left out.
        """
        whole = b"".join(self._pieces)
        kept = whole[-self._limit :] if self._limit else b""
        if len(kept) < self.total_bytes:
            kept = _from_seam(kept)
        text = kept.decode("utf-8", "replace").replace("\r\n", "\n")
        return _OVERWRITTEN.sub("", _TERMINAL_SEQUENCE.sub("", text))


def last_part(text: str, length: int) -> str:
    """
    Return the end of a text, at most so many characters, from the beginning of a line on.
    """
    if len(text) <= length:
        return text
    kept = text[-length:]
    return kept.partition("\n")[2] or kept.partition(" ")[2]


def _from_seam(kept: bytes) -> bytes:
    found = _LINE.search(kept) or _SEAM.search(kept)
    return kept[found.end() :] if found else b""
