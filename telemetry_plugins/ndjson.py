"""
The bundled journal: one NDJSON file a day, to which every process appends.

A record is one `os.write` to a descriptor that was opened once. All else (choosing the day's file,
noticing that it was deleted, getting over a full disk) happens at most once for each second of
records, for each `WRITES_BETWEEN_CHECKS` of them, and after a failure.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from _thread import RLock
from functools import partial
from typing import TYPE_CHECKING, Callable, Optional

from telemetry.hookspecs import hookimpl
from telemetry.model.errors import JournalError
from telemetry.model.ids import new_writer
from telemetry.storage.appendfile import (
    Identity,
    make_private_directory,
    sync_directory,
    sync_file,
)
from telemetry.storage.dayfile import (
    NotShareableError,
    directory_caution,
    open_own,
    open_shared,
)
from telemetry.storage.filesystems import file_system, is_local
from telemetry.storage.openfile import OpenFile
from telemetry.storage.segments import SegmentReader, day_of, header_line, segment_name

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from telemetry.config import TelemetryConfig
    from telemetry.model.records import LineKind
    from telemetry.sinks import Chunk, Cursor, Segment

WRITES_BETWEEN_CHECKS = 1000
RETRY_AFTER_S = 0.2
#: For how long zeros at the end of a file on a network file system may be data on their way.
SETTLE_S = 2.0
_OPEN_ATTEMPTS = 3
_NEVER = -1

_write = os.write


@hookimpl(trylast=True)
def telemetry_register_journal(config: TelemetryConfig) -> NdjsonJournal:
    """
    Return the journal in the configured directory; nothing is created before the first record.
    """
    return NdjsonJournal(config.ndjson_dir, max_line_bytes=config.max_line_bytes)


def shares_appends(directory: Path) -> bool:
    """
    Return whether several processes may append to one file of a directory.
    """
    return is_local(file_system(directory))


class NdjsonJournal:
    """
    Appends to the day's file, and reads all of them.

    All processes share ``events_<day>.ndjson``. Where appends of several processes could overlap (a
    network file system), where the shared file is another user's, a link, or has lost data in a
    failed sync, this process goes on in ``events_<day>.<writer>.ndjson``, which is read alike.

    After a fork, parent and child share the open file: each append goes to its end. A file of one
    writer is the parent's; the child opens its own.

    Args:
        directory: Made when needed, for this user only.
        max_line_bytes: The longest line that will be appended.
        shares_appends: Says whether several processes may append to one file of a directory.
        monotonic: Seconds, for `RETRY_AFTER_S`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_line_bytes: int = 2 << 20,
        shares_appends: Callable[[Path], bool] = shares_appends,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._max_line_bytes = max_line_bytes
        self._shares_appends = shares_appends
        self._monotonic = monotonic
        self._reader: Optional[SegmentReader] = None
        self._lock = RLock()
        self._is_renewing = False
        self._writer = ""
        # Of the open file. `_second` is what `append` compares: `_NEVER` sends it the slow way.
        self._fd = -1
        self._second = _NEVER
        self._writes_left = 0
        self._file = OpenFile()
        self._day = ""
        self._is_own = False
        self._is_stale = False
        # What went wrong, for how long, and with which files.
        self._retry_at = 0.0
        self._failure = ""
        self._caution = ""
        self._given_up: dict[Identity, str] = {}
        # What a power cut could still take.
        self._unsynced_files: set[Path] = set()
        self._unsynced_directories: set[Path] = set()

    @property
    def problem(self) -> str:
        """
        Return what is wrong, in one line that says what to do; empty where nothing is.

        Records may still be written: into a file of this process's own, or where others could
        read them.
        """
        return self._failure or self._caution

    def append(self, line: bytes, second: int, /) -> bool:
        """
        Write one line by one system call; see `telemetry.sinks.Journal.append`.

        After a failure nothing is tried for `RETRY_AFTER_S`, so that a dead disk costs next to
        nothing. A line that was written in part is not finished: another process may have written
        behind it.
        """
        if second != self._second or not self._writes_left:
            return self._append_checked(line, second)
        self._writes_left -= 1
        try:
            written = _write(self._fd, line)
        except OSError as error:
            return self._retry_or_fail(error, line, second)
        return written == len(line) or self._cut_short()

    def segments(self) -> Sequence[Segment]:
        """
        Return the files that hold at least one line, oldest day first.

        Raises:
            OSError: The directory exists and cannot be listed.
        """
        return self._reading().segments()

    def read(
        self,
        segment: Segment,
        cursor: Optional[Cursor],
        max_bytes: int,
        /,
        *,
        without: Collection[LineKind] = (),
    ) -> Chunk:
        """
        Return the next whole records after a cursor; see `telemetry.sinks.Journal.read`.

        Raises:
            OSError: The file has gone, or cannot be read.
        """
        return self._reading().read(segment, cursor, max_bytes, without=without)

    def sync(self) -> None:
        """
        Make what was appended survive a power cut; cheap where nothing was appended since.

        Raises:
            JournalError: The system lost data of a file. It is not asked again (it would claim
                success): this process goes on in a new file.
        """
        with self._lock:
            directories, files = self._unsynced_directories, self._unsynced_files
            self._unsynced_directories, self._unsynced_files = set(), set()
        for directory in directories:
            if not _synced(partial(sync_directory, directory), directory):
                self._unsynced_directories.add(directory)
        for path in files:
            if not _synced(partial(sync_file, path), path):
                self._unsynced_files.add(path)
        try:
            _synced(self._file.sync, self._file.path)
        except JournalError as error:
            self._give_up(str(error))
            raise

    def after_fork(self) -> None:
        """
        Make the journal the child's: a new lock and writer; the shared file stays open.
        """
        self._lock = RLock()
        self._is_renewing = False
        self._reader = None
        self._writer = ""
        self._second = _NEVER
        self._unsynced_files = set()
        self._unsynced_directories = set()
        if self._is_own:
            self._release()

    def close(self) -> None:
        """
        Release the file; a later append opens it again.
        """
        with self._lock:
            self._remember_unsynced()
            self._release()

    def _append_checked(self, line: bytes, second: int) -> bool:
        """
        Append after making sure of the file, and mend the line before where it is torn.
        """
        if self._retry_at and self._monotonic() < self._retry_at:
            return False
        try:
            self._renew(second)
            whole = b"\n" + line if self._file.is_torn else line
            written = _write(self._fd, whole)
        except OSError as error:
            return self._fail(error)
        if written != len(whole):
            return self._cut_short()
        self._file.is_torn = False
        self._retry_at = 0.0
        self._failure = ""
        return True

    def _retry_or_fail(self, error: OSError, line: bytes, second: int) -> bool:
        if error.errno == errno.EBADF:  # somebody closed what he did not open; nothing was written
            self._second = _NEVER
            return self._append_checked(line, second)
        return self._fail(error)

    def _fail(self, error: OSError) -> bool:
        """
        Remember a failure, and leave the file alone for a while.
        """
        if error.errno == errno.EFBIG:
            self._give_up(
                f"the journal's file {self._file.path} must be below this process's limit"
            )
        self._second = _NEVER
        self._is_stale = True
        self._retry_at = self._monotonic() + RETRY_AFTER_S
        self._failure = (
            f"the journal in {self._directory} must be writable ({error.strerror or error});"
            " make room, make it writable, or set TELEMETRY_BASE_DIR to another directory"
        )
        return False

    def _cut_short(self) -> bool:
        self._file.is_torn = True
        self._second = _NEVER
        self._failure = (
            f"the journal in {self._directory} must take whole lines (it took a part of one);"
            " make room on the disk"
        )
        return False

    def _give_up(self, reason: str) -> None:
        """
        Never write again to the file that is open; the next append goes to a new one.
        """
        self._given_up[self._file.identity] = reason
        self._writer = ""
        self._second = _NEVER
        self._is_stale = True

    def _renew(self, second: int) -> None:
        """
        Make sure that the right file is open and is still the one under its name.

        Raises:
            OSError: No file can be opened.
        """
        with self._lock:
            # A signal handler or a destructor inside this very call takes the file as it stands.
            if self._is_renewing or (second == self._second and self._writes_left):
                return
            self._is_renewing = True
            try:
                if self._is_stale or not self._is_intact(second):
                    self._open(day_of(second), second)
                elif day_of(second) != self._day:
                    # Yesterday's file is better than none, when no other can be opened.
                    with contextlib.suppress(OSError):
                        self._open(day_of(second), second)
                self._second = second
                self._writes_left = WRITES_BETWEEN_CHECKS
            finally:
                self._is_renewing = False

    def _is_intact(self, second: int) -> bool:
        """
        Return whether the open file is still the one under its name; give an emptied one a header.
        """
        if not self._file.is_in_place():
            return False
        if self._file.look():
            _write(self._fd, self._header(second))
        return True

    def _open(self, day: str, second: int) -> None:
        """
        Open the day's file, also while somebody deletes the directory again and again.

        Raises:
            OSError: No file can be opened now.
        """
        for _ in range(_OPEN_ATTEMPTS - 1):
            with contextlib.suppress(FileNotFoundError):
                self._open_once(day, second)
                return
        self._open_once(day, second)

    def _open_once(self, day: str, second: int) -> None:
        self._writer = self._writer or new_writer()
        self._unsynced_directories.update(make_private_directory(self._directory))
        caution = directory_caution(self._directory)
        header = self._header(second)
        is_own = not self._shares_appends(self._directory)
        if not is_own:
            shared = self._directory / segment_name(day)
            try:
                self._adopt(shared, open_shared(shared, header, self._writer, self._given_up))
            except NotShareableError as reason:
                is_own = True
                caution = caution or str(reason)
        if is_own:
            own = self._directory / segment_name(day, self._writer)
            self._adopt(own, open_own(own, header))
        self._day, self._is_own, self._is_stale = day, is_own, False
        self._caution = caution

    def _header(self, second: int) -> bytes:
        return header_line(new_writer(), second, self._writer)

    def _adopt(self, path: Path, new: int) -> None:
        self._remember_unsynced()
        self._unsynced_directories.add(self._directory)
        self._file.adopt(path, new)
        self._fd = self._file.fd

    def _release(self) -> None:
        self._fd = -1
        self._second = _NEVER
        self._day = ""
        self._file.release()

    def _remember_unsynced(self) -> None:
        path = self._file.path
        if path is not None and self._file.identity not in self._given_up:
            self._unsynced_files.add(path)

    def _reading(self) -> SegmentReader:
        reader = self._reader
        if reader is None:
            settle_s = 0.0 if self._shares_appends(self._directory) else SETTLE_S
            reader = self._reader = SegmentReader(
                self._directory, max_line_bytes=self._max_line_bytes, settle_s=settle_s
            )
        return reader


def _synced(sync: Callable[[], bool], path: Optional[Path]) -> bool:
    try:
        return sync()
    except OSError as error:
        raise JournalError(
            f"the journal's {path} must reach the disk ({error.strerror}); what it took last may be"
            " lost in a power cut and recording goes on in a new file, check the disk"
        ) from error
