"""
The SQLite sink: rows and cursor together, whatever comes, and from whomever.
"""

import os
import sqlite3

import msgspec
import pytest

from telemetry.model.codec import decode_line, encode_line
from telemetry.model.errors import CursorMovedError, PermanentSinkError, TransientSinkError
from telemetry.sinks import Cursor, CursorKeeper, Sink
from telemetry.storage.ddl import TABLES
from telemetry.storage.rows import apply_all_but
from telemetry.storage.sqlite import connect
from telemetry_plugins.sqlite import SqliteSink, telemetry_register_sinks

NOWHERE = Cursor("", 0)
RUN = "0193a000-0000-7000-8000-000000000001"


@pytest.fixture
def record():
    """
    Return a maker of records of one writer, numbered and a second apart.
    """
    numbers = iter(range(1, 1000))

    def make(change="", *, event_type="", payload=b"null", event_id=RUN, run_id="run-1", **fields):
        number = next(numbers)
        kind = "event" if event_type else "run" if change else "commit"
        line = encode_line(
            kind,
            id=f"00000000000000aa-{number}",
            timestamp=f"2026-11-22T12:{number // 60:02d}:{number % 60:02d}.000000Z",
            event_id=event_id,
            run_id=run_id,
            change=change,
            event_type=event_type,
            body=fields,
            payload=payload if event_type else None,
        )
        return decode_line(line)

    return make


@pytest.fixture
def started(record):
    """
    Return a maker of a run's first record.
    """

    def make(**given):
        fields = {"agent_name": "seo", "job_type": "crawl", "status": "running", **given}
        return record("started", start_time="2026-11-22T12:00:00.000000Z", **fields)

    return make


@pytest.fixture
def sink(tmp_path):
    """
    Return a sink over a database that does not exist yet.
    """
    sink = SqliteSink(tmp_path / "db" / "telemetry.sqlite")
    yield sink
    sink.close()


@pytest.fixture
def ask(tmp_path):
    """
    Ask the database as any other program would.
    """

    def query(sql, *values):
        connection = sqlite3.connect(tmp_path / "db" / "telemetry.sqlite")
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    return query


def test_is_a_sink_that_keeps_its_cursors(sink):
    """
    The sink has the form that followers ask for.
    """
    assert isinstance(sink, Sink)
    assert isinstance(sink, CursorKeeper)


def test_hook_registers_the_configured_database(tmp_path):
    """
    The plugin follows into the database of the settings, and touches nothing before the first use.
    """

    class Config:
        db_path = tmp_path / "elsewhere" / "runs.sqlite"

    (sink,) = telemetry_register_sinks(Config)

    assert sink.name == "sqlite"
    assert not Config.db_path.parent.exists()


def test_writes_a_run_with_its_events_and_commit(sink, record, started, ask):
    """
    A batch becomes one row a run, one row an event, one row a commit, and the cursor after it.
    """
    batch = [
        started(),
        record(event_type="step", payload=b'{"n":1}'),
        record("ended", status="success", end_time="2026-11-22T12:00:09.000000Z", duration_ms=9000),
        record(git_commit_hash="abc1234", git_commit_source="llm"),
    ]
    sink.write(batch, Cursor("seg", 700, 42))

    assert ask("SELECT run_id, status, duration_ms, git_commit_hash FROM agent_runs") == [
        ("run-1", "success", 9000, "abc1234")
    ]
    assert ask("SELECT event_id, event_type, payload_json FROM run_events") == [
        (RUN, "step", '{"n":1}')
    ]
    assert ask("SELECT run_id, commit_hash, commit_source FROM commits") == [
        ("run-1", "abc1234", "llm")
    ]
    assert [change for (change,) in ask("SELECT change FROM run_records ORDER BY timestamp")] == [
        "started",
        "ended",
        "commit",
    ]
    assert dict(sink.cursors()) == {"seg": Cursor("seg", 700, 42, 700)}


def test_queries_of_the_requirements_run_as_printed(sink, record, started, ask):
    """
    Every query in the README and the runbook answers.
    """
    sink.write(
        [
            started(agent_name="seo-intelligence", insight_id="[insight_id]", items_discovered=10),
            record(
                "ended", status="success", duration_ms=5, items_discovered=10, items_succeeded=9
            ),
        ],
        Cursor("seg", 1),
    )

    assert ask(
        "SELECT run_id, status, duration_ms FROM agent_runs ORDER BY start_time DESC LIMIT 10;"
    ) == [("run-1", "success", 5)]
    assert ask(
        "SELECT agent_name, COUNT(*) as runs, SUM(CASE WHEN status='success' THEN 1 ELSE 0 END) as successes FROM agent_runs GROUP BY agent_name;"
    ) == [("seo-intelligence", 1, 1)]
    assert ask("SELECT COUNT(*) FROM agent_runs;") == [(1,)]
    assert ask(
        "SELECT COUNT(*) FROM agent_runs WHERE start_time >= ?", "2026-11-22T11:00:00+00:00"
    ) == [(1,)]
    assert ask(
        "SELECT run_id, agent_name, job_type, status, start_time FROM agent_runs ORDER BY start_time DESC LIMIT 20;"
    ) == [("run-1", "seo-intelligence", "crawl", "success", "2026-11-22T12:00:00.000000Z")]
    assert ask(
        "SELECT COUNT(*), SUM(items_discovered), SUM(items_succeeded) FROM agent_runs WHERE agent_name = 'seo-intelligence';"
    ) == [(1, 10, 9)]
    assert ask(
        "SELECT run_id, job_type, status FROM agent_runs WHERE insight_id = '[insight_id]' ORDER BY start_time;"
    ) == [("run-1", "crawl", "success")]
    assert ask("PRAGMA integrity_check;") == [("ok",)]


def test_second_delivery_changes_nothing(sink, record, started, ask):
    """
    The same records may come any number of times, in any parts.
    """
    batch = [started(), record(event_type="step"), record("ended", status="success")]
    sink.write(batch, Cursor("seg", 10))
    before = [ask(f"SELECT * FROM {name}") for name in ("agent_runs", "run_events", "run_records")]
    sink.write(batch[1:], Cursor("other", 10))
    sink.write(list(reversed(batch)), NOWHERE)

    after = [ask(f"SELECT * FROM {name}") for name in ("agent_runs", "run_events", "run_records")]
    assert after == before


def test_stale_drainer_is_refused(sink, tmp_path, started, ask):
    """
    Of two drainers that read the same range, the slower one is told so, and nothing of it is written.
    """
    slow = SqliteSink(tmp_path / "db" / "telemetry.sqlite")
    assert dict(slow.cursors()) == {}
    sink.write([started()], Cursor("seg", 10))

    with pytest.raises(CursorMovedError):
        slow.write([started(event_id="other", run_id="run-2")], Cursor("seg", 12, 0, 0))
    slow.close()
    assert ask("SELECT count(*) FROM agent_runs") == [(1,)]
    assert sink.cursors()["seg"].offset == 10


def test_rewound_cursor_is_taken_back(sink, tmp_path, started):
    """
    A journal that no longer fits its cursor is followed from its beginning, once the cursor is known.
    """
    sink.write([started()], Cursor("seg", 500))
    again = SqliteSink(tmp_path / "db" / "telemetry.sqlite")
    assert again.cursors()["seg"].offset == 500
    again.write([started()], Cursor("seg", 80, 7, 0))

    assert again.cursors()["seg"] == Cursor("seg", 80, 7, 80)
    again.close()


def test_cursor_moves_without_records(sink):
    """
    A range that held nothing for a sink is passed all the same.
    """
    sink.write([], Cursor("seg", 99, 1))

    assert sink.cursors()["seg"].offset == 99


def test_ring_moves_no_cursor(sink, started, ask):
    """
    Records that the journal could not take are written, and no cursor with them.
    """
    sink.write([started()], NOWHERE)

    assert dict(sink.cursors()) == {}
    assert ask("SELECT run_id FROM agent_runs") == [("run-1",)]


def test_deleted_run_stays_deleted(sink, record, started, ask):
    """
    A deletion takes the row, the events and the history; what comes late does not bring them back.
    """
    sink.write([started(), record(event_type="step"), record(git_commit_hash="abc1234")], NOWHERE)
    sink.write([record("deleted")], NOWHERE)
    sink.write([record(event_type="late"), record("ended", status="success")], NOWHERE)

    assert ask("SELECT * FROM agent_runs") == []
    assert ask("SELECT * FROM run_events") == []
    assert ask("SELECT * FROM commits") == []
    assert ask("SELECT change FROM run_records") == [("deleted",)]


def test_event_of_an_unknown_run_is_kept(sink, record, ask):
    """
    An event whose writer knew only the run id is stored under that.
    """
    sink.write([record(event_type="step", event_id="")], NOWHERE)

    assert ask("SELECT event_id, run_id FROM run_events") == [("", "run-1")]


def test_unknown_type_is_kept_whole(sink, ask):
    """
    A record of a later version waits in the history, byte for byte, for that version.
    """
    line = encode_line(
        "verdict", id="00000000000000aa-1", timestamp="2026-11-22T12:00:00.000000Z", event_id=RUN
    )
    sink.write([decode_line(line)], NOWHERE)

    assert ask("SELECT change, body FROM run_records") == [("verdict", line.decode().rstrip("\n"))]


def test_updates_leave_no_history(sink, record, started, ask):
    """
    An agent's updates, of which there may be a hundred thousand, change the row and nothing else.
    """
    updates = [record("updated", items_discovered=count) for count in range(50)]
    sink.write([started(), *updates], NOWHERE)

    assert ask("SELECT items_discovered FROM agent_runs") == [(49,)]
    assert ask("SELECT count(*) FROM run_records") == [(1,)]


def test_hostile_values_are_stored(sink, record, started, ask):
    """
    Not-a-number, integers beyond 64 bits, odd characters and NUL cost no record its row.
    """
    payload = '{"nan":"NaN","big":9223372036854775808,"nul":"\\u0000","é":"\u2028"}'
    batch = [
        started(agent_name="a\0b", item_name="\ufffd\u2028\U0001f600"),
        record("updated", items_discovered=2**63, duration_ms=-1, metrics_json={"n": 2**64}),
        record("updated", items_failed="NaN", status="no such status", pid=3.5),
        record(event_type="a\0b", payload=payload.encode()),
    ]
    sink.write(batch, Cursor("seg", 1))

    assert ask("SELECT agent_name, status, items_failed FROM agent_runs") == [
        ("a\ufffdb", "running", 0)
    ]
    assert ask("SELECT event_type, payload_json FROM run_events") == [("a\0b", payload)]


def test_poison_record_is_named_and_the_rest_can_go_on(sink, record, started, ask):
    """
    A record whose bytes are no text is refused by its id; nothing of the batch is written before.
    """
    bad = msgspec.structs.replace(record(event_type="step"), payload=msgspec.Raw(b'"\xff"'))
    batch = [started(), bad, record(event_type="step")]

    with pytest.raises(PermanentSinkError, match=bad.id) as caught:
        sink.write(batch, Cursor("seg", 5))
    assert caught.value.record_ids == {bad.id}
    assert ask("SELECT count(*) FROM run_events") == [(0,)]
    sink.write([batch[0], batch[2]], Cursor("seg", 5))
    assert ask("SELECT count(*) FROM run_events") == [(1,)]


def test_files_are_for_their_owner_only(sink, tmp_path, started):
    """
    The database, its sidecars and its directory are readable by their owner alone, at any umask.
    """
    before = os.umask(0)
    try:
        sink.write([started()], NOWHERE)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "db").iterdir()}

    assert (tmp_path / "db").stat().st_mode & 0o777 == 0o700
    assert modes == {f"telemetry.sqlite{end}": 0o600 for end in ("", "-wal", "-shm")}


def test_rollback_journal_where_a_log_is_unsafe(tmp_path, started, caplog):
    """
    Off a local disk the database has a rollback journal, works, and says so once.
    """
    path = tmp_path / "db" / "telemetry.sqlite"
    for number in range(3):
        sink = SqliteSink(path, mode="delete")
        sink.write([started(event_id=f"e{number}", run_id=f"r{number}")], NOWHERE)
        sink.close()
    connection = sqlite3.connect(path)

    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert connection.execute("SELECT count(*) FROM agent_runs").fetchone() == (3,)
    connection.close()


def test_write_ahead_log_on_a_local_disk(sink, started, ask):
    """
    On a local disk readers never wait: the mode is a write-ahead log.
    """
    sink.write([started()], NOWHERE)

    assert ask("PRAGMA journal_mode") == [("wal",)]


def test_idle_cuts_a_long_log(sink, record, tmp_path):
    """
    In a quiet moment a long log is written back; a reader that is at it is not waited for.
    """
    wal = tmp_path / "db" / "telemetry.sqlite-wal"
    payload = b'"%b"' % (b"x" * 100_000)
    sink.write([record(event_type="step", payload=payload) for _ in range(60)], NOWHERE)
    reader = sqlite3.connect(tmp_path / "db" / "telemetry.sqlite", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM run_events").fetchone()
    sink.write([record(event_type="step", payload=payload)], NOWHERE)
    sink.idle()
    while_reading = wal.stat().st_size
    reader.close()
    sink.idle()

    assert while_reading > 4 << 20
    assert wal.stat().st_size == 0


def test_closed_sink_opens_again(sink, started, ask):
    """
    Closing twice is harmless, and a later write works.
    """
    sink.close()
    sink.write([started()], NOWHERE)
    sink.close()
    sink.close()
    sink.write([started(event_id="other", run_id="run-2")], NOWHERE)

    assert ask("SELECT count(*) FROM agent_runs") == [(2,)]


def test_first_use_while_another_process_creates(sink, tmp_path, started):
    """
    While another process holds the lock of a new database, the sink is told to come again.
    """
    path = tmp_path / "db" / "telemetry.sqlite"
    other = connect(path)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(TransientSinkError, match="locked"):
        sink.cursors()
    other.execute("COMMIT")
    other.close()
    sink.write([started()], NOWHERE)


def test_after_fork_begins_anew(sink, started, ask):
    """
    After a fork nothing is open, and the next write opens what it needs.
    """
    sink.write([started()], NOWHERE)
    sink.after_fork()
    sink.write([started(event_id="other", run_id="run-2")], NOWHERE)

    assert ask("SELECT count(*) FROM agent_runs") == [(2,)]


def test_ring_meets_a_damaged_database(sink, started, ask):
    """
    Records without a segment come again at once, when the damaged database has been moved aside.
    """
    sink.write([started()], NOWHERE)
    ask("DROP TABLE run_folds")

    with pytest.raises(TransientSinkError) as caught:
        sink.write([started()], NOWHERE)
    assert caught.value.retry_after_s == 0.0
    sink.write([started()], NOWHERE)
    assert ask("SELECT count(*) FROM agent_runs") == [(1,)]


def test_outage_is_no_fault_of_the_records(record):
    """
    A disk that fills up in the middle of a batch is not blamed on any record.
    """

    class Full:
        begun = 0

        def execute(self, statement, *_):
            self.begun += statement.startswith("SAVEPOINT")
            return self

        def fetchall(self):
            return []

        def executemany(self, _, rows):
            if len(rows) == 1 and self.begun >= self.good:
                raise sqlite3.OperationalError("database or disk is full")

    bad = msgspec.structs.replace(record(event_type="step"), payload=msgspec.Raw(b'"\xff"'))
    for batch, good in (([record(event_type="step")], 0), ([bad, record(event_type="step")], 2)):
        Full.good = good
        with pytest.raises(sqlite3.OperationalError, match="full"):
            apply_all_but(Full(), batch)


def test_schema_is_whole(sink, ask):
    """
    Asking for the cursors is enough to have the tables.
    """
    sink.cursors()

    assert len(ask("SELECT name FROM sqlite_master WHERE type = 'table'")) == len(TABLES)
