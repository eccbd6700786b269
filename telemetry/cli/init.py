"""
``telemetry init``: make the base directory and the database.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from telemetry.cli.exits import Exit, fail
from telemetry.cli.session import current, shares_options

if TYPE_CHECKING:
    from pathlib import Path

    from telemetry.config import TelemetryConfig

#: Directories below the base directory, beside those of the journal and the database.
DIRECTORIES = ("backups", "reports", "exports", "config", "logs", "state")
_PAGE = """\
# Telemetry

| directory | what is in it |
| --- | --- |
| raw | the journal: every record, one JSON object a line; the truth |
| db | the database, made from the journal; telemetry recover makes it again |
| backups | backups of the database; telemetry backup list |
| config | schema.sql, the database's tables |
| state | locks and positions; leave it alone |
| reports, exports, logs | yours |
"""


@shares_options
@click.command("init")
def command() -> None:
    """
    Make the base directory, what lies below it, and the database.

    Nothing of yours is changed, so it may be called again. Says which rule chose the directory.
    """
    session = current()
    config = session.config
    made = [str(place) for place in _directories(config) if _make(place)]
    had_database = config.db_path.exists()
    _make_database(config)
    made += [str(file) for file in _write_files(config)]
    document = {
        "base_dir": str(config.base_dir),
        "source": config.sources.get("base_dir", "argument"),
        "journal": str(config.ndjson_dir),
        "database": str(config.db_path),
        "made": made + ([] if had_database else [str(config.db_path)]),
    }
    if session.as_json:
        session.screen.json(document)
        return
    from telemetry.cli.text import visible

    screen = session.screen
    mark = screen.mark("✓", "good")
    source = screen.style(f"({visible(document['source'])})", "faint")
    screen.lines(
        [
            f"{mark} {visible(document['base_dir'])} is ready {source}",
            f"  journal   {visible(document['journal'])}",
            f"  database  {visible(document['database'])}",
            f"  {_told(len(document['made']))}",
        ]
    )


def _told(made_count: int) -> str:
    return f"{made_count} made, the rest was there" if made_count else "all of it was there"


def _directories(config: TelemetryConfig) -> list[Path]:
    below = [config.base_dir / name for name in DIRECTORIES]
    return [config.base_dir, config.ndjson_dir, config.db_path.parent, *below]


def _make(place: Path) -> bool:
    """
    Make a directory for its owner alone; return whether it was missing.
    """
    from telemetry.runtime.places import make_private

    if place.is_dir():
        return False
    try:
        make_private(place)
    except OSError as error:
        reason = error.strerror or str(error)
        fail(
            f"directory {place} must be one that can be made ({reason});"
            " set TELEMETRY_BASE_DIR or --base-dir to another place",
            Exit.UNAVAILABLE,
        )
    return True


def _make_database(config: TelemetryConfig) -> None:
    """
    Make the database with its tables, or bring those of an older version up to date.
    """
    from telemetry.cli.offline import offline
    from telemetry.cli.strangers import refuse_strangers
    from telemetry.client import TelemetryClient

    refuse_strangers(config)
    for directory in (config.ndjson_dir, config.db_path.parent):
        if not os.access(directory, os.W_OK | os.X_OK):
            fail(
                f"directory {directory} must be writable to record into; change its rights, or set"
                " TELEMETRY_BASE_DIR or --base-dir to another place",
                Exit.UNAVAILABLE,
            )
    TelemetryClient(offline(config)).catch_up()


def _write_files(config: TelemetryConfig) -> list[Path]:
    """
    Write the schema as a script, and a page that says what lies where; return what was missing.

    The script is kept as this version makes it; the page is written once.
    """
    from telemetry.runtime.places import make_private
    from telemetry.storage.ddl import schema_sql

    schema, page = config.base_dir / "config" / "schema.sql", config.base_dir / "README.md"
    make_private(schema.parent)
    missing = [file for file in (schema, page) if not file.exists()]
    if schema in missing or schema.read_text(encoding="utf-8") != schema_sql():
        schema.write_text(schema_sql(), encoding="utf-8")
    if page in missing:
        page.write_text(_PAGE, encoding="utf-8")
    for file in missing:
        file.chmod(0o600)
    return missing
