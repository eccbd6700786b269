"""
The newest runs by the shortest way, for ``telemetry runs`` without filters.

Loading the settings and the library takes several times as long as the question itself. Where
nothing is out of the ordinary (a base directory that is named, no other setting, a database that
has all the journal has, no open run whose process is gone) the answer needs neither. Anything else
is left to the long way.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Optional

from telemetry.cli.freshness import is_current, open_read_only

#: Variables that begin like settings: only the places below may be among them.
_PREFIXES = ("TELEMETRY_", "METRICS_API_", "GOOGLE_SHEETS_API_", "AGENT_METRICS_DIR")
_PLACES = ("TELEMETRY_BASE_DIR", "AGENT_METRICS_DIR")
_HANDED_DOWN = "TELEMETRY_PARENT_RUN_ID"
_NEWEST = "SELECT * FROM agent_runs ORDER BY start_time DESC, event_id DESC LIMIT ?"


def newest(base_dir: Optional[str], limit: int) -> Optional[list[dict[str, Any]]]:
    """
    Return the newest runs; None where the long way must be gone.

    Args:
        base_dir: The base directory given on the line, before what the environment says.
        limit: At most so many; -1 for all.
    """
    base = ordinary_base(base_dir, os.environ)
    if base is None:
        return None
    database = os.path.join(base, "db", "telemetry.sqlite")  # noqa: PTH118 (no pathlib)
    journal, state = os.path.join(base, "raw"), os.path.join(base, "state")  # noqa: PTH118
    if not is_current(database, journal, state):
        return None
    try:
        with closing(open_read_only(database)) as connection:
            cursor = connection.execute(_NEWEST, (limit,))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row)) for row in cursor]
    except sqlite3.Error:
        return None


def ordinary_base(base_dir: Optional[str], environ: Mapping[str, str]) -> Optional[str]:
    """
    Return the base directory where it is an absolute path of plain characters that exists.

    None wherever the settings would have more to say about it.
    """
    asked = {name for name in environ if name.startswith(_PREFIXES)}
    if asked - {*_PLACES, _HANDED_DOWN}:
        return None
    named = [environ[name] for name in _PLACES if name in asked]
    if len(named) > 1:
        return None
    place = base_dir or next(iter(named), "")
    plain = place.replace("/", "").replace("_", "").replace("-", "").replace(".", "").isalnum()
    if not place.startswith("/") or not plain or not place.isascii():
        return None
    return place if os.path.isdir(place) else None  # noqa: PTH112 (no pathlib)
