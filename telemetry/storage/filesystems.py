"""
Which file systems keep the promises that shared files need.

On a file system of this machine's kernel, appends of several processes never overlap, record locks
work and shared memory is shared. Network and user-space file systems promise none of it, so what
is not known to be local counts as remote.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Names as in /proc/self/mountinfo, and macOS's own.
LOCAL_KINDS = frozenset(
    {
        *("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "bcachefs", "reiserfs"),
        *("nilfs2", "ubifs", "tmpfs", "ramfs", "overlay", "ecryptfs", "vfat", "exfat", "msdos"),
        *("ntfs", "ntfs3", "apfs", "hfs", "ufs"),
    }
)
_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPE = re.compile(r"\\([0-7]{3})")


def is_local(kind: str) -> bool:
    """
    Return whether a kind of file system is known to be this machine's own.
    """
    return kind.lower() in LOCAL_KINDS


def file_system(directory: Path, mounts: Path = _MOUNTS) -> str:
    """
    Return the kind of a directory's file system, "" where it cannot be told.

    Raises nothing; a directory that does not exist yet counts as its nearest existing parent.

    Args:
        mounts: Linux's table of mounts.
    """
    try:
        place = _existing(directory)
        if sys.platform == "win32":  # pragma: no cover (needs Windows)
            return _windows_kind(place)
        if sys.platform == "darwin":  # pragma: no cover (needs macOS)
            return _macos_kind(place)
        device = place.stat().st_dev
        with mounts.open(encoding="utf-8", errors="surrogateescape") as lines:
            return mounted_kind(lines, os.major(device), os.minor(device), place)
    except OSError:
        return ""


def mounted_kind(mounts: Iterable[str], major: int, minor: int, place: Path) -> str:
    """
    Return the kind of file system that lines of mountinfo give for a device, else for a path.

    Some file systems (btrfs) show another device number to `os.stat` than to the table; for them
    the longest mount point above the path decides.
    """
    device, table = f"{major}:{minor}", list(mounts)
    for line in table:
        before, _, after = line.partition(" - ")
        if before.split()[2:3] == [device] and after.strip():
            return after.split()[0]
    longest, kind = -1, ""
    for line in table:
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after.strip():  # noqa: PLR2004 (id parent device root point)
            continue
        point = Path(_ESCAPE.sub(lambda found: chr(int(found[1], 8)), fields[4]))
        if len(point.parts) > longest and (point == place or point in place.parents):
            longest, kind = len(point.parts), after.split()[0]
    return kind


def _existing(directory: Path) -> Path:
    place = Path(os.path.realpath(directory))
    while not place.exists() and place != place.parent:
        place = place.parent
    return place


def _macos_kind(place: Path) -> str:  # pragma: no cover (needs macOS)
    import ctypes

    # struct statfs with 64-bit inodes: f_flags at byte 64, f_fstypename (16 bytes) at 72.
    buffer = ctypes.create_string_buffer(4096)
    library = ctypes.CDLL(None, use_errno=True)
    if library.statfs(os.fsencode(place), buffer) != 0:
        return ""
    is_local_mount = int.from_bytes(buffer.raw[64:68], sys.byteorder) & 0x1000
    return buffer.raw[72:88].split(b"\0")[0].decode() if is_local_mount else ""


if sys.platform == "win32":  # pragma: no cover (needs Windows)

    def _windows_kind(place: Path) -> str:
        import ctypes

        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        fixed_or_ram = (3, 6)
        return "ntfs" if kernel.GetDriveTypeW(place.anchor) in fixed_or_ram else ""
