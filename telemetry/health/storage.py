"""
Whether the directories are there and can be written, and whether the disk has room.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from telemetry.health.results import Check, Outcome, Result, graded
from telemetry.model.words import in_bytes, several
from telemetry.storage.unreadable import unreadable_in

if TYPE_CHECKING:
    from telemetry.config import TelemetryConfig
    from telemetry.health.scene import Scene

_NAMED_FILES = 3
_PROBE = b"telemetry was here\n"
_FREE_SPACE = (
    "free some space: telemetry backup prune, telemetry retention --compress-after 30d, or move the"
    " directory to a larger disk"
)


def needed_directories(config: TelemetryConfig) -> list[Path]:
    """
    Return the directories without which nothing is recorded.
    """
    return [config.base_dir, config.ndjson_dir, config.db_path.parent]


def storage(scene: Scene) -> Iterator[Result]:
    """
    Look for the directories.
    """
    places = needed_directories(scene.config)
    missing = [place for place in places if not place.is_dir()]
    if missing:
        words = ", ".join(f"{place}" for place in missing)
        yield Result(
            name="storage",
            outcome=Outcome.FINDING,
            sentence=f"there must be a directory {words}, and there is none",
            way_out="telemetry init makes it; telemetry config base_dir says which rule chose it",
        )
    else:
        yield Result(
            name="storage",
            outcome=Outcome.OK,
            sentence=f"{scene.config.base_dir} has its journal's and its database's directory",
        )


def readable(scene: Scene) -> Iterator[Result]:
    """
    Try every file of the journal; what cannot be read is followed by no sink.
    """
    found = unreadable_in(scene.config.ndjson_dir)
    if found:
        named = ", ".join(f"{one.path} ({one.reason})" for one in found[:_NAMED_FILES])
        yield Result(
            name="readable",
            outcome=Outcome.FINDING,
            sentence=f"{several(len(found), 'file')} of the journal cannot be read: {named}",
            way_out="make them readable for this user, or move them out of the directory",
            numbers={"unreadable_files": len(found)},
        )
    else:
        yield Result(
            name="readable", outcome=Outcome.OK, sentence="every file of the journal can be read"
        )


def disk(scene: Scene) -> Iterator[Result]:
    """
    Measure the free space of the journal's disk, and of the database's where that is another.
    """
    seen: set[int] = set()
    for place in (scene.config.ndjson_dir, scene.config.db_path.parent):
        existing = _existing(place)
        device = existing.stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        space = shutil.disk_usage(existing)
        limits = scene.limits
        outcome = graded(space.free, limits.free_warn, limits.free_fail, is_less_worse=True)
        yield Result(
            name="disk",
            subject="" if len(seen) == 1 else "database",
            outcome=outcome,
            sentence=f"{in_bytes(space.free)} of {in_bytes(space.total)} are free at {existing}",
            way_out="" if outcome is Outcome.OK else _FREE_SPACE,
            numbers={"disk_free_bytes": space.free, "disk_total_bytes": space.total},
        )


def write_probe(scene: Scene) -> Iterator[Result]:
    """
    Write a small file beside the journal, make it durable, and remove it.
    """
    directory = scene.config.ndjson_dir
    if not directory.is_dir():
        return  # said of the storage
    try:
        _write_and_remove(directory / f".probe-{secrets.token_hex(8)}")
    except OSError as error:
        yield Result(
            name="write",
            outcome=Outcome.FINDING,
            sentence=f"{directory} must take a file ({error.strerror or error})",
            way_out="telemetry doctor shows its owner, its mode and the free space",
        )
    else:
        yield Result(
            name="write", outcome=Outcome.OK, sentence=f"{directory} took a file and made it safe"
        )


def _write_and_remove(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        written = os.write(fd, _PROBE)
        os.fsync(fd)
    finally:
        os.close(fd)
        with suppress(OSError):
            path.unlink()
    if written != len(_PROBE):
        raise OSError(f"only {written} of {len(_PROBE)} bytes were written")


def _existing(place: Path) -> Path:
    while not place.exists() and place != place.parent:
        place = place.parent
    return place


CHECKS = (
    Check(name="storage", run=storage),
    Check(name="readable", run=readable),
    Check(name="disk", run=disk),
    Check(name="write", run=write_probe),
)
