"""
The files in the directory of backups: their names, their ids, what is known of each.

Both of the original system's names are read, ``telemetry.backup.YYYYMMDD.sqlite`` and
``telemetry_backup_YYYYMMDD_HHMMSS.sqlite``; the second is written. A backup's id is made of its
name, so that nothing an outsider says ever becomes a path.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import stat
import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Optional

import attrs
import msgspec

from telemetry.model.errors import TelemetryError
from telemetry.model.ids import new_writer
from telemetry.storage.appendfile import NO_LINKS, create_exclusively, sync_directory

_NAMES = (
    re.compile(r"telemetry_backup_(\d{8})_(\d{6})(?:_\d+)?\.sqlite"),
    re.compile(r"telemetry\.backup\.(\d{8})(?:[._-]?(\d{6}))?\.sqlite"),
)
_NOTES = "verified.json"
_SCRATCH = (".telemetry_backup_*.tmp*", f".{_NOTES}.*")
_ID_LENGTH = 12
_SHORTEST_ID = 4


class BackupPathError(TelemetryError, ValueError):
    """
    What was asked for is no backup that may be used: a link, another directory's file, ambiguous.
    """


@attrs.frozen(kw_only=True)
class BackupFile:
    """
    One backup, as the directory shows it.
    """

    id: str
    path: Path
    size_bytes: int
    created_at: datetime
    #: When it was last found to be whole; None where it never was, or has changed since.
    verified_at: Optional[datetime] = None
    #: What was wrong when it was looked at last.
    problem: str = ""

    @property
    def is_verified(self) -> bool:
        """
        Return whether it was found to be whole and has not changed since.
        """
        return self.verified_at is not None and not self.problem


def id_of(name: str) -> str:
    """
    Return the id of a backup with this name.
    """
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:_ID_LENGTH]


def list_backups(directory: Path) -> list[BackupFile]:
    """
    Return the backups of a directory, newest first; links and other files are left out.

    Raises:
        OSError: The directory exists and cannot be read.
    """
    notes = _read_notes(directory)
    found = []
    try:
        entries = list(os.scandir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []
    for entry in entries:
        created = _created(entry.name)
        status = entry.stat(follow_symlinks=False)
        if created is not None and stat.S_ISREG(status.st_mode):
            found.append(_described(directory / entry.name, status, created, notes))
    return sorted(found, key=lambda backup: (backup.created_at, backup.path.name), reverse=True)


def find(directory: Path, reference: str, *, anywhere: bool = False) -> Path:
    """
    Return the backup that an id, the beginning of one, a name or a path means.

    Args:
        anywhere: Whether a path outside the directory of backups is allowed.

    Raises:
        BackupPathError: It is a link or a directory, lies elsewhere, or means several backups.
        FileNotFoundError: There is none.
    """
    backups = list_backups(directory)
    if re.fullmatch(rf"[0-9a-f]{{{_SHORTEST_ID},{_ID_LENGTH}}}", reference):
        meant = [backup.path for backup in backups if backup.id.startswith(reference)]
        if len(meant) > 1:
            raise BackupPathError(
                f"a backup's id must mean one backup (got {reference!r}, which means {len(meant)});"
                " use more of it"
            )
        if meant:
            return meant[0]
    path = Path(reference) if reference and "\0" not in reference else directory / "?"
    if not path.is_absolute() and not os.path.lexists(path):
        path = directory / path
    _require_a_file(path, reference)
    if not anywhere and path.resolve().parent != directory.resolve():
        raise BackupPathError(
            f"a backup must lie in {directory} (got {reference!r}); move it there, or allow other"
            " places with --anywhere"
        )
    return path


def name_for(created_at: datetime, number: int = 1) -> str:
    """
    Return the name of a backup made at a time.
    """
    stamp = created_at.astimezone(timezone.utc).strftime("%Y%m%d_%H%M%S")
    return f"telemetry_backup_{stamp}{f'_{number}' if number > 1 else ''}.sqlite"


def scratch_for(directory: Path) -> Path:
    """
    Return a name for a backup that is being written, which nothing takes for a backup.
    """
    return directory / f".telemetry_backup_{new_writer()}.tmp"


def publish(scratch: Path, directory: Path, created_at: datetime) -> Path:
    """
    Give a finished backup its name; a backup that has it already is never replaced.

    Raises:
        OSError: The directory cannot be written.
    """
    number = 1
    while True:
        target = directory / name_for(created_at, number)
        number += 1
        try:
            os.link(scratch, target)
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            if target.exists():
                continue
            scratch.rename(target)
        else:
            scratch.unlink()
        sync_directory(directory)
        return target


def sweep(directory: Path) -> None:
    """
    Remove what backups that were killed half-way have left; call it while no other is at work.
    """
    for path in itertools.chain.from_iterable(map(directory.glob, _SCRATCH)):
        with contextlib.suppress(OSError):
            path.unlink()


def note_verified(path: Path, problem: str = "") -> None:
    """
    Remember that a backup was found whole, or what was wrong with it, for as long as it stays so.

    Raises:
        OSError: The note cannot be written.
    """
    notes = _read_notes(path.parent)
    status = path.stat()
    notes = {name: note for name, note in notes.items() if (path.parent / name).exists()}
    notes[path.name] = {
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "at": int(time.time()),
        "problem": problem,
    }
    scratch = path.parent / f".{_NOTES}.{new_writer()}"
    try:
        create_exclusively(scratch, msgspec.json.format(msgspec.json.encode(notes)))
        scratch.replace(path.parent / _NOTES)
    finally:
        with contextlib.suppress(FileNotFoundError):
            scratch.unlink()


def superfluous(
    backups: Sequence[BackupFile],
    now: datetime,
    *,
    keep: Optional[int] = None,
    keep_days: Optional[float] = None,
) -> list[BackupFile]:
    """
    Return the backups that neither a count nor an age keeps.

    The newest verified one is always kept; where none is verified, the newest.

    Args:
        backups: Newest first.
        keep: How many of the newest are kept.
        keep_days: For how many days each is kept.
    """
    kept = {backup.path for backup in backups[: keep or 0]}
    if keep_days is not None:
        oldest = now - timedelta(days=keep_days)
        kept |= {backup.path for backup in backups if backup.created_at >= oldest}
    kept |= {backup.path for backup in [*filter(_is_verified, backups), *backups][:1]}
    return [backup for backup in backups if backup.path not in kept]


def remove(backups: Iterable[BackupFile]) -> int:
    """
    Delete backups, and return how many bytes that freed.

    Raises:
        OSError: One cannot be deleted; those before it are gone.
    """
    freed = 0
    for backup in backups:
        backup.path.unlink()
        freed += backup.size_bytes
    return freed


def _is_verified(backup: BackupFile) -> bool:
    return backup.is_verified


def _require_a_file(path: Path, reference: str) -> None:
    try:
        mode = path.lstat().st_mode
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"no backup has the id or the path {reference!r}; see telemetry backup list"
        ) from error
    if not stat.S_ISREG(mode):
        kind = "a link" if stat.S_ISLNK(mode) else "no file"
        raise BackupPathError(
            f"a backup must be a file itself (got {reference!r}, which is {kind}); name the file"
        )


def _created(name: str) -> Optional[datetime]:
    """
    Return the time in a backup's name; None for the name of something else.
    """
    for pattern in _NAMES:
        match = pattern.fullmatch(name)
        if match:
            with contextlib.suppress(ValueError):
                moment = datetime.strptime(match[1] + (match[2] or "000000"), "%Y%m%d%H%M%S")  # noqa: DTZ007 (the zone follows)
                return moment.replace(tzinfo=timezone.utc)
    return None


def _described(
    path: Path, status: os.stat_result, created: datetime, notes: dict[str, Any]
) -> BackupFile:
    note = notes.get(path.name)
    if not isinstance(note, dict) or not isinstance(note.get("at"), int):
        note = {}
    is_current = (note.get("size"), note.get("mtime_ns")) == (status.st_size, status.st_mtime_ns)
    return BackupFile(
        id=id_of(path.name),
        path=path,
        size_bytes=status.st_size,
        created_at=created,
        verified_at=datetime.fromtimestamp(note["at"], timezone.utc) if is_current else None,
        problem=str(note.get("problem", "")) if is_current else "",
    )


def _read_notes(directory: Path) -> dict[str, Any]:
    try:
        notes = msgspec.json.decode((directory / _NOTES).read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return notes if isinstance(notes, dict) else {}
