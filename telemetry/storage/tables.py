"""
The tables as SQLAlchemy's query builder knows them, for the read side.

What a run's columns are comes from `telemetry.model.run.COLUMNS`; a test compares each table here
with the statement in `telemetry.storage.ddl` that makes it. Nothing here is executed by the write
side, and an agent's process never imports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Integer, MetaData, Table, Text

from telemetry.model.run import COLUMNS, Kind
from telemetry.storage.ddl import ROLLUP_KEYS, ROLLUP_NUMBERS

if TYPE_CHECKING:
    from telemetry.model.run import Column as Field

METADATA = MetaData()

_NUMBERS = (Kind.COUNT, Kind.FLAG)


def is_nullable(field: Field) -> bool:
    """
    Return whether a row may have no value for a field of the run.
    """
    return not field.required and field.default is None


def _of_field(field: Field) -> Column[Any]:
    return Column(
        field.name,
        Integer if field.kind in _NUMBERS else Text,
        nullable=is_nullable(field),
        primary_key=field.name == "event_id",
    )


def _text(name: str, *, key: bool = False, nullable: bool = False) -> Column[Any]:
    return Column(name, Text, nullable=nullable, primary_key=key)


agent_runs = Table("agent_runs", METADATA, *map(_of_field, COLUMNS.values()))

run_events = Table(
    "run_events",
    METADATA,
    _text("id", key=True),
    _text("event_id", key=True),
    _text("run_id"),
    _text("event_type"),
    _text("timestamp"),
    _text("payload_json", nullable=True),
)

run_records = Table(
    "run_records",
    METADATA,
    _text("id", key=True),
    _text("event_id", key=True),
    _text("run_id"),
    _text("change"),
    _text("timestamp"),
    _text("body"),
)

commits = Table(
    "commits",
    METADATA,
    _text("id", key=True),
    _text("event_id", key=True),
    _text("run_id"),
    _text("commit_hash"),
    _text("commit_source", nullable=True),
    _text("commit_author", nullable=True),
    _text("commit_timestamp", nullable=True),
    _text("timestamp"),
)

run_rollups = Table(
    "run_rollups",
    METADATA,
    *(_text(name, key=True) for name in ROLLUP_KEYS),
    Column("part", Integer, nullable=False, primary_key=True),
    *(Column(name, Integer, nullable=False) for name in ROLLUP_NUMBERS),
    _text("durations_json"),
)
