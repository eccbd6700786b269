"""
Whose the files are, who else may read them, and on what file system they lie.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from telemetry.health.results import Check, Detail, Outcome, Result
from telemetry.model.words import several
from telemetry.storage.appendfile import DIRECTORY_MODE
from telemetry.storage.filesystems import file_system, is_local

if TYPE_CHECKING:
    from telemetry.config import TelemetryConfig
    from telemetry.health.scene import Scene

FILE_MODE = 0o600
#: What anybody but the owner may do.
_OTHERS = 0o077
#: Files looked at in one directory; a base directory may have been in use for years.
MAX_FILES = 5000
_MAX_NAMED = 5


class Loose(NamedTuple):
    """
    A directory or file that others may use, and the mode that it should have.
    """

    path: Path
    mode: int
    wanted: int


def directories(config: TelemetryConfig) -> list[Path]:
    """
    Return the directories of the library's own that there are.
    """
    base = config.base_dir
    places = [base, config.ndjson_dir, config.db_path.parent, config.state_dir, config.backups_dir]
    places += [config.state_dir / "cursors", config.state_dir / "dead"]
    return [place for place in dict.fromkeys(places) if place.is_dir()]


def files(config: TelemetryConfig) -> Iterator[tuple[Path, os.stat_result]]:
    """
    Yield the library's directories and the files in them; links are left out.
    """
    for place in directories(config):
        yield place, place.stat()
        if place == config.base_dir:
            continue
        with os.scandir(place) as entries:
            for _, entry in zip(range(MAX_FILES), entries):
                if entry.is_file(follow_symlinks=False):
                    yield Path(entry.path), entry.stat(follow_symlinks=False)


def loose(config: TelemetryConfig) -> list[Loose]:
    """
    Return what others than the owner may read or write.
    """
    if sys.platform == "win32":  # pragma: no cover (needs Windows, where modes say nothing)
        return []
    found = []
    for path, status in files(config):
        mode = stat.S_IMODE(status.st_mode)
        if mode & _OTHERS:
            wanted = DIRECTORY_MODE if stat.S_ISDIR(status.st_mode) else FILE_MODE
            found.append(Loose(path, mode, wanted))
    return found


def modes(scene: Scene) -> Iterator[Result]:
    """
    Look for what others than the owner may read or write.
    """
    found = loose(scene.config)
    if not found:
        yield Result(
            name="permissions",
            outcome=Outcome.OK,
            sentence="only their owner may read the directories and files",
        )
        return
    yield Result(
        name="permissions",
        outcome=Outcome.WARNING,
        sentence=f"{several(len(found), 'place')} can be used by others than the owner",
        way_out="telemetry doctor --fix takes that from them",
        details=tuple(
            Detail(name=str(each.path), actual=f"{each.mode:04o}", expected=f"{each.wanted:04o}")
            for each in found[:_MAX_NAMED]
        ),
    )


def owners(scene: Scene) -> Iterator[Result]:
    """
    Look for what belongs to another user than the base directory, or than who asks.
    """
    config = scene.config
    if not hasattr(os, "geteuid") or not config.base_dir.is_dir():
        return
    owner = config.base_dir.stat().st_uid
    strange = [path for path, status in files(config) if status.st_uid != owner]
    if strange:
        yield Result(
            name="owner",
            outcome=Outcome.FINDING,
            sentence=f"{several(len(strange), 'place')} belong to another user than"
            f" {config.base_dir} ({_user(owner)}), such as {strange[0]}",
            way_out=f"chown -R {_user(owner)} {config.base_dir}; run every command as that user",
        )
    elif os.geteuid() not in {owner, 0}:
        yield Result(
            name="owner",
            outcome=Outcome.WARNING,
            sentence=f"{config.base_dir} belongs to {_user(owner)}, you are {_user(os.geteuid())}",
            way_out=f"run the commands and the agents as {_user(owner)}, or set TELEMETRY_BASE_DIR"
            " to a directory of your own",
        )
    else:
        yield Result(name="owner", outcome=Outcome.OK, sentence=f"all of it is {_user(owner)}'s")


def kinds(scene: Scene) -> Iterator[Result]:
    """
    Name the file systems of the journal and the database.
    """
    config = scene.config
    for subject, place in (("journal", config.ndjson_dir), ("database", config.db_path.parent)):
        kind = file_system(place)
        is_known = is_local(kind)
        yield Result(
            name="file_system",
            subject=subject,
            outcome=Outcome.OK if is_known else Outcome.WARNING,
            sentence=f"the {subject} lies on {kind or 'a file system of unknown kind'}"
            + (", which is of this machine" if is_known else ", which may be shared by machines"),
            way_out=""
            if is_known
            else "it works, slower and with DELETE instead of WAL; a local disk is better",
        )


def _user(uid: int) -> str:
    try:
        import pwd
    except ImportError:  # pragma: no cover (needs Windows)
        return str(uid)
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


CHECKS = (
    Check(name="permissions", run=modes),
    Check(name="owner", run=owners),
    Check(name="file_system", run=kinds),
)
