import contextlib
import gzip
import os
import sqlite3
from datetime import datetime, timezone

import pytest

from telemetry.model.codec import decode_line
from telemetry.storage.backup import UnusableBackupError, create
from telemetry.storage.base import base_for, segments_of
from telemetry.storage.leftovers import sweep_database
from telemetry.storage.reader import Reader
from telemetry.storage.recovery import Start, check, differences, rebuild
from telemetry.storage.restore import Wish, restore, survey
from telemetry.storage.segments import SegmentReader
from telemetry.storage.undo import UNDO, Ranges, countable, decide, keep
from telemetry_plugins.ndjson import NdjsonJournal
from telemetry_plugins.sqlite import SqliteSink

NOON = 1_795_348_800
TABLES = ("agent_runs", "run_events", "run_folds", "commits")


def rows(path):
    assert check(path) == []
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return {name: sorted(connection.execute(f"SELECT * FROM {name}")) for name in TABLES}


def ask(path, sql):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture
def backed_up(db, tmp_path, tell, follow):
    """
    Return a function that drains and makes a backup, said to be made at a second of the test's day.
    """

    def make(microsecond):
        follow()
        path, _ = create(db, tmp_path / "backups")
        moment = f"2026-11-22T12:00:00.{microsecond:06d}+00:00"
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(
                "UPDATE backup_info SET value = ? WHERE key = 'created_at'", (moment,)
            )
        return path

    return make


def until(microsecond, **more):
    return Wish(until=datetime(2026, 11, 22, 12, 0, 0, microsecond, timezone.utc), **more)


@pytest.fixture
def story(tell, say, backed_up):
    """
    Two runs, a backup, then a bad edit, a bad deletion and another run; return the backup.

    The numbers of the records are their microseconds: the backup is made at 5, the edit is 7.
    """
    tell(1, events=1)
    tell(2)
    path = backed_up(5)
    tell(3, events=0)
    say(1, "edited", agent_name="wrong", base_status="success")
    say(2, "deleted")
    tell(4, events=1)
    return path


def test_a_restored_backup_catches_up(db, journal, story, follow):
    """
    Replayed to the end, a backup is the live database; what was there is kept whole.
    """
    follow()
    live = rows(db)
    rebuilt, _ = restore(db, journal, story, Wish())

    assert rows(db) == live
    assert rows(rebuilt.aside) == live
    assert rebuilt.aside.name.startswith("telemetry_before_restore_2")
    assert differences(db, journal) == []
    assert ask(db, "SELECT count(*) FROM sqlite_master WHERE name = 'backup_info'") == [(0,)]


def test_what_is_replaced_is_kept_with_its_log(db, journal, story, follow):
    """
    Rows that were committed and not yet written back are in the kept file, and in it alone.
    """
    follow()
    with contextlib.closing(sqlite3.connect(db)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("CREATE TABLE mine (text)")
        rebuilt, _ = restore(db, journal, story, Wish())
        assert ask(rebuilt.aside, "SELECT name FROM sqlite_master WHERE name = 'mine'") == [
            ("mine",)
        ]
    assert ask(db, "SELECT name FROM sqlite_master WHERE name = 'mine'") == []


def test_until_takes_back_all_that_came_later(db, journal, story, follow):
    """
    With a time, the database is as it was then.
    """
    follow()
    _, found = restore(db, journal, story, until(5))

    assert [run for (run,) in ask(db, "SELECT run_id FROM agent_runs ORDER BY 1")] == [
        "run-1",
        "run-2",
    ]
    assert Reader(db).by_run_id("run-1")["agent_name"] == "seo"
    assert found.changed_count == 7
    assert check(db) == []


def test_edits_only_leaves_what_agents_recorded(db, journal, story, follow):
    """
    A bad edit and a bad deletion are undone, and no run of an agent is lost.
    """
    follow()
    restore(db, journal, story, until(5, edits_only=True))

    names = ask(db, "SELECT run_id, agent_name FROM agent_runs ORDER BY 1")
    assert names == [(f"run-{number}", "seo") for number in (1, 2, 3, 4)]


def test_the_undo_lasts(db, journal, story, follow, tell):
    """
    Followers, rebuilds and later restores agree on what was taken back; new records count.
    """
    follow()
    restore(db, journal, story, until(5))
    tell(9)
    follow()
    expected = rows(db)
    assert [run for (run,) in ask(db, "SELECT run_id FROM agent_runs ORDER BY 1")] == [
        "run-1",
        "run-2",
        "run-9",
    ]

    rebuild(db, journal)
    assert rows(db) == expected
    restore(db, journal, story, Wish())
    assert rows(db) == expected
    db.unlink()
    for tail in ("-wal", "-shm"):
        db.with_name(db.name + tail).unlink(missing_ok=True)
    _drain(db, journal)
    assert rows(db) == expected
    assert differences(db, journal) == []


def test_a_database_that_has_what_was_taken_back_begins_anew(db, journal, story, follow):
    """
    Killed between the decision and the swap, a restore is finished by the next drainer.
    """
    follow()
    before = rows(db)
    found = survey(story, journal, until(5))
    for record in found.new:
        assert journal.append(record.line + b"\n", NOON)
    assert rows(db) == before
    _drain(db, journal)

    assert [run for (run,) in ask(db, "SELECT run_id FROM agent_runs ORDER BY 1")] == [
        "run-1",
        "run-2",
    ]
    assert list(db.parent.glob("telemetry.before_undo.*.sqlite"))
    assert differences(db, journal) == []


def _drain(db, journal):
    """
    Follow as a follower does: whoever was overtaken reads the cursors again.
    """
    from telemetry.model.errors import CursorMovedError

    sink = SqliteSink(db)
    for _ in range(10):
        with contextlib.suppress(CursorMovedError):
            cursors = sink.cursors()
            for segment in journal.segments():
                chunk = journal.read(segment, cursors.get(segment.id), 1 << 24)
                sink.write(chunk.records, chunk.cursor)
            break
    sink.idle()
    sink.close()


def test_redo_lets_everything_count_again(db, journal, story, follow):
    """
    What was taken back by mistake comes back, and stays through a rebuild.
    """
    follow()
    before = rows(db)
    restore(db, journal, story, until(5))
    restore(db, journal, story, Wish(redo=True))
    assert rows(db) == before
    rebuild(db, journal)

    assert rows(db) == before


def test_a_second_thought_replaces_the_first(db, journal, story, follow):
    """
    Taking back to an earlier or later time takes back the former decision, too.
    """
    follow()
    restore(db, journal, story, until(5))
    restore(db, journal, story, until(6))

    # The third run's start is record 6, its end record 7.
    assert Reader(db).by_run_id("run-3")["status"] == "running"
    assert Reader(db).by_run_id("run-4") is None


def test_without_a_backup(db, journal, story, follow):
    """
    Where the journal has everything, no backup is needed to take something back.
    """
    follow()
    restore(db, journal, None, until(5))

    assert ask(db, "SELECT count(*) FROM agent_runs") == [(2,)]


def test_a_backup_of_later_than_the_time_is_refused(db, journal, story, follow, backed_up):
    """
    A backup that may hold what is to be taken back cannot serve; nothing changes.
    """
    late = backed_up(20)
    before = rows(db)

    with pytest.raises(UnusableBackupError, match="must be older than"):
        restore(db, journal, late, until(5))
    assert rows(db) == before
    restore(db, journal, story, until(5))
    with pytest.raises((UnusableBackupError, RuntimeError)):
        restore(db, journal, late, Wish())
    assert ask(db, "SELECT count(*) FROM agent_runs") == [(2,)]


def test_nothing_to_take_back_is_no_decision(db, journal, story, follow):
    """
    A time after the last record takes nothing back, and writes nothing.
    """
    follow()
    size = journal.segments()[0].size
    _, found = restore(db, journal, story, until(999))

    assert (found.changed_count, found.new) == (0, ())
    assert journal.segments()[0].size == size


def test_a_journal_that_refuses_the_decision_changes_nothing(db, journal, story, follow):
    """
    A decision that cannot be written down is not carried out.
    """
    follow()
    before = rows(db)

    class Full:
        problem = "the disk is full"
        segments, read = journal.segments, journal.read

        def append(self, *_):
            return False

    with pytest.raises(OSError, match="the disk is full"):
        restore(db, Full(), story, until(5))
    assert rows(db) == before
    assert not list(db.parent.glob("*restore*"))


def counted(db, decision, records):
    """
    Return the numbers of the records that count once a database knows a decision.
    """
    with contextlib.closing(sqlite3.connect(db)) as connection:
        keep(connection, [decision])
        return [record.number for record in countable(connection, records)]


def test_a_decision_names_records_not_times(db, journal, tell, follow):
    """
    A decision holds writers and numbers, as ranges; it is a record with a checksum like any other.
    """
    tell(1, events=3)
    chosen = Ranges()
    chunk = journal.read(journal.segments()[0], None, 1 << 20)
    for record in (*chunk.records[:2], *chunk.records[3:]):
        chosen.add(record)
    (decision,) = decide(chosen, "2026-11-22T12:00:00.000000Z")

    assert decode_line(decision.line).record_type == UNDO
    assert decision.fields()["undone"] == {"00000000000000aa": [[1, 2], [4, 5]]}
    follow()
    assert counted(db, decision, chunk.records) == [3]


def test_rubbish_takes_nothing_back(db, journal, tell, follow):
    """
    A decision whose words cannot be understood has no effect.
    """
    from telemetry.model.codec import encode_line

    line = encode_line(UNDO, id="00000000000000bb-1", timestamp="t", body={"undone": "all of it"})

    tell(1)
    follow()
    records = journal.read(journal.segments()[0], None, 1 << 20).records
    assert counted(db, decode_line(line), records) == [record.number for record in records]


# Where the journal was retired


@pytest.fixture
def retired(db, tmp_path, tell, say, follow):
    """
    Return a backup of two days, of which the journal has lost the first.
    """
    tell(1, events=2)
    say(1, "edited", error_summary="by hand", base_status="success")
    say(1, git_commit_hash="abc1234", git_commit_source="llm")
    follow()
    first = next((tmp_path / "raw").iterdir())
    first.rename(first.with_name("events_20261121.ndjson"))
    follow()
    path, _ = create(db, tmp_path / "backups")
    (tmp_path / "raw" / "events_20261121.ndjson").unlink()
    journal = NdjsonJournal(tmp_path / "raw")
    lines = [
        (
            b'{"lt":1,"record_type":"run","change":"started","id":"00000000000000cc-1",'
            b'"timestamp":"2026-11-23T12:00:00.000000Z","event_id":"key-2","run_id":"run-2",'
            b'"agent_name":"seo","job_type":"crawl","status":"running"'
        )
    ]
    from telemetry.model.codec import seal

    for line in lines:
        assert journal.append(seal(line), NOON + 86_400)
    journal.close()
    follow()
    return path


def test_a_rebuild_begins_with_what_the_journal_lost(db, tmp_path, retired):
    """
    Runs, edits and commits of retired segments come from the backup, the rest from the journal.
    """
    journal = NdjsonJournal(tmp_path / "raw")
    live = rows(db)
    assert len(live["agent_runs"]) == 2
    base = base_for(tmp_path / "backups", [segment.id for segment in journal.segments()])
    assert base.backup.path == retired
    assert base.segments == segments_of(db) - {segment.id for segment in journal.segments()}
    start = Start(base=base.backup.path, base_time=base.made_at)
    rebuild(db, journal, start=start)

    assert rows(db) == live
    assert Reader(db).by_run_id("run-1")["error_summary"] == "by hand"
    assert Reader(db).by_run_id("run-1")["git_commit_hash"] == "abc1234"
    assert differences(db, journal, start=start) == []


@pytest.mark.parametrize("how", ["deleted", "damaged"])
def test_a_drainer_begins_with_it_too(db, tmp_path, retired, how):
    """
    A database that heals by itself has the retired runs again.
    """
    from telemetry.config import TelemetryConfig
    from telemetry_plugins.sqlite import telemetry_register_sinks

    live = rows(db)
    if how == "deleted":
        for path in list(db.parent.iterdir()):
            path.unlink()
    else:
        db.write_bytes(b"rubbish" * 1000)
        for tail in ("-wal", "-shm"):
            db.with_name(db.name + tail).unlink(missing_ok=True)
    (sink,) = telemetry_register_sinks(TelemetryConfig.from_env({}, base_dir=tmp_path))
    journal = NdjsonJournal(tmp_path / "raw")
    cursors = sink.cursors()
    for segment in journal.segments():
        chunk = journal.read(segment, cursors.get(segment.id), 1 << 24)
        sink.write(chunk.records, chunk.cursor)
    sink.idle()
    sink.close()

    assert rows(db) == live
    assert bool(list(db.parent.glob("*corrupted*"))) == (how == "damaged")


def test_an_unverified_backup_is_no_base(tmp_path, retired):
    """
    Nothing is built on a backup that changed since it was verified.
    """
    with retired.open("ab") as file:
        file.write(b"x")

    assert base_for(tmp_path / "backups", []) is None


def test_compressed_segments_are_no_loss(db, journal, tell, follow, tmp_path):
    """
    A rebuild reads compressed segments; no backup is needed for them.
    """
    tell(1, events=2)
    follow()
    live = rows(db)
    journal.close()
    (path,) = (tmp_path / "raw").iterdir()
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    reader = SegmentReader(tmp_path / "raw")
    assert segments_of(db) == {segment.id for segment in reader.segments()}
    rebuild(db, journal)

    assert rows(db) == live


def test_leftovers_of_killed_commands_go(db, tell, follow):
    """
    Unfinished databases and second names of the present one go; kept ones stay.
    """
    tell(1)
    follow()
    unfinished = db.with_name(
        "telemetry.checking.20261122T120000Z.checking.20261122T120001Z.sqlite"
    )
    kept = db.with_name("telemetry.corrupted.20261122T120000Z.sqlite")
    name = db.with_name("telemetry_before_restore_20261122_120000.sqlite")
    for path in (unfinished, unfinished.with_name(unfinished.name + "-journal"), kept):
        path.write_bytes(b"x")
    os.link(db, name)
    sweep_database(db)

    assert sorted(p.name for p in db.parent.iterdir() if "-" not in p.name) == [kept.name, db.name]
    assert ask(db, "SELECT count(*) FROM agent_runs") == [(1,)]
