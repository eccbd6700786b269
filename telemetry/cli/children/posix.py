"""
A child process on POSIX: its output passed on unchanged, signals handed down, its end measured.

Where standard output is a terminal, the child gets one too; where standard input is that terminal
as well, the child gets a session of its own on it, so that Ctrl+C, Ctrl+Z and full-screen programs
work as they do without us. A channel that is no terminal stays none.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional

from telemetry.cli.children import terminals
from telemetry.cli.children.endings import SIGNAL_BASE, Ending
from telemetry.cli.children.pump import Channel, Keyboard, Pump
from telemetry.cli.children.tails import Tail

_STDIN, _STDOUT, _STDERR = 0, 1, 2
#: Handed down to the child; those from the keyboard only where it does not get them itself.
_KEYBOARD_SIGNALS = frozenset({signal.SIGINT, signal.SIGQUIT})
_STOPPING_SIGNALS = frozenset({signal.SIGTERM, signal.SIGHUP, *_KEYBOARD_SIGNALS})
_FORWARDED_SIGNALS = frozenset({*_STOPPING_SIGNALS, signal.SIGUSR1, signal.SIGUSR2})
#: `ru_maxrss` is in bytes on macOS, in KiB elsewhere.
_RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024

#: Reads after the end: more than a pipe holds.
_LAST_TURNS = 64


class PosixChild:
    """
    One command, from its start to the end of its output. Used once, on the main thread.
    """

    def __init__(self, tail_bytes: int) -> None:
        self.stdout = Tail(tail_bytes)
        self.stderr = Tail(tail_bytes)
        self.pid = 0
        self._pump = Pump()
        self._raw: Optional[terminals.RawMode] = None
        self._master: Optional[int] = None
        self._ending: Optional[Ending] = None
        self._was_stopped = False
        self._is_draining = False
        self._early: list[int] = []
        self._floor = 0
        self._restore: dict[int, Any] = {}

    def run(self, command: Sequence[str], env: Mapping[str, str]) -> Ending:
        """
        Start a command and return when it has ended, with its output passed on so far.

        Raises:
            OSError: It cannot be started.
        """
        self._catch_signals()
        self._start(command, env)
        if self._raw is not None:
            self._raw.enter()
        try:
            while self._ending is None:
                self._pump.turn()
            self._pump.drop_keyboard()
            # Its last words, while the terminal still passes newlines on as they are.
            for _ in range(_LAST_TURNS):
                if not self._pump.turn(0):
                    break
        finally:
            self._pump.drop_keyboard()
            if self._raw is not None:
                self._raw.leave()
        return self._ending

    def drain(self) -> None:
        """
        Pass on what the command's own children still write, until the last of them has ended.
        """
        self._is_draining = True
        while self._pump.has_output:
            self._pump.turn()

    def close(self) -> None:
        """
        Give signals back to whoever had them.
        """
        for number, handler in self._restore.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        self._pump.close()

    def _start(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        interactive = (
            terminals.is_terminal(_STDOUT)
            and terminals.is_terminal(_STDIN)
            and terminals.in_foreground(_STDIN)
        )
        out, err = self._channels(interactive=interactive)
        try:
            process = subprocess.Popen(
                command,
                stdin=out if interactive else None,
                stdout=out,
                stderr=err,
                env=env,
                # What the shell handed down, as in <(...), is the child's.
                close_fds=False,
                start_new_session=interactive,
                # One system call that touches no state of Python's.
                preexec_fn=terminals.take_as_controlling if interactive else None,  # noqa: PLW1509
            )
        finally:
            for fd in {out, err}:
                if fd is not None:
                    os.close(fd)
        # Unless it is larger, a child's peak says nothing: it inherits ours between fork and exec.
        self._floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.pid = process.pid
        # It is waited for below, with its resource usage.
        process.returncode = 0
        for number in self._early:
            self._hand_down(number, None)
        if interactive and self._master is not None:
            self._raw = terminals.RawMode(_STDIN)
            self._pump.add_keyboard(Keyboard(_STDIN, self._master, self._suspend))

    def _channels(self, *, interactive: bool) -> tuple[Optional[int], Optional[int]]:
        """
        Return the child's ends of its output, None for one that is closed here.
        """
        out = self._channel(_STDOUT, self.stdout, translate=interactive)
        if out is not None and _are_one(_STDOUT, _STDERR):
            return out, out
        return out, self._channel(_STDERR, self.stderr, translate=False)

    def _channel(self, fd: int, tail: Tail, *, translate: bool) -> Optional[int]:
        if terminals.is_terminal(fd):
            source, sink = terminals.open_like(fd, translate=translate)
            if fd == _STDOUT:
                self._master = source
        elif _is_open(fd):
            source, sink = os.pipe()
        else:
            return None
        self._pump.add_channel(Channel(source, fd, tail))
        return sink

    def _catch_signals(self) -> None:
        wake, bell = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(bell, False)
        signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
        self._pump.watch(wake, lambda: self._woken(wake))
        for number in _FORWARDED_SIGNALS:
            # What nohup or the shell has switched off stays off, for the child too.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._handle(number, self._hand_down)
        self._handle(signal.SIGCHLD, _do_nothing)
        self._handle(signal.SIGWINCH, self._resize)

    def _handle(self, number: int, handler: Callable[[int, Any], None]) -> None:
        self._restore[number] = signal.signal(number, handler)

    def _woken(self, wake: int) -> None:
        os.read(wake, 4096)
        if self.pid and self._ending is None:
            self._look()

    def _look(self) -> None:
        options = os.WNOHANG | (os.WUNTRACED if self._raw is not None else 0)
        pid, status, usage = os.wait4(self.pid, options)
        if pid and os.WIFSTOPPED(status):
            self._pause()
        elif pid:
            self._ending = self._describe(status, usage)

    def _describe(self, status: int, usage: resource.struct_rusage) -> Ending:
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        code = os.WEXITSTATUS(status) if number is None else SIGNAL_BASE + number
        known = usage.ru_maxrss > self._floor
        return Ending(
            exit_code=code,
            signal=number,
            peak_memory_bytes=usage.ru_maxrss * _RSS_UNIT_BYTES if known else None,
            peak_memory_below_bytes=None if known else self._floor * _RSS_UNIT_BYTES,
            cpu_user_s=round(usage.ru_utime, 6),
            cpu_system_s=round(usage.ru_stime, 6),
            was_stopped=self._was_stopped,
        )

    def _pause(self) -> None:
        """
        Stop with the child, for the shell's job control, and go on with it.
        """
        if self._raw is None:
            return
        self._raw.leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._raw.enter()
        self._resize(0, None)
        os.killpg(self.pid, signal.SIGCONT)
        if self._master is not None:
            terminals.signal_foreground(self._master, signal.SIGCONT)

    def _suspend(self) -> None:
        """
        Stop the child at Ctrl+Z, and ourselves; a child that is slow to stop is not waited for.
        """
        if self._master is not None:
            terminals.signal_foreground(self._master, signal.SIGSTOP)
            os.killpg(self.pid, signal.SIGSTOP)
            self._pause()

    def _hand_down(self, number: int, frame: Any) -> None:
        if self._is_draining and self._ending is not None:
            # Only the child's own children still hold its output: they are not waited for.
            os._exit(self._ending.exit_code)
        if not self.pid:
            self._early.append(number)
            return
        self._was_stopped = self._was_stopped or number in _STOPPING_SIGNALS
        if number in _KEYBOARD_SIGNALS and self._raw is None and terminals.shares_terminal():
            return
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return

    def _resize(self, number: int, frame: Any) -> None:
        if self._master is not None:
            terminals.copy_size(_STDOUT, self._master)


def _do_nothing(number: int, frame: Any) -> None:
    """
    Let a signal wake the pump.
    """


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _are_one(first: int, second: int) -> bool:
    """
    Return whether two descriptors lead to one place: then the order between them must be kept.
    """
    try:
        return os.path.samestat(os.fstat(first), os.fstat(second))
    except OSError:
        return False
