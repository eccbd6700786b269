"""
Locks on single bytes of a file: they end with their process, however it ends, and never later.

POSIX record locks are owned by the process, not by a handle: a forked child does not hold them, and
closing *any* descriptor of the file drops all of them. So each file is opened once per process, in
the registry below, which also answers for the locks that this process holds itself (the system
never says that a process is locked out by itself). The files are never unlinked: a lock on an
unlinked file excludes nobody.
"""

from __future__ import annotations

import os
from _thread import RLock
from typing import TYPE_CHECKING, Optional

import attrs

from telemetry.runtime.bytelocks import holders_in, is_denied, lock, unlock
from telemetry.runtime.forks import on_fork_in_child
from telemetry.storage.appendfile import open_private

if TYPE_CHECKING:
    from pathlib import Path

_FLAGS = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


@attrs.define(eq=False)
class _LockFile:
    """
    The one descriptor of a file, and which bytes this process has locked.
    """

    fd: int
    key: tuple[int, int]
    held: set[int] = attrs.field(factory=set)
    #: Descriptors that turned out to be of the same file; closing one early would drop its locks.
    spare: list[int] = attrs.field(factory=list)
    is_lost: bool = False


class _Registry:
    """
    The files of this process, by device and inode.
    """

    def __init__(self) -> None:
        self.is_watching_forks = False
        self.after_fork()

    def after_fork(self) -> None:
        """
        Hold nothing: record locks stay with the parent, and so do its file positions.
        """
        for file in getattr(self, "files", {}).values():
            file.is_lost = True
        self.pid = os.getpid()
        self.mutex = RLock()
        self.files: dict[tuple[int, int], _LockFile] = {}

    def check(self) -> None:
        """
        Notice a fork that went past Python's own hooks.
        """
        if self.pid != os.getpid():
            self.after_fork()
        if not self.is_watching_forks:
            self.is_watching_forks = True
            on_fork_in_child(self.after_fork)

    def open(self, path: Path) -> _LockFile:
        """
        Return the file that the path names now; call it with the mutex held.
        """
        try:
            status = path.stat()
        except FileNotFoundError:
            pass
        else:
            known = self.files.get((status.st_dev, status.st_ino))
            if known is not None:
                return known
        fd = open_private(path, _FLAGS)
        os.set_inheritable(fd, False)
        status = os.fstat(fd)
        key = (status.st_dev, status.st_ino)
        known = self.files.get(key)
        if known is not None:
            known.spare.append(fd)
            return known
        file = self.files[key] = _LockFile(fd, key)
        return file

    def close_if_idle(self, file: _LockFile) -> None:
        """
        Close a file that nothing is locked in; call it with the mutex held.
        """
        if file.held or file.is_lost:
            return
        self.files.pop(file.key, None)
        for fd in (file.fd, *file.spare):
            os.close(fd)


_registry = _Registry()


class RecordLock:
    """
    An exclusive lock on one byte of a file, which need not be that long.

    It excludes other processes and other objects of this process alike. Safe from any thread; a
    forked child never holds its parent's.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.offset = offset
        self._file: Optional[_LockFile] = None

    @property
    def held(self) -> bool:
        """
        Return whether this object holds the lock, in this process.
        """
        file = self._file
        return file is not None and not file.is_lost and _registry.pid == os.getpid()

    def try_acquire(self) -> bool:
        """
        Take the lock if it is free; True if it is held now, by this very object.

        Called while it is held, it makes sure that the path still names the locked file, and locks
        the new one if somebody replaced it.

        Raises:
            OSError: The file cannot be opened, or its file system has no locks.
        """
        _registry.check()
        with _registry.mutex:
            file = _registry.open(self.path)
            if self.held:
                if file is self._file:
                    return True
                self.release()
            if self.offset in file.held:
                return False
            try:
                is_taken = lock(file.fd, self.offset)
            except OSError:
                _registry.close_if_idle(file)
                raise
            if is_taken:
                file.held.add(self.offset)
                self._file = file
            else:
                _registry.close_if_idle(file)
            return is_taken

    def release(self) -> None:
        """
        Give the lock up; nothing happens if it is not held.
        """
        _registry.check()
        with _registry.mutex:
            file, self._file = self._file, None
            if file is None or file.is_lost:
                return
            file.held.discard(self.offset)
            unlock(file.fd, self.offset)
            _registry.close_if_idle(file)


def locked_by_another(path: Path, offset: int = 0) -> bool:
    """
    Return whether somebody holds a byte: another process, or any `RecordLock` of this one.

    A file that does not exist is locked by nobody, and is not created.

    Raises:
        OSError: The file cannot be opened, or its file system has no locks.
    """
    _registry.check()
    with _registry.mutex:
        if not path.exists():
            return False
        file = _registry.open(path)
        try:
            return offset in file.held or is_denied(file.fd, offset)
        finally:
            _registry.close_if_idle(file)


def holders(path: Path) -> list[tuple[int, int]]:
    """
    Return which bytes of a file other processes have locked: offset and process id of each.

    Nothing where the system does not tell, and at most `bytelocks.MAX_HOLDERS`; a file that does
    not exist is locked by nobody, and is not created.

    Raises:
        OSError: The file cannot be opened, or its file system has no locks.
    """
    _registry.check()
    with _registry.mutex:
        if not path.exists():
            return []
        file = _registry.open(path)
        try:
            return holders_in(file.fd)
        finally:
            _registry.close_if_idle(file)
