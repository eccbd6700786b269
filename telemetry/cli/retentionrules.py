"""
What is to be kept, as people write it on the line or in a TOML file; nonsense is refused.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Optional

import attrs

from telemetry.cli.counts import MAX_COUNT, MAX_DAYS
from telemetry.cli.times import parse_span
from telemetry.config.tomlfiles import read_table
from telemetry.model.errors import UsageError
from telemetry.model.hints import did_you_mean
from telemetry.storage.expiry import Rules
from telemetry.storage.retention import Ages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

TABLE = "retention"
DEFAULT_KEEP_DAYS = 7.0
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)
_FACTORS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@attrs.frozen(kw_only=True)
class Policy:
    """
    What is kept of the journal, of the runs and of the backups.
    """

    ages: Ages
    rules: Rules
    #: For how many days each backup is kept; None to leave the backups alone.
    keep_backup_days: Optional[float] = None


def span(value: Any) -> timedelta:
    """
    Return a length of time: 90s, 45m, 2h, 3d, 1w.

    Raises:
        ValueError: It is none.
    """
    try:
        return parse_span(str(value))
    except (ValueError, OverflowError):
        raise ValueError("must be a length of time such as 90d or 12w") from None


def size(value: Any) -> int:
    """
    Return a size: 500MB, 2GB, or plain bytes.

    Raises:
        ValueError: It is none.
    """
    match = None if isinstance(value, bool) else _SIZE.fullmatch(str(value).strip())
    if match is None:
        raise ValueError("must be a size such as 500MB or 2GB")
    return int(float(match[1]) * _FACTORS[match[2].lower()])


def _count(value: Any) -> int:
    text = str(value).strip()
    if isinstance(value, (bool, float)) or not text.isdecimal() or int(text) > MAX_COUNT:
        raise ValueError("must be a whole number from 0 on")
    return int(text)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _days(value: Any) -> float:
    try:
        days = -1.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        days = -1.0
    if not 0 <= days <= MAX_DAYS:
        raise ValueError("must be a number of days from 0 on")
    return days


_PARSERS: Mapping[str, Callable[[Any], Any]] = {
    "compress_after": span,
    "drop_after": span,
    "runs_older_than": span,
    "failed_older_than": span,
    "keep_runs": _count,
    "max_bytes": size,
    "prune_backups": _flag,
    "keep_days": _days,
}
KEYS = tuple(_PARSERS)


def policy_from(*said: Mapping[str, Any]) -> Policy:
    """
    Return the policy that one or several sayings mean; a later one wins.

    Raises:
        UsageError: A key is none, a value cannot be used, or there is no rule at all.
    """
    given = {key: _parsed(key, value) for each in said for key, value in each.items()}
    policy = Policy(
        ages=Ages(compress_after=given.get("compress_after"), drop_after=given.get("drop_after")),
        rules=Rules(
            older_than=given.get("runs_older_than"),
            failed_older_than=given.get("failed_older_than"),
            keep_runs=given.get("keep_runs"),
            max_bytes=given.get("max_bytes"),
        ),
        keep_backup_days=given.get("keep_days", DEFAULT_KEEP_DAYS)
        if given.get("prune_backups")
        else None,
    )
    if policy == Policy(ages=Ages(), rules=Rules()):
        raise UsageError(
            "there must be a rule of what is to be kept (got none); give one such as"
            " --compress-after 7d, --drop-after 90d or --runs-older-than 365d, or a file of them"
        )
    return policy


def said_in(path: Path) -> Mapping[str, Any]:
    """
    Return what a TOML file says, in a table ``[retention]`` or without one.

    Raises:
        UsageError: It is no such file.
        OSError: It cannot be read.
    """
    said = read_table(path, TABLE)
    return {key.replace("-", "_"): value for key, value in said.items()}


def _parsed(key: str, value: Any) -> Any:
    parser = _PARSERS.get(key)
    if parser is None:
        hint = did_you_mean(key, KEYS, f"it can be {', '.join(KEYS)}")
        raise UsageError(f"a rule of retention must be one that is known (got {key!r}); {hint}")
    try:
        return parser(value)
    except ValueError as error:
        raise UsageError(f"{key} {error} (got {value!r})") from None
