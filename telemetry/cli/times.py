"""
Times and durations, as people write and read them.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Optional

import click

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
# Python 3.9 reads neither "Z" nor any number of decimals.
_FRACTION = r"\.(\d+)"
_DAYS = {"today": 0, "yesterday": 1}
WAYS_TO_SAY_IT = "like 90s, 45m, 2h, 3d, 1w, today, yesterday, 2026-11-22 or 2026-11-22T10:30"

# The first unit whose rounded value stays below its limit is used: never "60.0s".
_UNITS = ((1_000.0, 59.95, "s"), (60_000.0, 59.95, "m"), (3_600_000.0, 47.95, "h"))


def parse_when(text: str, now: datetime) -> datetime:
    """
    Return the moment that a text means.

    Args:
        now: The present, with the zone in which a time without one is meant.

    Raises:
        ValueError: It is none of the forms, or lies outside the calendar.
    """
    text = text.strip()
    try:
        if _SPAN.fullmatch(text):
            return now - parse_span(text)
        if text.lower() == "now":
            return now
        if text.lower() in _DAYS:
            return _midnight(now) - timedelta(days=_DAYS[text.lower()])
        return _from_iso(text, now)
    except OverflowError as error:
        raise ValueError(f"{text!r} lies outside the calendar") from error


def parse_span(text: str) -> timedelta:
    """
    Return the length of time that a text means: 90s, 45m, 2h, 3d or 1w.

    Raises:
        ValueError: It is none.
        OverflowError: It is longer than any calendar.
    """
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no length of time")
    return timedelta(seconds=float(match[1]) * _SECONDS[match[2].lower()])


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def _from_iso(text: str, now: datetime) -> datetime:
    iso = re.sub(r"[zZ]$", "+00:00", text)
    iso = re.sub(_FRACTION, lambda match: "." + match[1][:6].ljust(6, "0"), iso)
    moment = datetime.fromisoformat(iso)
    if moment.tzinfo is not None:
        return moment
    # A zone's offset may have changed since that day: local time is asked for each moment.
    return (
        moment.replace(tzinfo=timezone.utc)
        if now.utcoffset() == timedelta(0)
        else moment.astimezone()
    )


if TYPE_CHECKING:
    _MomentType = click.ParamType[datetime]
else:
    # Generic in newer versions of click only.
    _MomentType = click.ParamType


class When(_MomentType):
    """
    An option's value that is a moment, relative or absolute.
    """

    name = "when"

    def convert(
        self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]
    ) -> datetime:
        """
        Return the moment in UTC.
        """
        if isinstance(value, datetime):
            return value
        now = datetime.now(timezone.utc).astimezone()
        try:
            return parse_when(str(value), now).astimezone(timezone.utc)
        except (ValueError, OverflowError, OSError):
            self.fail(f"must be a time {WAYS_TO_SAY_IT} (got {value!r})", param, ctx)


def duration(ms: Optional[float]) -> str:
    """
    Return a duration as 12ms, 1.2s, 3.4m, 5.6h or 7.8d.
    """
    if ms is None:
        return ""
    if ms < 1000:  # noqa: PLR2004 (a second)
        return f"{ms:.0f}ms"
    for divisor, limit, unit in _UNITS:
        if ms / divisor < limit:
            return f"{ms / divisor:.1f}{unit}"
    return f"{ms / 86_400_000:.1f}d"


def as_moment(value: Any) -> Optional[datetime]:
    """
    Return a stored time; None for one that is missing or unreadable.
    """
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=timezone.utc)
    if not isinstance(value, str):
        return None
    try:
        return _from_iso(value, datetime.now(timezone.utc))
    except (ValueError, OverflowError):
        return None


def clock(value: Any, *, utc: bool, today: Optional[date] = None, seconds: str = "seconds") -> str:
    """
    Return a time of day, with the date where it is not today's.

    Args:
        utc: Whether to show UTC, marked by a Z, instead of local time.
        today: The day whose date is left out; None to show every date.
        seconds: ``timespec`` of ``isoformat``.
    """
    moment = as_moment(value)
    if moment is None:
        return ""
    try:
        shown = moment.astimezone(timezone.utc) if utc else moment.astimezone()
    except (OverflowError, OSError, ValueError):
        shown = moment
    mark = "Z" if utc else ""
    time_text = shown.time().isoformat(timespec=seconds) + mark
    return time_text if shown.date() == today else f"{shown.date().isoformat()} {time_text}"


def today_of(*, utc: bool) -> date:
    """
    Return the present day in the zone that is shown.
    """
    now = datetime.now(timezone.utc)
    return (now if utc else now.astimezone()).date()
