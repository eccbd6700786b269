"""
Statistics: what the plain queries over the runs would say.
"""

import sqlite3
import statistics
from contextlib import closing

import pytest

from telemetry.model.run import MAX_INTEGER, Status
from telemetry.storage.durations import RELATIVE_ERROR
from telemetry.storage.queries import STATS, FilterError, StatsFilters, Store, extremes
from telemetry.storage.rollups import SOURCES, Tally
from telemetry.storage.sqlite import MalformedDatabaseError

STATUSES = [status.value for status in Status]


def run(key, day="2026-11-22", **fields):
    return {
        "event_id": str(key),
        "agent_name": "seo",
        "job_type": "crawl",
        "status": "success",
        "start_time": f"{day}T12:00:00.000000Z",
        **fields,
    }


@pytest.fixture
def some(put):
    """
    Put a few runs of two agents into the database.
    """
    put(
        run(1, items_discovered=5, items_succeeded=4, items_failed=1, duration_ms=1000),
        run(2, "2026-11-21", status="failed", items_discovered=2, duration_ms=500),
        run(3, "2026-10-05", job_type="audit", items_skipped=MAX_INTEGER, duration_ms=70),
        run(4, "2026-10-05", agent_name="ads", status="running", items_skipped=MAX_INTEGER),
        run(5, "2026-10-05", agent_name="ads", job_type="test", status="timeout"),
        run(6, agent_name="ads", start_time=None, items_failed=3, duration_ms=123_456),
    )


def ask(store, name, **params):
    return store.stats(name, StatsFilters.parse(params))


@pytest.mark.usefixtures("some")
def test_success_by_agent(store):
    """
    Each agent has its runs by status, and the share of success among those that ended.
    """
    assert ask(store, "success-rate") == {
        "agents": [
            {
                "agent_name": "ads",
                "runs": 3,
                "statuses": {
                    **dict.fromkeys(STATUSES, 0),
                    "running": 1,
                    "timeout": 1,
                    "success": 1,
                },
                "success_rate": 50.0,
            },
            {
                "agent_name": "seo",
                "runs": 3,
                "statuses": {**dict.fromkeys(STATUSES, 0), "success": 2, "failed": 1},
                "success_rate": pytest.approx(66.67, abs=0.01),
            },
        ]
    }


@pytest.mark.usefixtures("some")
def test_runs_by_day(store):
    """
    Each UTC day has the runs of each agent that began on it, oldest first; unknown days are left out.
    """
    expected = [
        {"day": "2026-10-05", "agent_name": "ads", "runs": 2},
        {"day": "2026-10-05", "agent_name": "seo", "runs": 1},
        {"day": "2026-11-21", "agent_name": "seo", "runs": 1},
        {"day": "2026-11-22", "agent_name": "seo", "runs": 1},
    ]

    assert ask(store, "timeline")["days"] == expected
    assert ask(store, "timeline", date_from="2026-11-22")["days"] == expected[3:]
    assert ask(store, "timeline", date_to="2026-11-21")["days"] == expected[:3]


@pytest.mark.usefixtures("some")
def test_items_by_agent(store):
    """
    Item counters are added up, beyond what 64 bits hold.
    """
    ads, seo = ask(store, "items")["agents"]

    assert ads == {
        "agent_name": "ads",
        "items_discovered": 0,
        "items_succeeded": 0,
        "items_failed": 3,
        "items_skipped": MAX_INTEGER,
    }
    assert (seo["items_discovered"], seo["items_succeeded"], seo["items_failed"]) == (7, 4, 1)
    assert ask(store, "summary")["items_skipped"] == 2 * MAX_INTEGER


@pytest.mark.usefixtures("some")
def test_job_types_by_agent(store):
    """
    Each agent's runs are counted by job type.
    """
    found = ask(store, "job-types", exclude_job_type="test")["job_types"]

    assert [tuple(row.values()) for row in found] == [
        ("ads", "crawl", 2),
        ("seo", "audit", 1),
        ("seo", "crawl", 2),
    ]


@pytest.mark.usefixtures("some")
def test_durations(store):
    """
    Durations have bins, exact extremes and mean, and a median within the stated error.
    """
    found = ask(store, "durations")

    assert (found["runs"], found["min_ms"]) == (4, 70)
    assert found["max_ms"] == pytest.approx(123_456, rel=2 * RELATIVE_ERROR)
    assert found["extremes_are_exact"] is False  # nobody knows when the longest began
    found = ask(store, "durations", date_from="2026-01-01")
    assert (found["runs"], found["min_ms"], found["max_ms"]) == (3, 70, 1000)
    assert found["extremes_are_exact"] is True
    assert found["mean_ms"] == pytest.approx(1570 / 3)
    assert found["median_ms"] == pytest.approx(500, rel=RELATIVE_ERROR)
    assert sum(one["runs"] for one in found["bins"]) == 3
    assert len(found["bins"]) == 30


@pytest.mark.usefixtures("some")
def test_summary(store):
    """
    The summary has totals over the runs that fit.
    """
    assert ask(store, "summary", agent_name="seo", date_from="2026-11-01") == {
        "total_runs": 2,
        "agents": 1,
        "job_types": 1,
        "statuses": {**dict.fromkeys(STATUSES, 0), "success": 1, "failed": 1},
        "success_rate": 50.0,
        "items_discovered": 7,
        "items_succeeded": 4,
        "items_failed": 1,
        "items_skipped": 0,
    }


@pytest.mark.parametrize("name", STATS)
def test_of_nothing(store, some, tmp_path, name):
    """
    Where no run fits, or there is no database, each chart has the form of an empty one.
    """
    empty = ask(store, name, agent_name="nobody")

    assert empty == Store(tmp_path / "none.sqlite").stats(name)
    assert empty.keys() == ask(store, name).keys()


def test_an_unknown_chart(store):
    """
    A chart that there is not is an error that names those that there are.
    """
    with pytest.raises(FilterError, match="must be one of success-rate"):
        store.stats("pie")


def test_a_rate_of_nothing_ended(store, put):
    """
    Without a run that ended there is no rate.
    """
    put(run(1, status="running"))

    assert ask(store, "summary")["success_rate"] is None


def test_extremes_among_many(store, put, monkeypatch):
    """
    The shortest and longest of many runs are exact, and only within their buckets if that takes long.
    """
    values = [(number * 7919) % 90_000 + 100 for number in range(400)]
    put(
        *(
            run(
                number,
                f"2026-{number % 12 + 1:02d}-{number % 28 + 1:02d}",
                agent_name="ab"[number % 2],
                duration_ms=value,
            )
            for number, value in enumerate(values)
        )
    )
    for params, fits in (
        ({}, lambda number: True),
        ({"agent_name": "a"}, lambda number: number % 2 == 0),
        ({"date_from": "2026-03-04", "date_to": "2026-09-20"}, _is_within),
    ):
        expected = [value for number, value in enumerate(values) if fits(number)]
        found = ask(store, "durations", **params)
        assert (found["min_ms"], found["max_ms"]) == (min(expected), max(expected))
        assert found["extremes_are_exact"]
        assert found["mean_ms"] == pytest.approx(statistics.fmean(expected))
    monkeypatch.setattr(extremes, "MAX_RUNS", 0)
    rough = ask(store, "durations")
    assert rough["extremes_are_exact"] is False
    assert rough["min_ms"] == pytest.approx(min(values), rel=2 * RELATIVE_ERROR)
    assert rough["max_ms"] == pytest.approx(max(values), rel=2 * RELATIVE_ERROR)


def _is_within(number):
    return "03-04" <= f"{number % 12 + 1:02d}-{number % 28 + 1:02d}" <= "09-20"


@pytest.mark.parametrize("days", [1, 20])
def test_an_extreme_in_many_places(store, put, days):
    """
    Where a bucket is that of runs on many days, its bounds have to do.
    """
    put(
        *(
            run(f"{day}-{agent}", f"2026-11-{day + 1:02d}", agent_name=agent, duration_ms=100_000)
            for day in range(days)
            for agent in map(str, range(40))
        )
    )
    found = ask(store, "durations")

    assert found["extremes_are_exact"] is False
    assert found["min_ms"] <= 100_000 <= found["max_ms"]
    assert sum(one["runs"] for one in found["bins"]) == days * 40


def test_what_was_taken_away(store, put, db):
    """
    A group whose runs are gone is in no chart; one that counts no items still is.
    """
    put(run(1, duration_ms=5))
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        tally = Tally()
        gone = {**dict.fromkeys(SOURCES, 0), "start_time": None, "agent_name": "ads"}
        gone.update(job_type="crawl", status="failed")
        tally.move({}, gone)
        tally.write(connection)
        assert len(ask(store, "items")["agents"]) == 2
        tally = Tally()
        tally.move(gone, {})
        tally.write(connection)

    assert [row["agent_name"] for row in ask(store, "items")["agents"]] == ["seo"]
    assert store.metadata()["agent_names"] == ["seo"]
    assert ask(store, "summary")["agents"] == 1
    assert ask(store, "durations")["runs"] == 1
    assert store.totals()["agents"] == {"seo": 1}


@pytest.mark.usefixtures("some")
def test_no_run_is_counted_again(store):
    """
    Statistics, names and totals come from the roll-ups; what is looked up of runs has an index.
    """
    seen = []
    with store._connections.reading() as connection:
        connection.set_trace_callback(seen.append)
    for name in STATS:
        ask(store, name)
        ask(store, name, date_from="2026-10-02", exclude_job_type="test")
    store.metadata()
    store.totals()
    with store._connections.reading() as connection:
        connection.set_trace_callback(None)
        asked = [sql for sql in seen if sql.startswith("SELECT")]
        plans = [
            row[3]
            for sql in asked
            for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")
            if "TEMP B-TREE" not in row[3]
        ]

    assert len(asked) > 2 * len(STATS)
    assert all(plan.startswith("SEARCH") for plan in plans)
    assert {plan.split()[1] for plan in plans} == {"run_rollups", "agent_runs"}
    assert all("idx_runs_start_time" in plan for plan in plans if "agent_runs" in plan)


def test_a_damaged_roll_up(store, some, db):
    """
    A roll-up that cannot be read is a damaged database, not a crash.
    """
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE run_rollups SET durations_json = 'rubbish'")

    with pytest.raises(MalformedDatabaseError):
        ask(store, "durations")
