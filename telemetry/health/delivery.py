"""
How far the sinks are behind the journal, and what they refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Optional

from telemetry.health.results import Check, Outcome, Result, graded
from telemetry.health.times import moment
from telemetry.model.errors import TelemetryError
from telemetry.model.records import deliverable
from telemetry.model.words import in_bytes, several, span
from telemetry.runtime.cursors import FileCursors
from telemetry.runtime.deadletters import count_dead_letters, dead_letters_path
from telemetry.storage.cursors import DATABASE_SINK, read_cursors

if TYPE_CHECKING:
    from telemetry.health.scene import Scene
    from telemetry.sinks import Cursor, Segment

#: Of the runtime itself; it is at work only where a plugin wants to be told of runs.
HOOKS_SINK = "hooks"
#: Read behind a cursor to tell how old what waits there is.
_LOOK_BYTES = 64 << 10


def backlog(scene: Scene) -> Iterator[Result]:
    """
    Measure what each sink has not taken yet: bytes, and the age of the oldest record.
    """
    names = [sink.name for sink in scene.sinks]
    if (scene.config.state_dir / "cursors" / f"{HOOKS_SINK}.json").exists():
        names.append(HOOKS_SINK)
    for name in names:
        yield _behind(scene, name)


def dead_letters(scene: Scene) -> Iterator[Result]:
    """
    Count the records that each sink refused for good.
    """
    state_dir = scene.config.state_dir
    counts = {name: count for name, count in count_dead_letters(state_dir).items() if count}
    if not counts:
        yield Result(
            name="dead_letters",
            outcome=Outcome.OK,
            sentence="no sink refused a record",
            numbers={"dead_letters": 0},
        )
    for name, count in counts.items():
        limits = scene.limits
        yield Result(
            name="dead_letters",
            subject=name,
            outcome=graded(count, limits.dead_letters_warn, limits.dead_letters_fail),
            sentence=f"{name} refused {several(count, 'record')} for good",
            way_out=f"telemetry posts list says why, telemetry posts retry sends them again; see"
            f" {dead_letters_path(state_dir, name)}",
            numbers={"dead_letters": count},
        )


def cursors_of(scene: Scene, sink: str) -> Mapping[str, Cursor]:
    """
    Return where a sink stands in each segment, without opening the sink.

    Raises:
        OSError, TelemetryError: It cannot be read.
    """
    if sink != DATABASE_SINK:
        return FileCursors(scene.config.state_dir, sink).load()
    if not scene.has_runs:
        return {}
    with scene.database() as connection:
        return read_cursors(connection, sink)


def _behind(scene: Scene, name: str) -> Result:
    try:
        cursors = cursors_of(scene, name)
    except (OSError, TelemetryError) as error:
        return Result(
            name="backlog",
            subject=name,
            outcome=Outcome.WARNING,
            sentence=f"how far {name} is cannot be read ({error.__cause__ or error})",
            way_out="telemetry check looks at the positions",
        )
    bytes_behind, oldest_s = 0, 0.0
    for segment in scene.segments:
        cursor = cursors.get(segment.id)
        missing = segment.size - (cursor.offset if cursor else 0)
        if missing <= 0:
            continue
        if not bytes_behind:
            oldest_s = _oldest_s(scene, segment, cursor)
        bytes_behind += missing
    limits = scene.limits
    outcome = max(
        graded(bytes_behind, limits.backlog_warn, limits.backlog_fail),
        graded(oldest_s, limits.age_warn, limits.age_fail) if bytes_behind else Outcome.OK,
    )
    return Result(
        name="backlog",
        subject=name,
        outcome=outcome,
        sentence=f"{name} is {in_bytes(bytes_behind)} behind the journal"
        + (f", with a record of {span(oldest_s)} ago" if oldest_s else ""),
        way_out=_way_out(name) if outcome is not Outcome.OK else "",
        numbers={"backlog_bytes": bytes_behind, "backlog_seconds": oldest_s},
    )


def _way_out(name: str) -> str:
    if name == DATABASE_SINK:
        return "telemetry runs brings it up to date; telemetry doctor --only locks shows who drains"
    return "see that its server can be reached; whoever records next, or a service, sends the rest"


def _oldest_s(scene: Scene, segment: Segment, cursor: Optional[Cursor]) -> float:
    """
    Return the age of the first record behind a cursor; 0 where there is none, or none to be read.
    """
    with suppress(OSError, TelemetryError):
        chunk = scene.journal.read(segment, cursor, _LOOK_BYTES)
        for record in deliverable(chunk.records)[:1]:
            then = moment(record.timestamp)
            if then is not None:
                return max(0.0, (scene.now - then).total_seconds())
    return 0.0


CHECKS = (Check(name="backlog", run=backlog), Check(name="dead_letters", run=dead_letters))
