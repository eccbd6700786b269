"""
The limits of the health checks: each with its default and its meaning, once.

The options of ``telemetry health`` and the keys of its TOML file are made of these fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Optional

import attrs

from telemetry.config.tomlfiles import read_table
from telemetry.model.errors import UsageError
from telemetry.model.hints import did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

TABLE = "health"
OFF = "off"
_GB, _MB = 1 << 30, 1 << 20
#: A hundred years: what lies longer ago is no time that a calendar has.
MAX_SECONDS = 100 * 365 * 86_400
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z%]*)")


class Kind(Enum):
    """
    What a limit counts, the units it may be written in, and how it is meant to be written.
    """

    BYTES = "bytes"
    SECONDS = "seconds"
    SHARE = "share"
    COUNT = "count"


_UNITS: Mapping[Kind, Mapping[str, float]] = {
    Kind.BYTES: {
        "": 1, "b": 1, "kb": 1 << 10, "mb": _MB, "gb": _GB, "tb": 1 << 40,
    },
    Kind.SECONDS: {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800},
    Kind.SHARE: {"": 1, "%": 0.01},
    Kind.COUNT: {"": 1},
}  # fmt: skip
_EXAMPLES = {
    Kind.BYTES: "500MB or 5GB",
    Kind.SECONDS: "90s, 45m, 2h or 3d",
    Kind.SHARE: "0.05 or 5%",
    Kind.COUNT: "a whole number",
}


def _limit(default: Optional[float], kind: Kind, help_text: str) -> Any:
    return attrs.field(default=default, metadata={"kind": kind, "help": help_text})


@attrs.frozen(kw_only=True)
class Limits:
    """
    From where on a number is a warning or a finding; None is never.
    """

    free_warn: Optional[float] = _limit(
        5 * _GB, Kind.BYTES, "Free disk space below which it warns."
    )
    free_fail: Optional[float] = _limit(1 * _GB, Kind.BYTES, "… below which it fails.")
    idle_warn: Optional[float] = _limit(
        3600, Kind.SECONDS, "How long no run may begin before it warns."
    )
    idle_fail: Optional[float] = _limit(None, Kind.SECONDS, "… before it fails.")
    stale_after: Optional[float] = _limit(
        3600, Kind.SECONDS, "How long an open run may say nothing before it is stale."
    )
    stale_warn: Optional[float] = _limit(
        1, Kind.COUNT, "Stale and dead runs from which on it warns."
    )
    stale_fail: Optional[float] = _limit(100, Kind.COUNT, "… from which on it fails.")
    backlog_warn: Optional[float] = _limit(
        16 * _MB, Kind.BYTES, "Undelivered bytes of a sink from which on it warns."
    )
    backlog_fail: Optional[float] = _limit(256 * _MB, Kind.BYTES, "… from which on it fails.")
    age_warn: Optional[float] = _limit(
        300, Kind.SECONDS, "Age of the oldest undelivered record from which on it warns."
    )
    age_fail: Optional[float] = _limit(86_400, Kind.SECONDS, "… from which on it fails.")
    dead_letters_warn: Optional[float] = _limit(
        1, Kind.COUNT, "Records that a sink refused, from which on it warns."
    )
    dead_letters_fail: Optional[float] = _limit(100, Kind.COUNT, "… from which on it fails.")
    failure_rate_warn: Optional[float] = _limit(
        0.2, Kind.SHARE, "Share of failed runs in 24 hours from which on it warns."
    )
    failure_rate_fail: Optional[float] = _limit(0.5, Kind.SHARE, "… from which on it fails.")
    failure_rate_runs: Optional[float] = _limit(
        10, Kind.COUNT, "Finished runs in 24 hours below which their share says nothing."
    )
    size_warn: Optional[float] = _limit(
        500 * _MB, Kind.BYTES, "Size of the database from which on it warns."
    )
    size_fail: Optional[float] = _limit(None, Kind.BYTES, "… from which on it fails.")
    integrity_up_to: Optional[float] = _limit(
        64 * _MB,
        Kind.BYTES,
        "Up to which size every page of the database is read; of a larger one, its newest rows.",
    )


def parse(name: str, value: Any) -> Optional[float]:
    """
    Return the number that a limit's text or TOML value means.

    Raises:
        UsageError: There is no such limit, or the value is none of its kind.
    """
    field = getattr(attrs.fields(Limits), name, None)
    if field is None:
        names = [each.name for each in attrs.fields(Limits)]
        hint = did_you_mean(name, names, "see telemetry health --help")
        raise UsageError(f"a limit must be one that there is (got {name!r}); {hint}")
    text = str(value).strip()
    if text.lower() == OFF:
        return None
    kind: Kind = field.metadata["kind"]
    match = _NUMBER.fullmatch(text)
    factor = _UNITS[kind].get(match[2].lower()) if match else None
    if match is None or factor is None or isinstance(value, bool):
        raise UsageError(
            f"the limit {name} must be {kind.value} such as {_EXAMPLES[kind]}, or {OFF}"
            f" (got {value!r})"
        )
    number = float(match[1]) * factor
    if kind is Kind.SECONDS and number > MAX_SECONDS:
        raise UsageError(
            f"the limit {name} must be at most 100 years, or {OFF} for never (got {value!r})"
        )
    return number


def said_in(path: Path) -> dict[str, Any]:
    """
    Return the limits that a TOML file sets, in a table ``[health]`` or without one.

    Raises:
        UsageError: It is no such file.
        OSError: It cannot be read.
    """
    return read_table(path, TABLE)


def limits_from(*said: Mapping[str, Any]) -> Limits:
    """
    Return the limits that one or several sayings mean; a later one wins.

    Raises:
        UsageError: As `parse`.
    """
    values = {name: parse(name, value) for each in said for name, value in each.items()}
    return Limits(**values)
