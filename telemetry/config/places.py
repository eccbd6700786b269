"""
Where the data lie: which of the ways to name a directory wins.

An argument, TELEMETRY_DB_PATH, TELEMETRY_BASE_DIR, AGENT_METRICS_DIR, a known directory that
exists, the user's data directory of the platform: the first that names one decides.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional

ARGUMENT = "argument"
APPLICATION = "telemetry"

_POSIX_PLACES = ("/agent-metrics", "/opt/telemetry", "/data/telemetry")
# Elsewhere than on Windows these would be relative paths.
_WINDOWS_PLACES = ("D:/agent-metrics", "C:/agent-metrics") if os.name == "nt" else ()
#: Directories that are used when they exist and can be written.
KNOWN_PLACES = (*_POSIX_PLACES, *_WINDOWS_PLACES, "~/.telemetry")


def settle(values: dict[str, Any], sources: dict[str, str], problems: list[str]) -> None:
    """
    Fill in the base directory, and drop places that a stronger one overrules.

    Args:
        values: What was read for ``base_dir``, ``db_path`` and ``ndjson_dir``, among others.
        sources: The variable that each value came from, or "argument".
        problems: Takes a line for each setting that has no effect.
    """
    if ARGUMENT in (sources.get("base_dir"), sources.get("db_path")):
        _drop_from_environment(values, sources)
    database: Optional[Path] = values.get("db_path")
    if sources.get("base_dir") == ARGUMENT:
        return
    if database is not None:
        _settle_by_database(database, values, sources, problems)
    elif "base_dir" not in values:
        values["base_dir"], sources["base_dir"] = find_base()


def base_above(database: Path) -> Path:
    """
    Return the base directory of a database: two levels above it.

    A database that lies too near the root to have one keeps its own directory.
    """
    base = database.parent.parent
    return database.parent if base == base.parent else base


def find_base(known: Iterable[str] = KNOWN_PLACES) -> tuple[Path, str]:
    """
    Return the directory to use when none was named, and the reason in words.
    """
    passed_over = ""
    for name in known:
        place = os.path.expanduser(name)  # noqa: PTH111 (Path's raises without a home)
        if not os.path.isdir(place):  # noqa: PTH112 (a third of the time)
            continue
        if os.access(place, os.W_OK | os.X_OK):
            return Path(place), f"existing directory{passed_over}"
        passed_over = f"; {place} cannot be written"
    return _user_place(), f"user data directory{passed_over}"


def _user_place() -> Path:
    """
    Return the platform's directory for the user's data; one that survives nothing, without a home.
    """
    import platformdirs

    place = Path(platformdirs.user_data_dir(APPLICATION, appauthor=False))
    if place.is_absolute():
        return place
    import tempfile

    owner = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir()) / f"{APPLICATION}-{owner}"


def _drop_from_environment(values: dict[str, Any], sources: dict[str, str]) -> None:
    """
    Let an argument stand alone: what it names must not be mixed with another base directory.
    """
    for name in ("base_dir", "db_path", "ndjson_dir"):
        if name in values and sources[name] != ARGUMENT:
            del values[name], sources[name]


def _settle_by_database(
    database: Path, values: dict[str, Any], sources: dict[str, str], problems: list[str]
) -> None:
    """
    Take the base directory from the database's path.
    """
    base = base_above(database)
    named = values.get("base_dir")
    if named is not None and named != base:
        problems.append(
            f"{sources['base_dir']} must agree with {sources['db_path']}, which overrules it "
            f"(got {str(named)!r}, the database is in {str(base)!r}); unset one of them"
        )
    values["base_dir"] = base
    sources["base_dir"] = f"above {sources['db_path']}"
