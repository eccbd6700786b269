"""
Gates as people write them, on the line or in a TOML file, made into rules; nonsense is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Optional

import attrs

from telemetry.cli.times import WAYS_TO_SAY_IT, parse_span, parse_when
from telemetry.config.tomlfiles import read_toml
from telemetry.model.errors import UsageError
from telemetry.model.hints import did_you_mean
from telemetry.storage.gates import Gate
from telemetry.storage.reader import RunFilter
from telemetry.storage.selection import Selection

if TYPE_CHECKING:
    from pathlib import Path

_COMPARING = ("max_slowdown", "max_failure_increase")
_COMMIT = re.compile(r"[0-9a-fA-F]{7,40}")
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*(%|ms|s|m|h|d)?")
_UNITS_MS = {"": 1, "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def _share(value: Any) -> float:
    """
    Return a share: a number from 0 to 1, or per cent with its sign.
    """
    share = _any_share(value)
    if share > 1:
        raise ValueError("must be from 0 to 1, or from 0% to 100%")
    return share


def _any_share(value: Any) -> float:
    match = _NUMBER.fullmatch(str(value).strip()) if not isinstance(value, bool) else None
    if match is None or match[2] not in {None, "%"}:
        raise ValueError("must be a share such as 0.05 or 5%")
    share = float(match[1]) / (100 if match[2] else 1)
    if not math.isfinite(share):
        raise ValueError("must be a share such as 0.05 or 5%")
    return share


def _duration_ms(value: Any) -> int:
    match = _NUMBER.fullmatch(str(value).strip()) if not isinstance(value, bool) else None
    if match is None or match[2] == "%":
        raise ValueError("must be a duration such as 1500ms, 90s or 2m")
    duration_ms = float(match[1]) * _UNITS_MS[match[2] or ""]
    if not math.isfinite(duration_ms):
        raise ValueError("must be a duration that a run can have")
    return round(duration_ms)


def _count(value: Any) -> int:
    text = str(value).strip()
    if isinstance(value, (bool, float)) or not text.isdecimal():
        raise ValueError("must be a whole number from 0 on")
    return int(text)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be text")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _hash(value: Any) -> str:
    if not isinstance(value, str) or not _COMMIT.fullmatch(value):
        raise ValueError("must be 7 to 40 hex digits")
    return value.lower()


def _span(value: Any) -> timedelta:
    try:
        return parse_span(str(value))
    except (ValueError, OverflowError):
        raise ValueError("must be a length of time such as 7d") from None


_PARSERS: Mapping[str, Callable[[Any], Any]] = {
    "name": _text,
    "agent": _text,
    "job_type": _text,
    "commit": _hash,
    "exclude_test": _flag,
    "baseline": _span,
    "min_runs": _count,
    "max_failure_rate": _share,
    "max_p95": _duration_ms,
    "max_items_failed": _count,
    "max_slowdown": _any_share,
    "max_failure_increase": _share,
}
KEYS = (*_PARSERS, "since", "until")
RULES = tuple(key for key in KEYS if key.startswith(("min_", "max_")))


def gate_from(said: Mapping[str, Any], now: datetime, *, number: int = 1) -> Gate:
    """
    Return the gate that keys and values mean.

    Args:
        said: As a table of the file, or the options of the line, say it.
        now: The present, with the zone in which a time without one is meant.

    Raises:
        UsageError: A key is none, a value cannot be used, or the rules make no sense together.
    """
    label = f"gate {said.get('name', number)!r}"
    given = {key: _parsed(label, key, value, now) for key, value in said.items()}
    _check_together(label, given)
    since, until = given.get("since"), given.get("until")
    chosen = Selection(
        filter=RunFilter(
            agent=given.get("agent"),
            job_type=given.get("job_type"),
            since=_column(since),
            until=_column(until),
        ),
        commit=given.get("commit"),
        exclude_test=given.get("exclude_test", False),
    )
    baseline = None
    if "baseline" in given and since is not None:
        # What is compared is the same work before the window, so not that of the commit alone.
        window = attrs.evolve(
            chosen.filter, since=_column(since - given["baseline"]), until=_column(since)
        )
        baseline = attrs.evolve(chosen, filter=window, commit=None)
    rules = {key: value for key, value in given.items() if key in RULES and key != "max_p95"}
    return Gate(
        name=given.get("name", "gate" if number == 1 else f"gate {number}"),
        selection=chosen,
        baseline=baseline,
        max_p95_ms=given.get("max_p95"),
        **rules,
    )


def gates_in(path: Path, given: Mapping[str, Any], now: datetime) -> list[Gate]:
    """
    Return the gates of a TOML file, each a table ``[[gate]]``.

    Args:
        given: What holds for each gate that does not say otherwise.

    Raises:
        UsageError: It is no such file, or a gate in it makes no sense.
        OSError: It cannot be read.
    """
    tables = _tables(path)
    gates = [gate_from({**given, **table}, now, number=i) for i, table in enumerate(tables, 1)]
    names = [gate.name for gate in gates]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"a gate must have a name of its own (got {twice!r} twice) in {path}")
    return gates


def _tables(path: Path) -> Sequence[Mapping[str, Any]]:
    document = read_toml(path)
    tables = document.pop("gate", None)
    if isinstance(tables, dict):
        tables = [tables]
    is_list = isinstance(tables, list) and all(isinstance(table, dict) for table in tables)
    if document or not tables or not is_list:
        extra = f", got {next(iter(document))!r}" if document else ""
        raise UsageError(f"the file {path} must hold tables [[gate]] and nothing else{extra}")
    found: Sequence[Mapping[str, Any]] = tables
    return found


def _parsed(label: str, key: str, value: Any, now: datetime) -> Any:
    if key in {"since", "until"}:
        if isinstance(value, datetime):
            return value.astimezone() if value.tzinfo else value.replace(tzinfo=now.tzinfo)
        try:
            return parse_when(str(value), now)
        except (ValueError, OverflowError):
            raise UsageError(
                f"{key} of {label} must be a time {WAYS_TO_SAY_IT} (got {value!r})"
            ) from None
    parser = _PARSERS.get(key)
    if parser is None:
        hint = did_you_mean(key, KEYS, f"it can be {', '.join(KEYS)}")
        raise UsageError(f"a key of {label} must be one that is known (got {key!r}); {hint}")
    try:
        return parser(value)
    except ValueError as error:
        raise UsageError(f"{key} of {label} {error} (got {value!r})") from None


def _check_together(label: str, given: Mapping[str, Any]) -> None:
    if not any(key in given for key in RULES):
        raise UsageError(f"{label} must have a rule (got none); give one of {', '.join(RULES)}")
    comparing = [key for key in _COMPARING if key in given]
    if comparing and "baseline" not in given:
        raise UsageError(
            f"{comparing[0]} of {label} must have a baseline to compare with (got none);"
            " give one such as 7d"
        )
    if "baseline" in given and not comparing:
        raise UsageError(
            f"the baseline of {label} must be for a rule; give {' or '.join(_COMPARING)}"
        )
    if "baseline" in given and "since" not in given:
        raise UsageError(
            f"the baseline of {label} must end where the window begins; say since, such as 24h"
        )
    since, until = given.get("since"), given.get("until")
    if since is not None and until is not None and since >= until:
        raise UsageError(f"the window of {label} must begin before it ends; since is not")


def _column(moment: Optional[datetime]) -> Optional[str]:
    from telemetry.cli.finding import column_time

    return column_time(moment)
