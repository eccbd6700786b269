"""
Whether this machine's clock fits what was recorded, and that of the disk.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Optional

from telemetry.health.results import Check, Detail, Outcome, Result
from telemetry.health.times import moment
from telemetry.model.words import several, span

if TYPE_CHECKING:
    from pathlib import Path

    from telemetry.health.scene import Scene

#: This release did not exist before.
_EARLIEST = datetime(2025, 1, 1, tzinfo=timezone.utc)
#: Differences that a network's clocks may have.
MAX_AHEAD_S = 5.0
MAX_SKEW_S = 5.0
_TAIL_BYTES = 64 << 10


def clock(scene: Scene) -> Iterator[Result]:
    """
    Compare the clock with the newest records, and with the time stamps that the disk gives.
    """
    problems = [
        problem
        for problem in (_of_the_calendar(scene), _of_the_records(scene), _of_the_disk(scene))
        if problem
    ]
    for problem in problems:
        yield Result(
            name="clock",
            outcome=Outcome.WARNING,
            sentence=problem,
            way_out="let the machine's time service set the clock; what was recorded is kept",
        )
    if not problems:
        yield Result(
            name="clock", outcome=Outcome.OK, sentence="the clock fits the journal and the disk"
        )


def journal(scene: Scene) -> Iterator[Result]:
    """
    List the journal's files.
    """
    if not scene.config.ndjson_dir.is_dir():
        return  # said of the directories
    from telemetry.model.words import in_bytes

    segments = scene.segments
    size = sum(segment.size for segment in segments)
    newest = segments[-1].path.name if segments else "none"
    yield Result(
        name="journal",
        outcome=Outcome.OK,
        sentence=f"{several(len(segments), 'file')} with {in_bytes(size)}, the newest {newest}",
        numbers={"journal_bytes": size, "journal_files": len(segments)},
        details=(Detail(name="directory", actual=str(scene.config.ndjson_dir)),),
    )


def _of_the_calendar(scene: Scene) -> str:
    if scene.now >= _EARLIEST:
        return ""
    return f"the clock shows {scene.now:%Y-%m-%d}, before this release was made"


def _of_the_records(scene: Scene) -> str:
    newest = _newest_record(scene)
    ahead_s = (newest - scene.now).total_seconds() if newest else 0.0
    if ahead_s <= MAX_AHEAD_S:
        return ""
    return f"the newest record is {span(ahead_s)} ahead of the clock, which was set back since"


def _newest_record(scene: Scene) -> Optional[datetime]:
    """
    Return the latest time among the last records of the newest file.
    """
    with suppress(OSError):
        for segment in scene.segments[-1:]:
            start = max(0, segment.size - _TAIL_BYTES)
            with segment.path.open("rb") as file:
                file.seek(start)
                tail = file.read(_TAIL_BYTES)
            from telemetry.model.codec import decode_lines

            times = [moment(record.timestamp) for record in decode_lines(tail).records]
            return max((time for time in times if time is not None), default=None)
    return None


def _of_the_disk(scene: Scene) -> str:
    directory = scene.config.ndjson_dir
    if not directory.is_dir():
        return ""
    try:
        skew_s = _skew_s(directory / f".probe-{secrets.token_hex(8)}")
    except OSError:
        return ""  # said of the write probe
    if abs(skew_s) <= MAX_SKEW_S:
        return ""
    way = "ahead of" if skew_s > 0 else "behind"
    return f"files in {directory} are stamped {span(abs(skew_s))} {way} the clock"


def _skew_s(path: Path) -> float:
    before = time.time()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(fd, b"\n")
        stamped = os.fstat(fd).st_mtime
    finally:
        os.close(fd)
        with suppress(OSError):
            path.unlink()
    after = time.time()
    return stamped - min(max(stamped, before), after)


CHECKS = (Check(name="journal", run=journal), Check(name="clock", run=clock))
