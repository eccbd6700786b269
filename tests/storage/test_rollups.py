"""
Roll-ups are what grouping the runs gives, whatever happened to the runs.
"""

import json
import sqlite3
from collections import Counter

import pytest
from examples import share_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telemetry.model.codec import decode_line, encode_line
from telemetry.model.run import MAX_INTEGER, Status
from telemetry.storage import rollups
from telemetry.storage.ddl import ROLLUP_NUMBERS, STATUS_COUNTS, SUMMED, TABLES, schema_sql
from telemetry.storage.durations import bucket_of
from telemetry.storage.migrations import migrate
from telemetry.storage.rollups import MAX_PARTS, recount, wrong_rollups
from telemetry.storage.rows import apply_all_but
from telemetry.storage.sqlite import MalformedDatabaseError

STARTS = [f"2026-{day}T23:59:59.999999Z" for day in ("10-31", "11-01", "11-22")]
NUMBERS = st.sampled_from([0, 1, 7, 63, 64, 5000, 2**32, MAX_INTEGER])
FIELDS = {
    "start_time": st.none() | st.sampled_from(STARTS),
    "agent_name": st.sampled_from(["seo", "ads"]),
    "job_type": st.sampled_from(["crawl", "test"]),
    "status": st.sampled_from([status.value for status in Status]),
    "duration_ms": st.none() | NUMBERS,
    **{name: NUMBERS for name in SUMMED if name != "duration_ms"},
}
CHANGES = st.sampled_from(
    ["started", "updated", "ended", "recorded", "edited", "inferred", "posted"] * 2 + ["deleted"]
)


@st.composite
def records(draw):
    """
    Draw a record of one of four runs.
    """
    names = draw(st.lists(st.sampled_from(sorted(FIELDS)), unique=True, max_size=5))
    body = {name: draw(FIELDS[name]) for name in names}
    number = draw(st.integers(1, 60))
    run = draw(st.integers(1, 4))
    return decode_line(
        encode_line(
            "run",
            change=draw(CHANGES),
            id=f"{number % 2:016x}-{number}",
            timestamp=f"2026-11-22T12:00:{number:02d}.000000Z",
            event_id=f"key-{run}",
            run_id=f"run-{run}",
            body=body,
        )
    )


@pytest.fixture
def connection():
    """
    Return an empty database in memory.
    """
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(schema_sql())
    yield connection
    connection.close()


def grouped(connection):
    """
    Count the runs the plain way.
    """
    names = ("start_time", "agent_name", "job_type", "status", *SUMMED)
    runs = [
        dict(zip(names, row))
        for row in connection.execute(f"SELECT {', '.join(names)} FROM agent_runs")
    ]
    found = {}
    for run in runs:
        day = (run["start_time"] or "")[:10]
        for span, period in (("day", day), ("month", day[:7]), ("all", "")):
            key = (span, period, run["agent_name"], run["job_type"])
            counts, durations = found.setdefault(key, (Counter(), Counter()))
            counts[run["status"]] += 1
            for name in SUMMED:
                counts[name] += run[name] or 0
            if run["duration_ms"] is not None:
                durations[bucket_of(run["duration_ms"])] += 1
    return {
        key: (
            {status: counts[status] for status in STATUS_COUNTS},
            {name: counts[name] for name in SUMMED},
            dict(durations),
        )
        for key, (counts, durations) in found.items()
    }


def rolled_up(connection):
    """
    Read the roll-ups as what they mean.
    """
    sql = f"SELECT span, period, agent_name, job_type, durations_json, {', '.join(ROLLUP_NUMBERS)} FROM run_rollups"
    found = {}
    for *key, text, numbers in (
        (*row[:5], dict(zip(ROLLUP_NUMBERS, row[5:]))) for row in connection.execute(sql)
    ):
        statuses, sums, durations = found.setdefault(tuple(key), (Counter(), Counter(), Counter()))
        statuses.update({status: numbers[name] for status, name in STATUS_COUNTS.items()})
        sums.update(
            {name: numbers[f"{name}_low"] + (numbers[f"{name}_high"] << 32) for name in SUMMED}
        )
        durations.update({int(bucket): count for bucket, count in json.loads(text).items()})
    return {
        key: (dict(statuses), dict(sums), {b: count for b, count in durations.items() if count})
        for key, (statuses, sums, durations) in found.items()
        if any(statuses.values()) or any(sums.values()) or any(durations.values())
    }


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=share_of(100))
@given(st.lists(st.lists(records(), max_size=8), max_size=6), st.booleans(), st.integers(1, 4))
def test_roll_ups_are_the_runs_grouped(batches, is_repeated, max_parts):
    """
    Roll-ups are what counting the runs gives, and nothing else.

    So it is after edits, ends, deletions, late and repeated records, in any order and batches.
    """
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(schema_sql())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rollups, "MAX_PARTS", max_parts)
        _follow_and_compare(connection, batches, is_repeated=is_repeated)
    connection.close()


def _follow_and_compare(connection, batches, *, is_repeated):
    for batch in [*batches, *(batches if is_repeated else [])]:
        connection.execute("BEGIN IMMEDIATE")
        assert apply_all_but(connection, batch) == {}
        connection.execute("COMMIT")

        assert rolled_up(connection) == grouped(connection)
    assert list(wrong_rollups(connection)) == []
    kept = rolled_up(connection)
    recount(connection)
    assert rolled_up(connection) == kept


def record(run, change="started", number=1, **body):
    return decode_line(
        encode_line(
            "run",
            change=change,
            id=f"00000000000000aa-{number}",
            timestamp="2026-11-22T12:00:00.000000Z",
            event_id=run,
            run_id=run,
            body=body,
        )
    )


def write(connection, *batch):
    connection.execute("BEGIN IMMEDIATE")
    refused = apply_all_but(connection, batch)
    connection.execute("COMMIT")
    return refused


def test_each_is_written_once_a_batch(connection):
    """
    A batch of many runs of one agent adds one row to each of its three roll-ups.
    """
    seen = []
    connection.set_trace_callback(seen.append)
    write(
        connection,
        *(
            record(str(n), agent_name="a", start_time=STARTS[0], status="success")
            for n in range(99)
        ),
    )

    assert sum("INTO run_rollups" in sql for sql in seen) == 3
    assert sum("FROM run_rollups" in sql for sql in seen) == 3


def test_many_rows_are_made_one(connection):
    """
    A roll-up never has more rows than it may, however many batches there were.
    """
    for number in range(100):
        write(connection, record(str(number), agent_name="a", duration_ms=number))
    counted = connection.execute(
        "SELECT count(*), max(part) FROM run_rollups GROUP BY span, period, agent_name, job_type"
    ).fetchall()

    assert rolled_up(connection) == grouped(connection)
    assert all(rows == last + 1 <= MAX_PARTS for rows, last in counted)


def test_a_refused_record_is_not_counted(connection):
    """
    What a record adds that cannot be stored is taken back with it.
    """
    connection.execute(
        "CREATE TRIGGER no BEFORE INSERT ON agent_runs WHEN NEW.agent_name = 'bad'"
        " BEGIN SELECT RAISE(ABORT, 'no'); END"
    )

    assert write(connection, record("a", agent_name="bad"), record("b", agent_name="good"))
    assert rolled_up(connection) == grouped(connection)
    assert {key[2] for key in rolled_up(connection)} == {"good"}


def test_a_row_without_a_fold_is_replaced_in_the_counts(connection):
    """
    A row that somebody else wrote is counted by a migration, and no more once it is folded anew.
    """
    connection.execute("INSERT INTO agent_runs (event_id, agent_name) VALUES ('a', 'theirs')")
    recount(connection)
    write(connection, record("a", agent_name="ours"))

    assert rolled_up(connection) == grouped(connection)
    assert {key[2] for key in rolled_up(connection)} == {"ours"}


def test_migration_counts_what_is_there(connection):
    """
    A database of the layout before has its roll-ups after the migration, and keeps its cursors.
    """
    write(
        connection,
        *(
            record(str(n), agent_name="a", start_time=STARTS[n % 3], duration_ms=n)
            for n in range(9)
        ),
    )
    expected = rolled_up(connection)
    connection.execute("DROP TABLE run_rollups")
    connection.execute("CREATE INDEX idx_runs_open ON agent_runs (start_time)")
    connection.execute("INSERT INTO cursors VALUES ('sqlite', 's', 1, 1)")
    connection.execute("PRAGMA user_version = 8")
    migrate(connection)

    assert rolled_up(connection) == expected == grouped(connection)
    assert connection.execute("SELECT count(*) FROM cursors").fetchone() == (1,)
    assert connection.execute("SELECT version FROM schema_migrations").fetchall() == [(9,)]
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert "idx_runs_open" not in names


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE run_rollups SET failed_count = 7 WHERE span = 'day'", "2026-10-31 is not what"),
        ("DELETE FROM run_rollups WHERE span = 'all'", "'', all is missing"),
        ("UPDATE agent_runs SET agent_name = 'b'", "roll-up of 'a'"),
    ],
)
def test_what_is_wrong_is_named(connection, statement, words):
    """
    A roll-up that does not count the runs there are is found.
    """
    write(connection, record("1", agent_name="a", start_time=STARTS[0]))
    assert list(wrong_rollups(connection)) == []
    connection.execute(statement)

    assert any(words in problem for problem in wrong_rollups(connection))


@pytest.mark.parametrize("text", ["", "[]", '{"a":1}', None])
def test_a_damaged_roll_up_is_a_damaged_database(connection, text):
    """
    Durations that cannot be read are damage: the database is made anew from the journal.
    """
    write(connection, record("1", agent_name="a"))
    (statement,) = (sql for sql in TABLES if "run_rollups" in sql)
    connection.execute("DROP TABLE run_rollups")
    connection.execute(statement.replace("durations_json TEXT NOT NULL", "durations_json TEXT"))
    row = ("all", "", "a", "", MAX_PARTS, *(0 for _ in ROLLUP_NUMBERS), text)
    connection.execute(f"INSERT INTO run_rollups VALUES ({', '.join('?' * len(row))})", row)

    with pytest.raises(MalformedDatabaseError, match="must be as they were stored"):
        write(connection, record("2", agent_name="a"))
