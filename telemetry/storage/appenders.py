"""
Which processes can still write to a file, where the system tells.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from telemetry.storage.appendfile import identity_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from telemetry.storage.appendfile import Identity

_PROCESSES = Path("/proc")
_WRITING = os.O_WRONLY | os.O_RDWR
_FLAGS = "flags:"


def appenders_of(paths: Collection[Path]) -> dict[Path, list[int]]:
    """
    Return the processes that have one of these files open for writing, by file.

    Only Linux tells, and only of processes that this user may look into; elsewhere none is found.
    """
    wanted: dict[Identity, Path] = {}
    for path in paths:
        with suppress(OSError):
            wanted[identity_of(path.stat())] = path
    names = {path.name for path in paths}
    found: dict[Path, list[int]] = {}
    for process in _processes():
        for identity in _writes(process, names):
            if identity in wanted:
                pids = found.setdefault(wanted[identity], [])
                if int(process.name) not in pids:
                    pids.append(int(process.name))
    return found


def _processes() -> list[Path]:
    try:
        return [entry for entry in _PROCESSES.iterdir() if entry.name.isdecimal()]
    except OSError:
        return []


def _writes(process: Path, names: Collection[str]) -> Iterator[Identity]:
    """
    Yield the files of these names that a process has open for writing.
    """
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:  # it has ended, or is another user's
        return
    for descriptor in descriptors:
        with suppress(OSError, ValueError):
            # Most descriptors lead elsewhere: the name is cheaper than the file's status.
            if os.path.basename(os.readlink(descriptor)) not in names:  # noqa: PTH115, PTH119 (a descriptor's text, often of no file)
                continue
            if _is_for_writing(process / "fdinfo" / descriptor.name):
                yield identity_of(descriptor.stat())


def _is_for_writing(info: Path) -> bool:
    for line in info.read_text(encoding="ascii").splitlines():
        if line.startswith(_FLAGS):
            return bool(int(line[len(_FLAGS) :], 8) & _WRITING)
    return False
