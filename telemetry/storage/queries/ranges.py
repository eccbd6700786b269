"""
What statistics are of: agents, kinds of work, and UTC days on which runs began.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple, Optional

import attrs

from telemetry.storage.queries.errors import FilterError
from telemetry.storage.queries.filters import PARAMETERS, Condition, Filters, pairs, unknown_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from telemetry.storage.queries.filters import Parameters

_SHARED = ("agent_name", "job_type", "exclude_agent_name", "exclude_job_type")
#: Everything that may be asked of statistics, by name, with what it means.
STATS_PARAMETERS: Mapping[str, str] = {
    **{name: PARAMETERS[name].doc for name in _SHARED},
    "date_from": "Runs that began on this UTC day or later, such as 2026-11-22.",
    "date_to": "Runs that began on this UTC day or earlier, such as 2026-11-22.",
}
#: Text before all days and months, but after the empty one of runs whose start is not known.
_FIRST, _LAST = "0000", "9999-99-99"
_AFTER_ALL = "~"
_DAY_LENGTH = len("2026-11-22")
_MONTH_LENGTH = len("2026-11")


class Stretch(NamedTuple):
    """
    Periods of one span, from the first to the last.
    """

    span: str
    first: str
    last: str


@attrs.frozen
class StatsFilters:
    """
    The runs that statistics are of; with nothing said, all of them.

    The days are included, as ISO dates; None is no bound.
    """

    conditions: tuple[Condition, ...] = ()
    first_day: Optional[str] = None
    last_day: Optional[str] = None

    @classmethod
    def parse(cls, params: Parameters, *, passed_over: Collection[str] = ()) -> StatsFilters:
        """
        Return what the parameters of a request ask for.

        Raises:
            FilterError: A name is not known, or a value cannot be meant.
        """
        shared: list[tuple[str, str]] = []
        days: dict[str, str] = {}
        for name, text in pairs(params):
            if name in passed_over:
                continue
            if name not in STATS_PARAMETERS:
                raise unknown_name(name, [*STATS_PARAMETERS, *passed_over])
            if name in _SHARED:
                shared.append((name, text))
            elif text and days.setdefault(name, _day(name, text)) != _day(name, text):
                raise FilterError(name, "must be given once", text, "leave one out")
        conditions = Filters.parse(shared).conditions
        return cls(conditions, days.get("date_from"), days.get("date_to"))

    @property
    def is_of_all_time(self) -> bool:
        """
        Return whether no day bounds it.
        """
        return self.first_day is None and self.last_day is None

    def stretches(self) -> tuple[Stretch, ...]:
        """
        Return the few largest periods that together are the days: months, and days at the edges.
        """
        if self.is_of_all_time:
            return (Stretch("all", "", ""),)
        head, first_month = _head(self.first_day)
        tail, last_month = _tail(self.last_day)
        if first_month > last_month:  # no whole month lies between
            return (self.days(),) if head or tail else ()
        months = (Stretch("month", first_month, last_month),)
        return (*head, *months, *tail)

    def days(self) -> Stretch:
        """
        Return all the days.
        """
        return Stretch("day", self.first_day or _FIRST, self.last_day or _LAST)


def _day(name: str, text: str) -> str:
    try:
        found = date.fromisoformat(text.strip()).isoformat()
    except ValueError:
        found = ""
    if found != text.strip():
        raise FilterError(name, "must be a day", text, "such as 2026-11-22", status=400)
    return found


def _head(first_day: Optional[str]) -> tuple[tuple[Stretch, ...], str]:
    """
    Return the days before the first whole month, and that month.
    """
    if first_day is None:
        return (), _FIRST
    month = first_day[:_MONTH_LENGTH]
    if first_day.endswith("-01"):
        return (), month
    year, number = int(month[:4]), int(month[5:])
    following = f"{year + number // 12:04d}-{number % 12 + 1:02d}"
    if len(following) > _MONTH_LENGTH:  # after the year 9999
        following = _AFTER_ALL
    return (Stretch("day", first_day, f"{month}-31"),), following


def _tail(last_day: Optional[str]) -> tuple[tuple[Stretch, ...], str]:
    """
    Return the days after the last whole month, and that month.
    """
    if last_day is None:
        return (), _LAST
    month = last_day[:_MONTH_LENGTH]
    is_last = last_day == _LAST[:4] + "-12-31" or (
        date.fromisoformat(last_day) + timedelta(days=1)
    ).isoformat().endswith("-01")
    if is_last:
        return (), month
    year, number = int(month[:4]), int(month[5:])
    previous = f"{year - (number == 1):04d}-{(number - 2) % 12 + 1:02d}"
    return (Stretch("day", f"{month}-01", last_day),), previous
