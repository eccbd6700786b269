"""
Terminals for a child: a pseudo terminal where ours is one, so that colours and prompts stay.

POSIX only; imported where a terminal is at hand.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios
import tty
from typing import Any, Optional

_NO_SIZE = struct.pack("HHHH", 0, 0, 0, 0)
_OFLAG, _LFLAG, _CC = 1, 3, 6


def is_terminal(fd: int) -> bool:
    """
    Return whether a descriptor is a terminal; a closed one is not.
    """
    try:
        return os.isatty(fd)
    except OSError:
        return False


def in_foreground(fd: int) -> bool:
    """
    Return whether this process may read from a terminal without being stopped.
    """
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False


def shares_terminal() -> bool:
    """
    Return whether Ctrl+C reaches this process's group by itself.
    """
    try:
        fd = os.open(os.ctermid(), os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return in_foreground(fd)
    finally:
        os.close(fd)


def open_like(fd: int, *, translate: bool) -> tuple[int, int]:
    """
    Return a pseudo terminal's two ends, set like a terminal.

    Args:
        translate: Whether it turns newlines into carriage return and newline itself; not where the
            terminal behind it does.
    """
    master, slave = os.openpty()
    modes = termios.tcgetattr(fd)
    if not translate:
        modes[_OFLAG] &= ~termios.OPOST
    termios.tcsetattr(slave, termios.TCSANOW, modes)
    copy_size(fd, master)
    return master, slave


def copy_size(source: int, target: int) -> None:
    """
    Give a terminal the number of lines and columns of another.
    """
    try:
        size = fcntl.ioctl(source, termios.TIOCGWINSZ, _NO_SIZE)
        fcntl.ioctl(target, termios.TIOCSWINSZ, size)
    except OSError:
        return


def suspend_key(fd: int) -> bytes:
    """
    Return the key that suspends, Ctrl+Z; empty while a program takes every key itself.
    """
    try:
        modes = termios.tcgetattr(fd)
    except (OSError, termios.error):
        return b""
    key = modes[_CC][termios.VSUSP] if modes[_LFLAG] & termios.ISIG else b"\0"
    return b"" if key == b"\0" else bytes(key)


def signal_foreground(fd: int, number: int) -> None:
    """
    Send a signal to the processes that a terminal's keys would reach.
    """
    try:
        os.killpg(os.tcgetpgrp(fd), number)
    except OSError:
        return


def take_as_controlling() -> None:
    """
    Make standard input the controlling terminal; called in the child, leader of a new session.
    """
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class RawMode:
    """
    A terminal that hands every key on, until it is given back.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._saved: Optional[list[Any]] = None

    def enter(self) -> None:
        """
        Stop the terminal from interpreting keys and newlines.
        """
        if self._saved is None:
            self._saved = termios.tcgetattr(self._fd)
        tty.setraw(self._fd, termios.TCSADRAIN)

    def leave(self) -> None:
        """
        Give the terminal back as it was; twice does no harm.
        """
        if self._saved is None:
            return
        try:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._saved)
        except (OSError, termios.error):
            return
