"""
Locks on bytes of an open file, as each system has them.

On POSIX they belong to the process: closing any descriptor of the file drops all of them, which
`telemetry.runtime.locks` prevents.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from typing import Optional

#: Locks of one file that are named.
MAX_HOLDERS = 1000
_DENIED = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})

if sys.platform == "win32":
    import msvcrt

    def _claim(fd: int, offset: int) -> None:
        os.lseek(fd, offset, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

    def unlock(fd: int, offset: int) -> None:
        """
        Give a byte up.
        """
        os.lseek(fd, offset, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

    def is_denied(fd: int, offset: int) -> bool:
        """
        Tell whether another process has locked a byte.
        """
        return _is_denied_by_trying(fd, offset)

    def holders_in(fd: int) -> list[tuple[int, int]]:
        """
        Return which bytes other processes have locked, as far as the system tells.
        """
        return []

else:
    import fcntl

    def _claim(fd: int, offset: int) -> None:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset, os.SEEK_SET)

    def unlock(fd: int, offset: int) -> None:
        """
        Give a byte up.
        """
        fcntl.lockf(fd, fcntl.LOCK_UN, 1, offset, os.SEEK_SET)

    #: ``struct flock`` and where its ``l_type`` stands, where the layout is known.
    if sys.platform == "linux" and struct.calcsize("P") == 8:  # noqa: PLR2004 (bytes of a pointer)
        _FLOCK: Optional[struct.Struct] = struct.Struct("@hhqqi4x")
        _TYPE_INDEX = 0
    elif sys.platform == "darwin":
        _FLOCK, _TYPE_INDEX = struct.Struct("@qqihh"), 3
    else:
        _FLOCK, _TYPE_INDEX = None, 0

    def is_denied(fd: int, offset: int) -> bool:
        """
        Tell whether another process has locked a byte.
        """
        if _FLOCK is None:
            return _is_denied_by_trying(fd, offset)
        return _conflict(fd, offset, 1) is not None

    def _conflict(fd: int, offset: int, length: int) -> Optional[tuple[int, int, int]]:
        """
        Return start, length and process of the first lock in a range; a length of 0 has no end.
        """
        if _FLOCK is None:
            return None
        kind, whence = fcntl.F_WRLCK, os.SEEK_SET
        if _TYPE_INDEX == 0:
            question = _FLOCK.pack(kind, whence, offset, length, 0)
        else:
            question = _FLOCK.pack(offset, length, 0, kind, whence)
        answer = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, question))
        if answer[_TYPE_INDEX] == fcntl.F_UNLCK:
            return None
        start, extent, pid = answer[2:5] if _TYPE_INDEX == 0 else answer[:3]
        return start, extent, pid

    def holders_in(fd: int) -> list[tuple[int, int]]:
        """
        Return which bytes other processes have locked, as far as the system tells.
        """
        found: list[tuple[int, int]] = []
        offset = 0
        while len(found) < MAX_HOLDERS:
            conflict = _conflict(fd, offset, 0)
            if conflict is None:
                break
            start, extent, pid = conflict
            found.append((start, pid))
            if extent == 0:  # up to the end, wherever that is
                break
            offset = start + extent
        return found


def lock(fd: int, offset: int) -> bool:
    """
    Lock a byte; False if another process has.
    """
    try:
        _claim(fd, offset)
    except OSError as error:
        if error.errno in _DENIED:
            return False
        raise
    return True


def _is_denied_by_trying(fd: int, offset: int) -> bool:
    if not lock(fd, offset):
        return True
    unlock(fd, offset)
    return False
