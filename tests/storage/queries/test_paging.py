"""
Pages: together they are the list, whichever way they are read, and an index finds each.
"""

import sqlite3

import pytest
from examples import share_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql

from telemetry.storage.ddl import schema_sql
from telemetry.storage.queries import SORTABLE, FilterError, Filters
from telemetry.storage.queries.orders import Leg, order_of_runs
from telemetry.storage.queries.paging import Listing
from telemetry.storage.queries.statements import Form, bound, claims_of, list_sql, list_statement

TIMES = [f"2026-11-22T12:00:0{second}.000000Z" for second in range(4)]
SORTS = ("created_at", "duration_ms", "start_time", "agent_name", "items_failed", "event_id")


def pages(connection, listing, limit, *, after=None):
    """
    Read a list to its end, and back to its beginning.
    """
    there, back = [], []
    page = listing.page(connection, limit=limit, after=after)
    while True:
        assert len(page.rows) <= limit
        there += page.rows
        if page.next is None:
            break
        page = listing.page(connection, limit=limit, after=page.next)
    while True:
        back = page.rows + back
        if page.previous is None:
            return there, back
        page = listing.page(connection, limit=limit, after=page.previous)


def in_order(rows, sort):
    name = sort.lstrip("-")

    def place(row):
        return (row[name] is not None, row[name] or 0 if row[name] is None else row[name])

    ordered = sorted(rows, key=lambda row: row["event_id"], reverse=sort.startswith("-"))
    return sorted(ordered, key=place, reverse=sort.startswith("-"))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=share_of(60))
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "agent_name": st.sampled_from("ab"),
                "status": st.sampled_from(["running", "success", "failed"]),
                "created_at": st.none() | st.sampled_from(TIMES),
                "start_time": st.none() | st.sampled_from(TIMES),
                "duration_ms": st.none() | st.integers(0, 3),
                "items_failed": st.integers(0, 2),
            }
        ),
        max_size=25,
    ),
    st.sampled_from([name for plain in SORTS for name in (plain, f"-{plain}")]),
    st.integers(1, 7),
    st.sampled_from(
        [
            {},
            {"agent_name": "a"},
            {"created_before": TIMES[2]},
            {"created_after": TIMES[0], "agent_name": "b"},
            {"start_time_from": TIMES[1], "start_time_to": TIMES[2]},
            {"min_duration_ms": "1", "status": "running"},
            {"exclude_agent_name": "a", "status": "failed,success"},
        ]
    ),
)
def test_pages_are_the_list(rows, sort, limit, params):
    """
    All pages together are the runs that fit, in order, each once, forwards and backwards.
    """
    connection = sqlite3.connect(":memory:")
    connection.executescript(schema_sql())
    for number, row in enumerate(rows):
        row["event_id"] = f"key-{(number * 7) % 25:02d}"
        connection.execute(
            f"INSERT INTO agent_runs ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
            tuple(row.values()),
        )
    conditions = Filters.parse(params).conditions
    columns = ("event_id", *sorted({*SORTS, "status"} - {"event_id"}))
    listing = Listing(
        name="runs",
        table="agent_runs",
        columns=columns,
        conditions=conditions,
        order=order_of_runs(sort),
    )
    there, back = pages(connection, listing, limit)
    connection.close()

    expected = [
        row
        for row in in_order(rows, sort)
        if all(_fits(row[one.column], one) for one in conditions)
    ]
    assert [row["event_id"] for row in there] == [row["event_id"] for row in expected]
    assert back == there


def _fits(value, condition):
    if value is None:
        return False
    (first, *_) = condition.values
    return {
        "=": value in condition.values,
        "<>": value not in condition.values,
        "<": value < first,
        ">": value > first,
        ">=": value >= first,
        "<=": value <= first,
    }[condition.operator.value]


@pytest.mark.parametrize(
    ("params", "sort", "index"),
    [
        ({}, "-created_at", "idx_runs_created_at"),
        ({}, "created_at", "idx_runs_created_at"),
        ({}, "-start_time", "idx_runs_start_time"),
        ({}, "-event_id", "sqlite_autoindex_agent_runs_1"),
        ({"created_before": TIMES[0]}, "-created_at", "idx_runs_created_at"),
        ({"created_after": TIMES[0]}, "-created_at", "idx_runs_created_at"),
        ({"agent_name": "a"}, "-created_at", "idx_runs_agent_created"),
        ({"job_type": "a"}, "-created_at", "idx_runs_job_created"),
        ({"agent_name": "a", "job_type": "b"}, "-created_at", "_created"),
        ({"exclude_job_type": "test"}, "-created_at", "idx_runs_created_at"),
        ({"status": "running"}, "-created_at", "idx_runs_running"),
        ({"status": "failed"}, "-created_at", "idx_runs_unsuccessful"),
        ({"status": "failed,timeout"}, "-created_at", "idx_runs_unsuccessful"),
        ({"status": "failed,success"}, "-created_at", "idx_runs_created_at"),
        ({"status": "running", "created_before": TIMES[0]}, "-created_at", "idx_runs_running"),
        (
            {"agent_name": "a", "status": "failed", "created_before": TIMES[0]},
            "-created_at",
            "idx_runs_agent_status_created",
        ),
        (
            {"agent_name": "a", "status": "running", "created_before": TIMES[0]},
            "-created_at",
            "idx_runs_agent_status_created",
        ),
        (
            {"start_time_from": TIMES[0], "start_time_to": TIMES[1]},
            "-start_time",
            "idx_runs_start_time",
        ),
    ],
)
@pytest.mark.parametrize("leg", [Leg.ALL, Leg.BEYOND])
def test_an_index_finds_the_page(params, sort, index, leg):
    """
    The usual lists are read in the order of an index, the first page and any other.
    """
    connection = sqlite3.connect(":memory:")
    connection.executescript(schema_sql())
    conditions = Filters.parse(params).conditions
    form = Form(
        table="agent_runs",
        columns=tuple(SORTABLE),
        claims=claims_of(conditions),
        order=order_of_runs(sort),
        leg=leg,
    )
    values = {**bound(conditions), "limit": 1, "offset": 0, "value": "x", "key": "y"}
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {list_sql(form)}", values)]
    connection.close()

    assert index in plan[0]
    # Only what is equal in the sorted column is sorted by the key.
    assert [step for step in plan[1:] if "RIGHT PART" not in step and "LAST TERM" not in step] == []


def test_a_cursor_stands_for_the_bound_that_it_is_within():
    """
    A page deep in a bounded list begins at its cursor: the bound on that side is left out.
    """
    conditions = Filters.parse({"created_before": TIMES[3], "created_after": TIMES[0]}).conditions
    listing = Listing(
        name="runs",
        table="agent_runs",
        columns=("event_id",),
        conditions=conditions,
        order=order_of_runs("-created_at"),
    )
    seen = []
    connection = sqlite3.connect(":memory:")
    connection.executescript(schema_sql())
    for time in TIMES:
        connection.execute(
            "INSERT INTO agent_runs (event_id, created_at) VALUES (?, ?)", (time, time)
        )
    after = listing.page(connection, limit=1).next
    connection.set_trace_callback(seen.append)
    listing.page(connection, limit=1, after=after)
    connection.close()

    (sql, *_) = seen
    assert sql.count("created_at <") == 0
    assert sql.count("created_at >") == 1


def test_a_bound_beyond_the_cursor_counts():
    """
    A cursor of a list with another bound does not widen this one.
    """
    connection = sqlite3.connect(":memory:")
    connection.executescript(schema_sql())
    for time in TIMES:
        connection.execute(
            "INSERT INTO agent_runs (event_id, created_at) VALUES (?, ?)", (time, time)
        )

    def listing(params):
        return Listing(
            name="runs",
            table="agent_runs",
            columns=("event_id",),
            conditions=Filters.parse(params).conditions,
            order=order_of_runs("-created_at"),
        )

    after = listing({}).page(connection, limit=1).next
    page = listing({"created_before": TIMES[1]}).page(connection, limit=5, after=after)
    connection.close()

    assert [row["event_id"] for row in page.rows] == [TIMES[0]]


@pytest.mark.parametrize(
    "asked",
    [
        {"limit": 0},
        {"limit": -1},
        {"limit": 2**63},
        {"limit": 1, "offset": -1},
        {"limit": 1, "offset": 2**63},
        {"limit": 1, "offset": 1, "after": "x"},
        {"limit": 1, "after": "x"},
        {"limit": 1, "sort": "creatd_at"},
        {"limit": 1, "sort": ""},
        {"limit": 1, "sort": "--created_at"},
        {"limit": 1, "sort": "metrics_json"},
        {"limit": 1, "sort": "created_at; DROP TABLE agent_runs"},
    ],
)
def test_what_no_page_can_be(store, put, asked):
    """
    Numbers out of range, unknown columns and foreign cursors are errors in words.
    """
    put({"event_id": "a"})

    with pytest.raises(FilterError) as caught:
        store.runs(**asked)
    assert caught.value.field in {"limit", "offset", "cursor", "sort"}


def test_offset_skips(store, put):
    """
    An offset leaves out the first rows, and the pages on both sides have cursors.
    """
    put(*({"event_id": f"key-{number}", "created_at": TIMES[0]} for number in range(6)))
    page = store.runs(limit=2, offset=2)

    assert [row["event_id"] for row in page.rows] == ["key-3", "key-2"]
    assert [row["event_id"] for row in store.runs(limit=2, after=page.next).rows] == [
        "key-1",
        "key-0",
    ]
    assert [row["event_id"] for row in store.runs(limit=2, after=page.previous).rows] == [
        "key-5",
        "key-4",
    ]
    assert store.runs(limit=2, offset=2**63 - 1).rows == []


@pytest.mark.parametrize("leg", Leg)
def test_another_database_understands_it(leg):
    """
    What SQLAlchemy builds is no statement of SQLite's alone.
    """
    conditions = Filters.parse(
        {"agent_name": ["a", "b"], "exclude_job_type": "c", "min_duration_ms": "1", "status": "ok"}
    ).conditions
    form = Form(
        table="agent_runs",
        columns=("event_id", "created_at"),
        claims=claims_of(conditions),
        order=order_of_runs("-created_at"),
        leg=leg,
    )
    sql = str(list_statement(form).compile(dialect=postgresql.dialect()))

    assert sql.startswith("SELECT agent_runs.event_id, agent_runs.created_at")
    assert ("NULLS LAST" in sql) is (leg is Leg.ALL)
