"""
One connection, kept to the thread and the process that opened it.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sqlite3
import threading
import weakref
from _thread import RLock
from typing import TYPE_CHECKING, Callable, Optional

from telemetry.storage.sqlite import identity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: How long a fork waits for a batch that is being written, in seconds.
FORK_WAIT_S = 1.0

#: Connections inherited through a fork. Closing one could drop the parent's locks, or wait for a
#: mutex whose owner does not exist in this process; they are never touched again.
_parked: list[sqlite3.Connection] = []
_handles: weakref.WeakSet[Handle] = weakref.WeakSet()
_held_for_fork: list[Handle] = []
_is_hooked = False


class Handle:
    """
    The connection of the thread that asks, opened when it first does.

    Used by one thread at a time; another thread's connection is closed and a new one opened. While
    it is `held`, a fork waits: SQLite has process-wide mutexes, and a child that is born while
    another thread holds one could never use SQLite.
    """

    def __init__(self, path: Path, connect: Callable[[], sqlite3.Connection]) -> None:
        self._path = path
        self._connect = connect
        self._connection: Optional[sqlite3.Connection] = None
        self._owner = (0, 0)
        self._file: Optional[tuple[int, int]] = None
        self._lock = RLock()
        _hook()
        _handles.add(self)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """
        Keep forks and other threads off for as long as the connection is at work.
        """
        with self._lock:
            yield

    def get(self) -> sqlite3.Connection:
        """
        Return the connection of this thread.
        """
        if self._connection is not None and self._owner != _here():
            self.drop()
        if self._connection is None:
            self._connection = self._connect()
            self._owner = _here()
            self._file = identity(self._path)
        return self._connection

    @property
    def file(self) -> Optional[tuple[int, int]]:
        """
        Return which file is open; None while none is.
        """
        return self._file

    def was_replaced(self) -> bool:
        """
        Return whether the path no longer names the file that is open.
        """
        return self._file is not None and identity(self._path) != self._file

    def drop(self) -> None:
        """
        Close the connection, or park it where it is another process's.
        """
        connection, self._connection, self._file = self._connection, None, None
        if connection is None:
            return
        if self._owner[0] != os.getpid():  # pragma: no cover (runs in a forked child)
            _park(connection)
            return
        with contextlib.suppress(sqlite3.Error):
            connection.close()

    def _before_fork(self) -> bool:
        return self._lock.acquire(timeout=FORK_WAIT_S)

    def _after_fork_in_parent(self) -> None:
        self._lock.release()

    def _after_fork_in_child(self) -> None:  # pragma: no cover (runs in a forked child)
        self._lock = RLock()
        self.drop()


def _here() -> tuple[int, int]:
    return os.getpid(), threading.get_ident()


def _park(connection: sqlite3.Connection) -> None:  # pragma: no cover (runs in a forked child)
    if not _parked:
        atexit.register(_leak_parked)
    _parked.append(connection)


def _leak_parked() -> None:  # pragma: no cover (runs in a forked child)
    """
    Outlive the interpreter's own clearing-up, which would close them.
    """
    with contextlib.suppress(ImportError, AttributeError):
        import ctypes

        for connection in _parked:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def _hook() -> None:
    """
    Register once per process: hooks of a fork cannot be taken back.
    """
    global _is_hooked  # noqa: PLW0603 (a process has one hook)
    if not _is_hooked and hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_before_fork,
            after_in_parent=_after_fork_in_parent,
            after_in_child=_after_fork_in_child,
        )
    _is_hooked = True


def _before_fork() -> None:
    _held_for_fork.extend(handle for handle in list(_handles) if handle._before_fork())  # noqa: SLF001


def _after_fork_in_parent() -> None:
    while _held_for_fork:
        _held_for_fork.pop()._after_fork_in_parent()  # noqa: SLF001


def _after_fork_in_child() -> None:  # pragma: no cover (runs in a forked child)
    _held_for_fork.clear()
    for handle in list(_handles):
        handle._after_fork_in_child()  # noqa: SLF001
