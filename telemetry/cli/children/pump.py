"""
Bytes passed on as they come, unchanged, with their end remembered. POSIX only.
"""

from __future__ import annotations

import errno
import os
import select
import selectors
from contextlib import suppress
from typing import Callable, Optional

from telemetry.cli.children import terminals
from telemetry.cli.children.tails import Tail

READ_BYTES = 65_536
_STDERR = 2
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Channel:
    """
    One stream of a child's output, on its way to one of ours.
    """

    def __init__(self, source: int, target: int, tail: Tail) -> None:
        self.source = source
        self._target: Optional[int] = target
        self._tail = tail

    def pass_on(self) -> bool:
        """
        Pass on what is there; return False at the end.

        Where our own reader has gone, the child learns it as it would without us: by SIGPIPE.
        """
        try:
            piece = os.read(self.source, READ_BYTES)
        except OSError:  # a pseudo terminal that the last writer has left
            return False
        if not piece:
            return False
        self._tail.feed(piece)
        return self._target is not None and write_all(self._target, piece)


class Keyboard:
    """
    Our terminal's keys, on their way to the child's terminal.

    Never blocks on a child that does not read: what it has not taken waits, and no more is read.
    """

    def __init__(self, source: int, target: int, suspend: Callable[[], None]) -> None:
        self.source = source
        self.target = os.dup(target)
        os.set_blocking(self.target, False)
        self._waiting = b""
        self._suspend = suspend

    def pass_on(self) -> bool:
        """
        Read keys and write what the child's terminal takes; return False at the end.
        """
        try:
            if not self._waiting:
                self._waiting = os.read(self.source, READ_BYTES)
                if not self._waiting:
                    return False
                self._take_suspend_key()
            self._waiting = self._waiting[os.write(self.target, self._waiting) :]
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def _take_suspend_key(self) -> None:
        """
        Act on Ctrl+Z here: the system stops no process whose session has no shell in it.
        """
        key = terminals.suspend_key(self.target)
        if key and key in self._waiting:
            self._waiting = self._waiting.replace(key, b"")
            self._suspend()

    @property
    def is_full(self) -> bool:
        """
        Return whether keys wait for the child.
        """
        return bool(self._waiting)


class Pump:
    """
    Everything that is passed on, in one loop on one thread.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._open = 0
        self._keyboard: Optional[Keyboard] = None

    @property
    def has_output(self) -> bool:
        """
        Return whether more of the child's output may come.
        """
        return self._open > 0

    def watch(self, fd: int, wake: Callable[[], None]) -> None:
        """
        Call a function when a descriptor can be read.
        """
        self._selector.register(fd, selectors.EVENT_READ, wake)

    def add_channel(self, channel: Channel) -> None:
        """
        Pass a channel's bytes on until it ends.
        """
        self._open += 1

        def turn() -> None:
            if not channel.pass_on():
                self._selector.unregister(channel.source)
                os.close(channel.source)
                self._open -= 1

        self.watch(channel.source, turn)

    def add_keyboard(self, keyboard: Keyboard) -> None:
        """
        Pass keys on until there are no more.
        """
        self._keyboard = keyboard
        self.watch(keyboard.source, self._turn_keyboard)

    def drop_keyboard(self) -> None:
        """
        Leave the keys to whoever reads the terminal next.
        """
        keyboard, self._keyboard = self._keyboard, None
        if keyboard is not None:
            self._selector.unregister(keyboard.target if keyboard.is_full else keyboard.source)
            os.close(keyboard.target)

    def turn(self, timeout_s: Optional[float] = None) -> bool:
        """
        Deal with what is ready; return False where nothing was in time.
        """
        ready = self._selector.select(timeout_s)
        for key, _ in ready:
            key.data()
        return bool(ready)

    def close(self) -> None:
        """
        Release what is left.
        """
        self.drop_keyboard()
        self._selector.close()

    def _turn_keyboard(self) -> None:
        keyboard = self._keyboard
        if keyboard is None:
            return
        was_full = keyboard.is_full
        if not keyboard.pass_on():
            self._keyboard = None
            self._selector.unregister(keyboard.target if was_full else keyboard.source)
            os.close(keyboard.target)
        elif keyboard.is_full != was_full:
            self._selector.unregister(keyboard.target if was_full else keyboard.source)
            fd = keyboard.target if keyboard.is_full else keyboard.source
            event = selectors.EVENT_WRITE if keyboard.is_full else selectors.EVENT_READ
            self._selector.register(fd, event, self._turn_keyboard)


def write_all(fd: int, piece: bytes) -> bool:
    """
    Write all of a piece; return False where nobody can take it any more.

    A disk that is full is said, since a command that has written its last does not learn of it.
    """
    view = memoryview(piece)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:  # somebody else made the descriptor so
            select.select([], [fd], [])
        except OSError as error:
            if error.errno in _FULL:
                _say(
                    f"the output must find room where it goes ({error.strerror}); the rest is lost"
                )
            return False
    return True


def _say(text: str) -> None:
    with suppress(OSError):
        os.write(_STDERR, f"telemetry run: {text}\n".encode())
