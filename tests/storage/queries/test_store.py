import contextlib
import sqlite3
import threading

import pytest

from telemetry.model.errors import TransientSinkError
from telemetry.model.run import COLUMNS, Status
from telemetry.storage.aside import move_aside, swap_in
from telemetry.storage.ddl import schema_sql
from telemetry.storage.queries import Filters, Known, SlowQueryError, Store
from telemetry.storage.sqlite import MalformedDatabaseError, identity

STATUSES = [status.value for status in Status]
TIMES = [f"2026-11-22T12:00:{second:02d}.000000Z" for second in range(60)]


def event(event_id, number, run_id="run-1"):
    return {
        "id": f"00000000000000aa-{number}",
        "event_id": event_id,
        "run_id": run_id,
        "event_type": "step",
        "timestamp": TIMES[number],
        "payload_json": "{}",
    }


def ids(page):
    return [row["id"].partition("-")[2] for row in page.rows]


def test_without_a_database(tmp_path):
    """
    Before the first run is followed there is nothing to be found, and nothing is made.
    """
    store = Store(tmp_path / "none" / "telemetry.sqlite")

    assert store.runs(limit=10).rows == []
    assert store.run("x") is None
    assert store.known(["x"]) == {}
    assert store.events("x", limit=1).rows == []
    assert store.totals()["total_runs"] == 0
    assert store.metadata()["agent_names"] == []
    assert list(tmp_path.iterdir()) == []


def test_without_tables(tmp_path):
    """
    A file that is just being made has no rows yet.
    """
    path = tmp_path / "telemetry.sqlite"
    path.touch()
    store = Store(path)

    assert store.runs(limit=10).rows == []
    assert store.known(["x"]) == {}
    store.close()


def test_a_run_as_it_is_stored(store, put):
    """
    A run has each column by name.
    """
    put({"event_id": "a", "run_id": "run-a", "metrics_json": '{"a": 1}', "api_posted": 1})
    row = store.run("a")

    assert list(row) == list(COLUMNS)
    assert (row["metrics_json"], row["api_posted"], row["status"]) == ('{"a": 1}', 1, "running")
    assert store.runs(limit=1).rows == [row]
    assert store.run("b") is None
    assert store.run("a\0") is None
    assert store.run("\ud800") is None


def test_only_the_columns_that_are_wanted(store, put):
    """
    A list may have a few columns, sorted by one that is not among them.
    """
    put({"event_id": "a", "duration_ms": 5}, {"event_id": "b", "duration_ms": 7})
    page = store.runs(limit=1, sort="-duration_ms", columns=("run_id", "event_id"))

    assert page.rows == [{"run_id": "", "event_id": "b"}]
    assert store.runs(
        limit=1, sort="-duration_ms", columns=("event_id",), after=page.next
    ).rows == [{"event_id": "a"}]


def test_known_of_many(store, put):
    """
    Runs that are stored or deleted are known, by any number of ids, whatever they hold.
    """
    put(*({"event_id": f"key-{number}", "status": "failed"} for number in range(600)))
    put({"event_id": "gone", "state": b"{}", "deleted": 1}, table="run_folds")
    put({"event_id": "key-1", "state": b"{}", "deleted": 0}, table="run_folds")
    asked = [f"key-{number}" for number in range(700)]

    found = store.known([*asked, "gone", "\ud800", "a\0b", "key-1"])

    assert found.pop("gone") == Known("", deleted=True)
    assert found == {f"key-{number}": Known("failed", deleted=False) for number in range(600)}
    assert store.known([]) == {}


def test_who_ended_runs(store, put):
    """
    Those that were only taken for ended, not those whose own word is there.
    """
    guessed, said = (
        f'{{"*":"{rank} 2026-11-22T05:13:00.000000Z w-1"}}'.encode() for rank in (0, 1)
    )
    put(
        {"event_id": "guessed", "state": guessed},
        {"event_id": "ended", "state": said},
        {"event_id": "damaged", "state": b"?"},
        table="run_folds",
    )

    assert store.concluded(["guessed", "ended", "damaged", "unknown"]) == {"guessed"}
    assert store.concluded([]) == set()


def test_known_reads_no_state(db):
    """
    What is known is answered by keys, and no fold's state is among what is read.
    """
    from telemetry.storage.queries.known import _KNOWN_SQL

    with contextlib.closing(sqlite3.connect(db)) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {_KNOWN_SQL[8]}", ["x"] * 16).fetchall()

    searched = [row[3] for row in plan if "SEARCH" in row[3]]
    assert len(searched) == 2
    assert "sqlite_autoindex_agent_runs_1" in searched[0]
    assert "sqlite_autoindex_run_folds_1" in searched[1]
    assert "SCAN" not in str(plan)


def test_events_in_order(store, put):
    """
    A run's events come oldest first, page by page, also those whose writer knew only its run id.
    """
    put({"event_id": "a", "run_id": "run-1"}, {"event_id": "b", "run_id": "run-2"})
    put(*(event("a", number) for number in (3, 1, 2)), table="run_events")
    put(event("", 4), event("", 5, "run-2"), event("b", 6, "run-2"), table="run_events")
    page = store.events("a", limit=3)

    assert ids(page) == ["1", "2", "3"]
    assert ids(store.events("a", limit=3, after=page.next)) == ["4"]
    assert ids(store.events("b", limit=9)) == ["5", "6"]
    assert store.events("c", limit=9).rows == []
    assert store.events("\ud800", limit=9).rows == []


def test_events_are_found_by_keys(store, put):
    """
    The events of a run are searched for by its key and by its name, never among all.
    """
    put({"event_id": "a", "run_id": "run-1"})
    seen = []
    with store._connections.reading() as connection:
        connection.set_trace_callback(seen.append)
    store.events("a", limit=9)
    with store._connections.reading() as connection:
        connection.set_trace_callback(None)
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {seen[-1]}")]

    assert "FROM run_events" in seen[-1]
    assert not [step for step in plan if step.startswith("SCAN")]
    assert any("idx_events_run" in step for step in plan)


def test_history_and_commits(store, put):
    """
    A run's records and commits come oldest first; those of a deleted run are still there.
    """
    record = {"event_id": "a", "run_id": "run-1", "timestamp": TIMES[0], "body": "{}"}
    put(
        {**record, "id": "w-1", "change": "deleted", "timestamp": TIMES[1]},
        {**record, "id": "w-2", "change": "started"},
        table="run_records",
    )
    commit = {"event_id": "a", "run_id": "run-1", "commit_hash": "abc1234", "timestamp": TIMES[0]}
    put({**commit, "id": "w-3"}, table="commits")

    assert ids(store.history("a", limit=9)) == ["2", "1"]
    assert ids(store.commits("a", limit=9)) == ["3"]
    assert store.commits("b", limit=9).rows == []


def test_children_in_order(store, put):
    """
    The runs nested in one come oldest first.
    """
    put({"event_id": "a", "run_id": "run-1"})
    put(
        *(
            {"event_id": f"c{n}", "parent_run_id": "run-1", "start_time": TIMES[9 - n]}
            for n in range(4)
        )
    )
    page = store.children("a", limit=3)

    assert [row["event_id"] for row in page.rows] == ["c3", "c2", "c1"]
    assert [row["event_id"] for row in store.children("a", limit=3, after=page.next).rows] == ["c0"]
    assert store.children("c1", limit=3).rows == []
    assert store.children("nobody", limit=3).rows == []


def test_a_replaced_database_is_noticed(db, put, store, tmp_path):
    """
    After a recovery the answers are those of the new file, in every thread.
    """
    put({"event_id": "old"})
    assert store.run("old")
    successor = tmp_path / "new.sqlite"
    with contextlib.closing(sqlite3.connect(successor)) as connection, connection:
        connection.executescript(schema_sql())
        connection.execute("INSERT INTO agent_runs (event_id) VALUES ('new')")
    swap_in(db, successor)

    assert store.run("old") is None
    assert store.run("new")
    assert store.known(["old", "new"]) == {"new": Known("running", deleted=False)}


def test_a_database_that_goes_and_comes(db, put, store):
    """
    While a damaged database is moved away there are no rows; its successor is found.
    """
    put({"event_id": "a"})
    assert store.run("a")
    aside = move_aside(db, identity(db))

    assert store.run("a") is None
    assert store.runs(limit=1).rows == []
    aside.rename(db)
    assert store.run("a")


def test_damage_is_told(db, put, store):
    """
    A database that cannot be read is an error that says so, and is looked at again the next time.
    """
    put(*({"event_id": f"key-{number}", "error_details": "x" * 4000} for number in range(50)))
    good = db.read_bytes()
    db.write_bytes(good[:4096] + b"\xa5" * (len(good) - 4096))

    with pytest.raises(MalformedDatabaseError):
        store.runs(limit=50)
    db.write_bytes(good)
    assert len(store.runs(limit=50).rows) == 50


def test_what_cannot_be_opened(db, store):
    """
    A database that SQLite cannot open, as one of another user, is an outage, not a crash.
    """
    db.rename(db.with_name("aside.sqlite"))
    db.mkdir()

    with pytest.raises(TransientSinkError):
        store.runs(limit=1)


def test_slow_answers_are_given_up(db, put):
    """
    A question that takes longer than its limit is an error; the next one is answered.
    """
    put(*({"event_id": f"key-{number}"} for number in range(5000)))
    store = Store(db, time_limit_s=-1)

    with pytest.raises(SlowQueryError, match="it was given up"):
        store.runs(Filters.parse({"website": "x"}), limit=10, sort="-website")
    assert store.run("key-1")
    store.close()


def test_nothing_can_be_written(store, put, db):
    """
    A store's connection can only read.
    """
    put({"event_id": "a"})
    with store._connections.reading() as connection, pytest.raises(sqlite3.OperationalError):
        connection.execute("DELETE FROM agent_runs")
    assert store.run("a")


def test_threads_have_their_own(store, put):
    """
    Many threads ask at once; each gets its answer.
    """
    put(*({"event_id": f"key-{number}", "created_at": TIMES[number]} for number in range(60)))
    begin = threading.Barrier(4)
    answers = []

    def ask():
        begin.wait(60)
        answers.extend(len(store.runs(limit=60).rows) for _ in range(50))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [60] * 200


def test_totals_and_names(store, put):
    """
    Totals count runs by agent and status; names come sorted and counted.
    """
    put(
        {"event_id": "a", "agent_name": "seo", "job_type": "crawl", "status": "failed"},
        {"event_id": "b", "agent_name": "ads", "job_type": "crawl", "start_time": "2999"},
        {"event_id": "c", "agent_name": "seo", "job_type": "audit", "start_time": "2001"},
    )

    assert store.totals() == {
        "total_runs": 3,
        "agents": {"seo": 2, "ads": 1},
        "recent_24h": 1,
        "statuses": {**dict.fromkeys(STATUSES, 0), "failed": 1, "running": 2},
    }
    assert store.metadata() == {
        "agent_names": ["ads", "seo"],
        "job_types": ["audit", "crawl"],
        "counts": {"agent_names": 2, "job_types": 2},
    }
