"""
Whether a configuration can work on this machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

    from telemetry.config.process import TelemetryConfig


def check(config: TelemetryConfig, *, strict: bool) -> tuple[bool, list[str]]:
    """
    Return whether telemetry can work with the settings, and every finding.

    Args:
        strict: Whether remarks count like errors.
    """
    errors = [*_unusable_places(config), *_half_settings(config)]
    missing = [] if errors else [*_missing_places(config)]
    remarks = [*config.problems, *_confused_servers(config)]
    serious = [*errors, *remarks, *([] if config.skip_validation else missing)]
    return not (serious if strict else errors), [*errors, *remarks, *missing]


def _unusable_places(config: TelemetryConfig) -> Iterator[str]:
    """
    Yield what stands where a directory or the database should be.
    """
    for name in ("base_dir", "ndjson_dir"):
        yield from _no_directory(name, getattr(config, name))
    if _is_directory(config.db_path):
        yield f"db_path must be a file (got the directory {str(config.db_path)!r}); name another"
    else:
        yield from _no_directory("the directory of db_path", config.db_path.parent)


def _no_directory(name: str, place: Path) -> Iterator[str]:
    """
    Yield why a directory cannot be used or made.
    """
    standing = place
    while not os.path.lexists(standing) and standing != standing.parent:
        standing = standing.parent
    if not _is_directory(standing):
        yield f"{name} must be a directory ({str(standing)!r} is none); name another"
    elif not os.access(standing, os.W_OK | os.X_OK):
        yield f"{name} must be writable ({str(standing)!r} is not); change its mode or name another"


def _is_directory(place: Path) -> bool:
    """
    Return whether a directory is there; a path too long to exist is none.
    """
    return os.path.isdir(place)  # noqa: PTH112 (Path's raises where the system refuses to look)


def _missing_places(config: TelemetryConfig) -> Iterator[str]:
    """
    Yield the directories that do not exist yet.
    """
    places = {"base_dir": config.base_dir, "ndjson_dir": config.ndjson_dir}
    for name, place in {**places, "the directory of db_path": config.db_path.parent}.items():
        if not _is_directory(place):
            yield f"{name} must exist (got {str(place)!r}); `telemetry init` makes it"


def _half_settings(config: TelemetryConfig) -> Iterator[str]:
    """
    Yield settings that need another one.
    """
    has_tokens = os.path.lexists(config.state_dir / "tokens.json")
    if config.api_auth_enabled and not config.api_auth_token and not has_tokens:
        yield (
            "TELEMETRY_API_AUTH_ENABLED needs a token (there is none); make one with `telemetry "
            "token create`, or set TELEMETRY_API_AUTH_TOKEN"
        )


def _confused_servers(config: TelemetryConfig) -> Iterator[str]:
    """
    Yield that runs would be posted back to the service they came from.
    """
    if not config.metrics_api_url or not config.metrics_api_enabled:
        return
    if urlsplit(config.metrics_api_url).netloc == urlsplit(config.api_url).netloc:
        yield (
            "METRICS_API_URL must be another server than TELEMETRY_API_URL "
            f"(both are {urlsplit(config.api_url).hostname}); "
            "unset METRICS_API_URL to keep runs on this machine"
        )
