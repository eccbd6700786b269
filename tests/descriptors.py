"""
Which files this process has open, as Linux tells it.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

FD = Path("/proc/self/fd")
needs_proc = pytest.mark.skipif(not FD.is_dir(), reason="needs /proc")


def open_below(directory):
    """
    Return the open files of a directory, one for each descriptor: others belong to others.
    """
    place = directory.resolve()
    found = []
    for descriptor in FD.iterdir():
        with contextlib.suppress(OSError):  # the one that lists them
            found.append(descriptor.readlink())
    return [path for path in found if place in path.parents]
