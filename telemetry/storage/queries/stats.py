"""
Statistics, each one chart's data, from the roll-ups: no run is counted again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable, Optional

from telemetry.model.run import Status
from telemetry.storage.ddl import STATUS_COUNTS, SUMMED
from telemetry.storage.durations import RELATIVE_ERROR, bounds_of
from telemetry.storage.queries.extremes import extreme
from telemetry.storage.queries.histogram import bins, median
from telemetry.storage.queries.ranges import StatsFilters
from telemetry.storage.queries.sums import Sums, days, durations, groups, together

if TYPE_CHECKING:
    import sqlite3

_ITEMS = tuple(name for name in SUMMED if name != "duration_ms")
_SUCCESS, _RUNNING = Status.SUCCESS.value, Status.RUNNING.value


def success_rate(connection: sqlite3.Connection, filters: StatsFilters) -> dict[str, Any]:
    """
    Return each agent's runs by status, and the share of success among those that ended.
    """
    return {
        "agents": [
            {
                "agent_name": agent,
                "runs": sums.run_count,
                "statuses": dict(sums.statuses),
                "success_rate": _rate(sums),
            }
            for agent, sums in _agents(connection, filters).items()
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
            {"agent_name": agent, **_items(sums)}
            for agent, sums in _agents(connection, filters).items()
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
    total = together(list(groups(connection, filters).values())).totals["duration_ms"]
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
            {"agent_name": agent, "job_type": job, "runs": sums.run_count}
            for (agent, job), sums in groups(connection, filters).items()
        ]
    }


def summary(connection: sqlite3.Connection, filters: StatsFilters) -> dict[str, Any]:
    """
    Return all of it in a few numbers.
    """
    found = groups(connection, filters)
    sums = together(list(found.values()))
    return {
        "total_runs": sums.run_count,
        "agents": len({agent for agent, _ in found}),
        "job_types": len({job for _, job in found}),
        "statuses": dict(sums.statuses),
        "success_rate": _rate(sums),
        **_items(sums),
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
            "statuses": dict.fromkeys(STATUS_COUNTS, 0),
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


def _agents(connection: sqlite3.Connection, filters: StatsFilters) -> dict[str, Sums]:
    by_agent: dict[str, list[Sums]] = {}
    for (agent, _), sums in groups(connection, filters).items():
        by_agent.setdefault(agent, []).append(sums)
    return {agent: together(several) for agent, several in by_agent.items()}


def _items(sums: Sums) -> dict[str, int]:
    return {name: sums.totals[name] for name in _ITEMS}


def _rate(sums: Sums) -> Optional[float]:
    """
    Return the percentage of success among the runs that ended; None where none has.
    """
    ended = sums.run_count - sums.statuses[_RUNNING]
    return 100 * sums.statuses[_SUCCESS] / ended if ended else None
