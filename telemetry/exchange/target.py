"""
Where an export goes: a file that is whole or not there, or a stream.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from telemetry.model.errors import UsageError
from telemetry.storage.appendfile import open_new

_FLAGS = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_COPIED_BYTES = 1 << 20


@contextmanager
def whole_file(path: Path, *, replaces: bool) -> Iterator[BinaryIO]:
    """
    Give a file under a temporary name, which takes its own name when all is written.

    For its owner alone, whatever the umask. Where anything fails, nothing is left behind and what
    was there before stays.

    Args:
        replaces: Whether a file that is there may be replaced.

    Raises:
        UsageError: There is a file already, or no file can be there.
        OSError: It cannot be written.
    """
    _check(path, replaces=replaces)
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")
    with os.fdopen(open_new(temporary, _FLAGS), "w+b") as file:
        try:
            yield cast("BinaryIO", file)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            file.close()
            with suppress(OSError):
                temporary.unlink()
            raise
    try:
        _check(path, replaces=replaces)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def _check(path: Path, *, replaces: bool) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise UsageError(
                f"directory {path.parent} must exist to export into; make it, or choose another"
            ) from None
        return
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path} must be a file to export into; choose another, or - for a stream")
    if not replaces:
        raise UsageError(f"file {path} must not exist yet; choose another, or replace it: --force")


@contextmanager
def through_a_file(stream: BinaryIO) -> Iterator[BinaryIO]:
    """
    Give a file that can be sought in, and copy it to a stream at the end.
    """
    with tempfile.TemporaryFile(prefix="telemetry-export-") as file:
        yield cast("BinaryIO", file)
        file.seek(0)
        while piece := file.read(_COPIED_BYTES):
            stream.write(piece)
