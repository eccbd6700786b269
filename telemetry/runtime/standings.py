"""
How far every sink of a base directory has come, those included that are not at work now.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from telemetry.runtime.cursors import FileCursors
from telemetry.runtime.redelivery import letters_of
from telemetry.storage.cursors import DATABASE_SINK, read_cursors
from telemetry.storage.looking import look_into
from telemetry.storage.retention import Standing
from telemetry.storage.sqlite import translated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from telemetry.config import TelemetryConfig
    from telemetry.sinks import Cursor, Sink

_RETRYING = ".retrying"


def standings(config: TelemetryConfig, sinks: Iterable[Sink]) -> list[Standing]:
    """
    Return where each sink stands: those of the settings, and whatever has left a position.

    Opens no sink. One that has no position yet stands at the beginning.

    Raises:
        OSError: A position or the dead letters cannot be read.
        SinkError: The database cannot be read.
    """
    state_dir = config.state_dir
    names = {DATABASE_SINK, *(sink.name for sink in sinks)}
    names.update(path.stem for path in (state_dir / "cursors").glob("*.json"))
    dead = {path.stem.removesuffix(_RETRYING) for path in (state_dir / "dead").glob("*.ndjson")}
    return [
        Standing(
            sink=name,
            cursors=_cursors(config, name),
            dead=frozenset(letter.id for letter in letters_of(state_dir, name)),
        )
        for name in sorted(names | dead)
    ]


def _cursors(config: TelemetryConfig, name: str) -> Mapping[str, Cursor]:
    if name != DATABASE_SINK:
        return FileCursors(config.state_dir, name).load()
    if not config.db_path.exists():
        return {}
    with translated(config.db_path), closing(look_into(config.db_path)) as connection:
        return read_cursors(connection, name)
