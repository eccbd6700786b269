"""
How a process notices that it is a forked child, at the cost of reading one byte.

Python's own fork hooks miss a fork that a C library makes. On Linux a page of memory can be had
that the kernel empties in every child (madvise(2), MADV_WIPEONFORK, Linux 4.14); elsewhere the
process id is asked for.
"""

from __future__ import annotations

import mmap
import os
from typing import Protocol

#: From Linux's <asm-generic/mman-common.h>; the `mmap` module does not name it.
_MADV_WIPEONFORK = 18


class ForkMark(Protocol):
    """
    Something whose item 0 is true in the process that made it, and false in each forked child.
    """

    def __getitem__(self, index: int, /) -> int:
        """
        Return whether this is the process that made it.
        """


class _ProcessId:
    """
    The mark where memory cannot tell.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()

    def __getitem__(self, _: int, /) -> int:
        return os.getpid() == self._pid


def fork_mark() -> ForkMark:
    """
    Return a mark of this process; one of its own for each caller.
    """
    if not hasattr(os, "fork"):
        return [1]
    if not hasattr(mmap, "MAP_ANONYMOUS"):
        return _ProcessId()
    page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        page.madvise(_MADV_WIPEONFORK)
    except OSError:
        return _ProcessId()
    page[0] = 1
    return page
