"""
Statistics, each one chart's data, from the roll-ups: no run is counted again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable, Optional

from telemetry.model.run import Status
from telemetry.storage.ddl import SUMMED
from telemetry.storage.durations import RELATIVE_ERROR, bounds_of
from telemetry.storage.queries.extremes import extreme
from telemetry.storage.queries.histogram import bins, median
from telemetry.storage.queries.ranges import StatsFilters
from telemetry.storage.queries.sums import STATUSES, added_up, days, durations

if TYPE_CHECKING:
    import sqlite3

_DURATION = "duration_ms"
_ITEMS = tuple(name for name in SUMMED if name != _DURATION)
_BOTH = ("agent_name", "job_type")
_SUCCESS, _RUNNING = Status.SUCCESS.value, Status.RUNNING.value


def success_rate(connection: sqlite3.Connection, filters: StatsFilters) -> dict[str, Any]:
    """
    Return each agent's runs by status, and the share of success among those that ended.
    """
    return {
        "agents": [
            {
                "agent_name": agent,
                "runs": sum(statuses.values()),
                "statuses": statuses,
                "success_rate": _rate(statuses),
            }
            for (agent,), statuses in added_up(connection, filters, by=("agent_name",)).items()
        ]
    }


def timeline(connection: sqlite3.Connection, filters: StatsFilters) -> dict[str, Any]:
    """
    Return the runs that each agent began on each UTC day.
    """
    return {
        "days": [
            {"day": day, "agent_name": agent, "runs": count}
            for day, agent, count in days(connection, filters)
        ]
    }


def items(connection: sqlite3.Connection, filters: StatsFilters) -> dict[str, Any]:
    """
    Return each agent's item counters, added up.
    """
    return {
        "agents": [
            {"agent_name": agent, **sums}
            for (agent,), sums in added_up(
                connection, filters, by=("agent_name",), names=_ITEMS
            ).items()
        ]
    }


def duration_histogram(connection: sqlite3.Connection, filters: StatsFilters) -> dict[str, Any]:
    """
    Return how long runs took: bins, the extremes, the mean, and about the median.
    """
    buckets = durations(connection, filters)
    count = sum(buckets.values())
    if not count:
        return _no_durations()
    first, last = min(buckets), max(buckets)
    shortest = extreme(connection, filters, first, min)
    longest = extreme(connection, filters, last, max)
    least = bounds_of(first)[0] if shortest is None else shortest
    most = bounds_of(last)[1] if longest is None else longest
    total = added_up(connection, filters, names=(_DURATION,))[()][_DURATION]
    return {
        "runs": count,
        "min_ms": least,
        "max_ms": most,
        "extremes_are_exact": shortest is not None and longest is not None,
        "mean_ms": total / count,
        "median_ms": min(max(median(buckets), least), most),
        "relative_error": RELATIVE_ERROR,
        "bins": bins(buckets, least, most),
    }


def job_types(connection: sqlite3.Connection, filters: StatsFilters) -> dict[str, Any]:
    """
    Return the runs of each agent by job type.
    """
    return {
        "job_types": [
            {"agent_name": agent, "job_type": job, "runs": sum(statuses.values())}
            for (agent, job), statuses in added_up(connection, filters, by=_BOTH).items()
        ]
    }


def summary(connection: sqlite3.Connection, filters: StatsFilters) -> dict[str, Any]:
    """
    Return all of it in a few numbers.
    """
    found = added_up(connection, filters, by=_BOTH, names=(*STATUSES, *_ITEMS))
    total = {name: sum(one[name] for one in found.values()) for name in (*STATUSES, *_ITEMS)}
    statuses = {name: total.pop(name) for name in STATUSES}
    return {
        "total_runs": sum(statuses.values()),
        "agents": len({agent for agent, _ in found}),
        "job_types": len({job for _, job in found}),
        "statuses": statuses,
        "success_rate": _rate(statuses),
        **total,
    }


#: What `Store.stats` answers, by the name in a URL.
STATS: Mapping[str, Callable[[sqlite3.Connection, StatsFilters], dict[str, Any]]] = {
    "success-rate": success_rate,
    "timeline": timeline,
    "items": items,
    "durations": duration_histogram,
    "job-types": job_types,
    "summary": summary,
}


def nothing(name: str) -> dict[str, Any]:
    """
    Return what a chart shows of no runs.
    """
    return {
        "success-rate": {"agents": []},
        "timeline": {"days": []},
        "items": {"agents": []},
        "durations": _no_durations(),
        "job-types": {"job_types": []},
        "summary": {
            "total_runs": 0,
            "agents": 0,
            "job_types": 0,
            "statuses": dict.fromkeys(STATUSES, 0),
            "success_rate": None,
            **dict.fromkeys(_ITEMS, 0),
        },
    }[name]


def _no_durations() -> dict[str, Any]:
    return {
        "runs": 0,
        "min_ms": None,
        "max_ms": None,
        "extremes_are_exact": True,
        "mean_ms": None,
        "median_ms": None,
        "relative_error": RELATIVE_ERROR,
        "bins": [],
    }


def _rate(statuses: Mapping[str, int]) -> Optional[float]:
    """
    Return the percentage of success among the runs that ended; None where none has.
    """
    ended = sum(statuses.values()) - statuses[_RUNNING]
    return 100 * statuses[_SUCCESS] / ended if ended else None
