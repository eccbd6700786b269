"""
Files that several processes append to, opened so that nothing goes wrong between them.

Nobody else can read them, no link leads them elsewhere, a new one appears with its first line
already in it, and no writer can overwrite what another has written.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional

if TYPE_CHECKING:
    from pathlib import Path

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700
#: How often a directory is tried to be made, while others remove what lies above it.
_TRIES = 3

_COMMON_FLAGS = (
    getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOINHERIT", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOCTTY", 0)
)
_READ_FLAGS = os.O_RDONLY | _COMMON_FLAGS | getattr(os, "O_NONBLOCK", 0)
_APPEND_FLAGS = os.O_WRONLY | os.O_APPEND | _COMMON_FLAGS
_CREATE_FLAGS = os.O_WRONLY | _COMMON_FLAGS

#: What `os.link` answers on file systems without hard links.
NO_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})
#: What `os.fsync` answers where there is nothing to sync.
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EROFS})

# A program that turns itself into a daemon closes every descriptor it does not know. The system
# hands out the lowest free number: ours, far up, will not come back as a file of the user's.
_LOWEST_DESCRIPTOR = 200


class Identity(NamedTuple):
    """
    Which file a path or a descriptor leads to.
    """

    device: int
    inode: int


def identity_of(status: os.stat_result) -> Identity:
    """
    Return the identity in a file's status.
    """
    return Identity(status.st_dev, status.st_ino)


def make_private_directory(directory: Path) -> list[Path]:
    """
    Create a directory and its missing parents for this user only, whatever the umask.

    Returns:
        The directories in which an entry was made, to be synced.

    Raises:
        OSError: A part of the path is a file, or cannot be made.
    """
    changed: list[Path] = []
    for tries_left in reversed(range(_TRIES)):
        try:
            directory.mkdir(mode=DIRECTORY_MODE)
        except FileNotFoundError:
            # What was just made above it may have been removed; /proc and its like take nothing.
            if not tries_left or directory.parent == directory:
                raise
            changed += make_private_directory(directory.parent)
        except FileExistsError:
            if directory.is_dir():
                return changed
            raise
        else:
            break
    if stat.S_IMODE(directory.stat().st_mode) != DIRECTORY_MODE:
        directory.chmod(DIRECTORY_MODE)
    return [*changed, directory.parent]


def open_private(path: Path, flags: int) -> int:
    """
    Open a file; one that is missing is made for this user only, whatever the umask.

    One that is there keeps the rights that somebody gave it.

    Args:
        flags: As `os.open` takes them, without those that make a file.

    Raises:
        OSError: It cannot be opened or made; `FileNotFoundError` where its directory is missing.
    """
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, flags)
    try:
        return open_new(path, flags)
    except FileExistsError:  # another process was faster
        return os.open(path, flags)


def open_new(path: Path, flags: int) -> int:
    """
    Make a file for this user only, whatever the umask, and open it.

    Raises:
        FileExistsError: It is there already, or a link of that name is.
        OSError: It cannot be made.
    """
    fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, FILE_MODE)
    # A umask can only have taken away; what a file system gives to all alike is not ours to mend.
    if os.fstat(fd).st_mode & FILE_MODE != FILE_MODE:
        os.chmod(fd, FILE_MODE)  # noqa: PTH101 (by its descriptor, which no link leads elsewhere)
    return fd


def create_exclusively(path: Path, content: bytes) -> None:
    """
    Create a file for this user only, whatever the umask, with its first content in it.

    Raises:
        FileExistsError: It is there already, or a link of that name is.
        OSError: It cannot be made whole; nothing is left of it.
    """
    fd = open_new(path, _CREATE_FLAGS)
    try:
        if os.write(fd, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    finally:
        os.close(fd)


def create_by_link(path: Path, content: bytes, scratch: Path) -> None:
    """
    Make a file appear under its name with its first content already in it.

    A file that another process made first is left as it is.

    Args:
        scratch: A name in the same directory that no other process uses.

    Raises:
        OSError: One of `NO_LINKS` where the file system has no hard links; else what went wrong.
    """
    with contextlib.suppress(FileNotFoundError):
        scratch.unlink()
    create_exclusively(scratch, content)
    try:
        os.link(scratch, path)
    except FileExistsError:
        pass
    finally:
        with contextlib.suppress(OSError):
            scratch.unlink()


def open_to_append(path: Path) -> int:
    """
    Open an existing regular file so that each write goes to its end.

    Raises:
        OSError: It does not exist, is a link, is no regular file, or is not writable.
    """
    if not stat.S_ISREG(path.lstat().st_mode):
        raise OSError(errno.ELOOP, "not a regular file", str(path))
    if sys.platform == "win32":  # pragma: no cover (needs Windows)
        return _open_to_append_on_windows(path)
    return _lift(os.open(path, _APPEND_FLAGS))


def open_to_read(path: Path) -> int:
    """
    Open an existing regular file for reading, without following a link.

    Raises:
        OSError: It does not exist, is a link, is no regular file, or is not readable.
    """
    fd = os.open(path, _READ_FLAGS)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(errno.ELOOP, "not a regular file", str(path))


def read_at(fd: int, count: int, offset: int) -> bytes:
    """
    Read up to `count` bytes from an offset.
    """
    if hasattr(os, "pread"):
        return os.pread(fd, count, offset)
    os.lseek(fd, offset, os.SEEK_SET)  # pragma: no cover (needs Windows)
    return os.read(fd, count)  # pragma: no cover (needs Windows)


def is_torn(path: Path, size: int) -> bool:
    """
    Return whether a file ends inside a line; one that cannot be read might.
    """
    if not size:
        return False
    try:
        fd = open_to_read(path)
    except OSError:
        return True
    try:
        return read_at(fd, 1, size - 1) != b"\n"
    finally:
        os.close(fd)


def take_place(new: int, old: int) -> int:
    """
    Let a new descriptor take an old one's number, and return the number.

    Threads that are about to write to the old one write to the new file instead: at no time does
    the number lead nowhere, or to a file of the user's.
    """
    os.dup2(new, old, inheritable=False)
    os.close(new)
    return old


def sync_data(fd: int) -> None:
    """
    Make a file's content survive a power cut.

    Raises:
        OSError: The content may be lost; the file must not be trusted to take more.
    """
    try:
        getattr(os, "fdatasync", os.fsync)(fd)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def sync_file(path: Path) -> bool:
    """
    Make the content of a file that is not open survive a power cut; one that has gone needs none.

    Returns:
        Whether it is done; False where the file cannot be opened now.

    Raises:
        OSError: The content may be lost.
    """
    return _sync(lambda: open_to_append(path))


def sync_directory(directory: Path) -> bool:
    """
    Make the names in a directory survive a power cut, where the system can.

    Returns:
        Whether it is done; False where the directory cannot be opened now.

    Raises:
        OSError: The directory's data could not be written.
    """
    if not hasattr(os, "O_DIRECTORY"):  # pragma: no cover (needs Windows)
        return True
    return _sync(lambda: os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


def _sync(opened: Callable[[], int]) -> bool:
    """
    Write to the disk what can be opened; what has gone needs that no more.
    """
    try:
        fd = opened()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        sync_data(fd)
    finally:
        os.close(fd)
    return True


def foreign_owner(status: os.stat_result) -> Optional[int]:
    """
    Return the user a file belongs to where that is not this process's; else None.
    """
    is_foreign = hasattr(os, "geteuid") and status.st_uid != os.geteuid()
    return status.st_uid if is_foreign else None


def _lift(fd: int) -> int:
    """
    Move a descriptor to a high number; where there is none left, it stays.
    """
    import fcntl

    try:
        lifted = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _LOWEST_DESCRIPTOR)
    except OSError:
        return fd
    os.close(fd)
    return lifted


if sys.platform == "win32":  # pragma: no cover (needs Windows)

    def _open_to_append_on_windows(path: Path) -> int:
        """
        Open with the right to append and none to write: only so does Windows append atomically.
        """
        import ctypes
        import msvcrt

        append_data, read_attributes, synchronize = 0x4, 0x80, 0x100000
        share_all, open_existing, no_redirection = 0x7, 3, 0x200000
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.CreateFileW.restype = ctypes.c_void_p
        handle = kernel.CreateFileW(
            str(path),
            append_data | read_attributes | synchronize,
            share_all,
            None,
            open_existing,
            no_redirection,
            None,
        )
        if handle in (None, ctypes.c_void_p(-1).value):
            raise ctypes.WinError(ctypes.get_last_error())
        return msvcrt.open_osfhandle(handle, os.O_BINARY | os.O_NOINHERIT)
