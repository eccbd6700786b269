"""
What became of each run that is posted elsewhere: ``state/posts/<sink>.ndjson``.

One JSON object a line, appended before and after each try, so that a process which is killed in
between leaves the answer to one run open and to no other. The last line about a run counts.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Optional

import attrs
import msgspec

from telemetry.model.records import DECODE_ERRORS
from telemetry.storage.appendfile import (
    Identity,
    identity_of,
    make_private_directory,
    open_private,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

#: A longer file is written anew with what is still of use.
MAX_BYTES = 1 << 20
#: Runs that were tried last; their end may come again.
KEPT_RUNS = 5000
#: Guessed ends that the real one may still follow.
KEPT_GUESSES = 5000
_FLAGS = os.O_WRONLY | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
_FLAGS |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    How far the posting of one run has come.
    """

    event_id: str
    #: Requests that were begun.
    count: int = 0
    #: When it was taken; empty where it has not been.
    posted_at: str = ""
    #: Its status as posted.
    status: str = ""
    #: Whether its end was not its own: inferred, or set by a person.
    is_guess: bool = False
    #: How long the last request took, at least 1; 0 where a process ended before it was over.
    took_ms: int = 0


@attrs.frozen
class _Seen:
    identity: Identity
    size: int


_NOTHING = _Seen(Identity(0, 0), 0)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Attempt).decode


class Attempts:
    """
    The attempts of one sink, as all processes of the base directory know them.

    Raises:
        OSError: The file can be neither read nor written: nothing must be sent then.
    """

    def __init__(self, state_dir: Path, sink: str) -> None:
        self.path = state_dir / "posts" / f"{sink}.ndjson"
        self.after_fork()

    def after_fork(self) -> None:
        """
        Read the file again.
        """
        self._seen = _NOTHING
        self._known: dict[str, Attempt] = {}

    def refresh(self) -> None:
        """
        Learn what other processes have written since.
        """
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self.after_fork()
            return
        seen = _Seen(identity_of(status), status.st_size)
        if seen != self._seen:
            self._load(seen)

    def of(self, event_id: str) -> Attempt:
        """
        Return how far a run has come.
        """
        return self._known.get(event_id) or Attempt(event_id)

    def last(self) -> Optional[Attempt]:
        """
        Return what was written last; None where nothing was.
        """
        return next(reversed(self._known.values()), None)

    def age_s(self) -> float:
        """
        Return how long ago something was written.
        """
        try:
            return time.time() - self.path.stat().st_mtime
        except OSError:
            return 0.0

    def all(self) -> Mapping[str, Attempt]:
        """
        Return the attempts by the keys of their runs.
        """
        return dict(self._known)

    def put(self, attempt: Attempt) -> None:
        """
        Write down how far a run has come.

        Raises:
            OSError: It could not be written whole; what was written is passed over by readers.
        """
        data = _encode(attempt) + b"\n"
        fd = self._open()
        try:
            if os.write(fd, data) != len(data):
                os.write(fd, b"\n")
                raise OSError(f"{self.path} must be written whole; free some space")
            status = os.fstat(fd)
        finally:
            os.close(fd)
        before = self._seen
        self._known.pop(attempt.event_id, None)
        self._known[attempt.event_id] = attempt
        if before == _NOTHING or before.identity == identity_of(status):
            # What another process wrote in between makes it longer than that: it is read then.
            self._seen = _Seen(identity_of(status), before.size + len(data))

    def shorten(self, wanted: Collection[str]) -> None:
        """
        Drop what is of no use any more, if the file has become long.

        Args:
            wanted: Runs that are being worked on.
        """
        if self._seen.size <= MAX_BYTES:
            return
        kept = self._useful(wanted)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        fd = open_private(temporary, _FLAGS | os.O_TRUNC)
        try:
            data = b"".join(_encode(attempt) + b"\n" for attempt in kept.values())
            os.write(fd, data)
            seen = _Seen(identity_of(os.fstat(fd)), len(data))
        finally:
            os.close(fd)
        temporary.replace(self.path)
        self._known, self._seen = kept, seen

    def _useful(self, wanted: Collection[str]) -> dict[str, Attempt]:
        known = self._known
        guesses = [name for name, attempt in known.items() if attempt.is_guess][-KEPT_GUESSES:]
        names = {*wanted, *guesses, *list(known)[-KEPT_RUNS:]}
        return {name: attempt for name, attempt in known.items() if name in names}

    def _load(self, seen: _Seen) -> None:
        known: dict[str, Attempt] = {}
        with self.path.open("rb") as file:
            for line in file:
                try:
                    attempt = _decode(line)
                except DECODE_ERRORS:  # torn by a crash, or empty
                    continue
                known.pop(attempt.event_id, None)
                known[attempt.event_id] = attempt
        self._known, self._seen = known, seen

    def _open(self) -> int:
        try:
            return open_private(self.path, _FLAGS)
        except FileNotFoundError:
            make_private_directory(self.path.parent)
            return open_private(self.path, _FLAGS)
