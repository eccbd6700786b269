"""
What ``telemetry doctor --fix`` repairs: only what nothing recorded depends on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from telemetry.config import TelemetryConfig


def fix(config: TelemetryConfig) -> Iterator[str]:
    """
    Repair what is safe to repair, and yield what was done.

    Directories that are missing, modes that let others in, a database that is missing, and its
    indexes. What holds data and is damaged is left to ``telemetry recover``.

    Raises:
        OSError: A directory cannot be made, or a mode not changed.
        TelemetryError: The database cannot be opened.
    """
    yield from _directories(config)
    yield from _database(config)
    yield from _modes(config)


def _directories(config: TelemetryConfig) -> Iterator[str]:
    from telemetry.health.storage import needed_directories
    from telemetry.runtime.places import make_private

    for place in [*needed_directories(config), config.state_dir, config.backups_dir]:
        if not place.is_dir():
            make_private(place)
            yield f"made the directory {place}"


def _modes(config: TelemetryConfig) -> Iterator[str]:
    from telemetry.health.permissions import loose

    for each in loose(config):
        each.path.chmod(each.wanted)
        yield f"changed the mode of {each.path} from {each.mode:04o} to {each.wanted:04o}"


def _database(config: TelemetryConfig) -> Iterator[str]:
    from telemetry.cli.offline import offline
    from telemetry.client import TelemetryClient

    path = config.db_path
    if not path.exists() or path.stat().st_size == 0:
        client = TelemetryClient(offline(config))
        client.catch_up()
        client.close()
        yield f"made the database {path} from what the journal has"
        return
    yield from _indexes(config)


def _indexes(config: TelemetryConfig) -> Iterator[str]:
    from telemetry.health.database import missing_indexes
    from telemetry.model.errors import TelemetryError
    from telemetry.storage.ddl import DATABASE_VERSION, INDEXES
    from telemetry.storage.sqlite import (
        connect,
        connect_read_only,
        immediate,
        translated,
        user_version,
    )

    path = config.db_path
    try:
        with translated(path), closing(connect_read_only(path)) as connection:
            missing = missing_indexes(connection)
            is_current = user_version(connection) == DATABASE_VERSION
    except TelemetryError:
        return  # damaged: said by the checks, with the way out
    if not missing or not is_current:
        return
    with translated(path), closing(connect(path)) as connection, immediate(connection):
        for statement in INDEXES:
            connection.execute(statement)
    yield f"made the indexes {', '.join(missing)}"
