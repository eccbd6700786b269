import sqlite3
import threading
from datetime import datetime, timezone

import pytest

from telemetry.model.codec import encode_line, relayed, seal
from telemetry.model.errors import TransientSinkError
from telemetry.storage.reader import Reader, RunFilter
from telemetry.storage.sqlite import MalformedDatabaseError


@pytest.fixture
def reader(db):
    """
    Return a reader of the database.
    """
    return Reader(db)


@pytest.fixture
def some_runs(tell, follow):
    """
    Put four runs of two agents into the database: the third failed, the fourth has not ended.
    """
    tell(1, hour=8, events=2, duration_ms=10, output_summary="100% of A_B done")
    tell(2, hour=9, agent_name="mailer", duration_ms=30, parent_run_id="run-1")
    tell(3, "failed", hour=10, duration_ms=20, error_summary="ValueError: no", insight_id="i")
    tell(4, "", hour=11, agent_name="mailer", job_type="send", parent_run_id="run-1")
    follow()


def _names(rows):
    return [row["run_id"] for row in rows]


def test_missing_database_has_no_rows(reader):
    """
    Before the first record there is nothing, and that is no error.
    """
    assert reader.runs() == []
    assert reader.run("@last") is None
    assert reader.event_id_of("run-1") is None
    assert reader.open_runs() == []
    assert reader.events("key-1") == reader.records("key-1") == reader.commits("key-1") == []
    assert reader.stats() == {
        "total_runs": 0,
        "status_counts": {},
        "agents": {},
        "recent_24h": 0,
        "pending_api_posts": 0,
        "mean_duration_ms": None,
        "p95_duration_ms": None,
    }


def test_database_without_tables_has_no_rows(db, reader):
    """
    A file that another process has only just created has no tables yet.
    """
    db.parent.mkdir()
    db.touch()

    assert reader.runs() == []


@pytest.mark.usefixtures("some_runs")
def test_newest_first(reader):
    """
    Runs come newest first, at most as many as asked for.
    """
    assert _names(reader.runs()) == ["run-4", "run-3", "run-2", "run-1"]
    assert _names(reader.runs(limit=2)) == ["run-4", "run-3"]


@pytest.mark.usefixtures("some_runs")
@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"agent": "mailer"}, ["run-4", "run-2"]),
        ({"status": "failed"}, ["run-3"]),
        ({"job_type": "crawl"}, ["run-3", "run-2", "run-1"]),
        ({"since": "2026-11-22T10:00:00.000000Z"}, ["run-4", "run-3"]),
        ({"until": "2026-11-22T10:00:00.000000Z"}, ["run-2", "run-1"]),
        ({"parent": "run-1"}, ["run-4", "run-2"]),
        ({"insight_id": "i"}, ["run-3"]),
        ({"text": "VALUEERROR"}, ["run-3"]),
        ({"text": "100% of a_b"}, ["run-1"]),
        ({"text": "%"}, ["run-1"]),
        ({"agent": "mailer", "status": "success"}, ["run-2"]),
        ({"agent": "nobody' OR 1=1 --"}, []),
    ],
)
def test_filters(reader, wanted, found):
    """
    Each part of a filter narrows; texts are taken literally.
    """
    assert _names(reader.runs(RunFilter(**wanted))) == found


@pytest.mark.usefixtures("some_runs")
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("run-2", "run-2"),
        ("key-3", "run-3"),
        ("@last", "run-4"),
        ("-1", "run-1"),
        ("key-4", "run-4"),
        ("run-", None),
        ("nothing", None),
        ("", None),
        ("%", None),
    ],
)
def test_run_by_name(reader, name, found):
    """
    A run answers to its ids, to one end of them while that is unique, and the newest to ``@last``.
    """
    run = reader.run(name)

    assert (run and run["run_id"]) == found
    assert len(reader.matching("run-")) == 4


@pytest.mark.usefixtures("some_runs")
def test_keys(reader):
    """
    Run id and key lead to each other.
    """
    assert reader.event_id_of("run-2") == "key-2"
    assert reader.by_run_id("run-2") == reader.run("run-2")
    assert _names(reader.children("run-1")) == ["run-2", "run-4"]


@pytest.mark.usefixtures("some_runs")
def test_what_belongs_to_a_run(reader, say, follow):
    """
    Events, history and commits come oldest first; events of an unknown key by the run id.
    """
    say(1, git_commit_hash="abc1234", git_commit_source="ci")
    follow()

    assert [row["payload_json"] for row in reader.events("key-1")] == ['{"n":0}', '{"n":1}']
    assert len(reader.events("key-1", limit=1)) == 1
    assert [row["change"] for row in reader.records("key-1")] == ["started", "ended", "commit"]
    assert [row["commit_hash"] for row in reader.commits("key-1")] == ["abc1234"]


def test_events_known_by_run_id_only(reader, db, follow, tell, journal):
    """
    An event whose writer knew only the run id belongs to the run of that id.
    """
    tell(1, events=1)
    line = (
        b'{"lt":1,"record_type":"event","id":"00000000000000bb-1",'
        b'"timestamp":"2026-11-22T11:00:00.000000Z","run_id":"run-1","event_type":"lost"}'
    )

    journal.append(seal(line[:-1]), 1_795_348_800)
    follow()

    assert [row["event_type"] for row in reader.events("key-1", run_id="run-1")] == ["lost", "step"]
    assert [row["event_type"] for row in reader.events("key-1")] == ["step"]


@pytest.mark.usefixtures("some_runs")
def test_open_runs_name_their_owner(reader):
    """
    A run that has not ended comes with the writer that began it.
    """
    (run,) = reader.open_runs()

    assert (run["run_id"], run["owner"]) == ("run-4", "00000000000000aa")
    assert run["has_heartbeat"] == 1


def test_a_relayed_run_has_no_owner_here(reader, tell, journal, follow):
    """
    Only the line's own mark counts, and nothing that looks like it in what a run says.
    """
    says_so = {"context_json": {"relayed": True}, "item_name": ',"relayed":true'}
    tell(1, "", **says_so)
    line = encode_line(
        "run",
        id="00000000000000bb-1",
        timestamp="2026-11-22T12:00:00.000000Z",
        event_id="key-2",
        run_id="run-2",
        change="started",
        body={"agent_name": "seo", "status": "running", **says_so},
    )
    journal.append(relayed(line[:-1]) + b"\n", 1_795_348_800)
    follow()

    owners = {run["run_id"]: run["owner"] for run in reader.open_runs()}
    assert owners == {"run-1": "00000000000000aa", "run-2": None}
    assert reader.last_sign({"event_id": "key-2", "owner": None}) is None


@pytest.mark.usefixtures("some_runs")
def test_stats(reader, tell, follow):
    """
    Counts by status and agent, the last day, and durations.
    """
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    tell(5, start_time=now)
    follow()
    stats = reader.stats()

    assert stats["total_runs"] == 5
    assert stats["status_counts"] == {"failed": 1, "running": 1, "success": 3}
    assert stats["agents"]["mailer"]["runs"] == 2
    assert stats["agents"]["mailer"]["running"] == 1
    assert stats["agents"]["seo"]["successes"] == 2
    assert stats["recent_24h"] >= 1
    assert (stats["mean_duration_ms"], stats["p95_duration_ms"]) == (20, 30)


@pytest.mark.usefixtures("some_runs")
def test_works_beside_a_writer(reader, db):
    """
    A writer in the middle of a transaction is neither waited for nor seen.
    """
    writer = sqlite3.connect(db, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM agent_runs")

    assert len(reader.runs()) == 4
    writer.execute("ROLLBACK")
    writer.close()


@pytest.mark.usefixtures("some_runs")
def test_is_used_by_several_threads(reader):
    """
    Threads may ask at once.
    """
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(reader.runs())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [len(rows) for rows in answers] == [4] * 4


@pytest.mark.usefixtures("some_runs")
def test_read_only_is_read_only(db):
    """
    A reader's connection can change nothing.
    """
    from telemetry.storage.sqlite import connect_read_only

    connection = connect_read_only(db)

    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM agent_runs")
    connection.close()


def test_damaged_database_is_said_to_be(db, reader):
    """
    What is no database is an error that says so; a directory in its place another.
    """
    db.parent.mkdir()
    db.write_bytes(b"rubbish" * 1000)
    with pytest.raises(MalformedDatabaseError, match=r"telemetry\.sqlite must be whole"):
        reader.runs()
    db.unlink()
    connection = sqlite3.connect(db)
    connection.execute("CREATE TABLE agent_runs (run_id TEXT)")
    connection.close()
    with pytest.raises(MalformedDatabaseError, match="no such column"):
        reader.runs()
    db.unlink()
    db.mkdir()

    with pytest.raises(TransientSinkError):
        reader.runs()
