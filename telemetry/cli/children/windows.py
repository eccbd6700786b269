"""
A child process through threads and pipes: for Windows, where Ctrl+C reaches the child by itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import IO, Optional

from telemetry.cli.children.endings import Ending
from telemetry.cli.children.tails import Tail

READ_BYTES = 65_536
_LAST_OUTPUT_TIMEOUT_S = 0.2


class ThreadedChild:
    """
    One command, from its start to the end of its output. Used once.
    """

    def __init__(self, tail_bytes: int) -> None:
        self.stdout = Tail(tail_bytes)
        self.stderr = Tail(tail_bytes)
        self.pid = 0
        self._threads: list[threading.Thread] = []

    def run(self, command: Sequence[str], env: Mapping[str, str]) -> Ending:
        """
        Start a command and return when it has ended, with its output passed on so far.

        Raises:
            OSError: It cannot be started.
        """
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, bufsize=0
        )
        self.pid = process.pid
        self._follow(process.stdout, sys.stdout.fileno(), self.stdout)
        self._follow(process.stderr, sys.stderr.fileno(), self.stderr)
        was_stopped = False
        while process.returncode is None:
            try:
                process.wait()
            except KeyboardInterrupt:
                was_stopped = True
        for thread in self._threads:
            thread.join(_LAST_OUTPUT_TIMEOUT_S)
        return Ending(exit_code=process.returncode, was_stopped=was_stopped)

    def drain(self) -> None:
        """
        Pass on what the command's own children still write, until the last of them has ended.
        """
        for thread in self._threads:
            thread.join()

    def close(self) -> None:
        """
        Nothing is left to release: each thread closes its own pipe.
        """

    def _follow(self, source: Optional[IO[bytes]], target: int, tail: Tail) -> None:
        if source is None:
            return
        thread = threading.Thread(target=_pass_on, args=(source, target, tail), daemon=True)
        thread.start()
        self._threads.append(thread)


def _pass_on(source: IO[bytes], target: int, tail: Tail) -> None:
    with source:
        for piece in iter(lambda: source.read(READ_BYTES), b""):
            tail.feed(piece)
            try:
                _write_all(target, piece)
            except OSError:
                # Our own reader has gone; the child learns it at its next write.
                return


def _write_all(target: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(target, view) :]
