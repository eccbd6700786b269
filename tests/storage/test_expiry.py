import contextlib
import sqlite3
from datetime import datetime, timedelta, timezone

import pytest

from telemetry.model.errors import JournalError
from telemetry.storage import expiry
from telemetry.storage.backup import create
from telemetry.storage.expiry import Rules, choose, count_of, delete
from telemetry.storage.recovery import check, differences, rebuild
from telemetry.storage.restore import Wish, restore
from telemetry.storage.shrinking import free_bytes, shrink, size_on_disk

TABLES = ("agent_runs", "run_events", "run_folds", "commits")
#: Ten days after the runs of `tell`, which are an hour apart.
NOW = datetime(2026, 12, 2, 12, tzinfo=timezone.utc)


def rows(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return {name: sorted(connection.execute(f"SELECT * FROM {name}")) for name in TABLES}


def runs(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return {run for (run,) in connection.execute("SELECT run_id FROM agent_runs")}


@pytest.fixture
def six(tell, follow):
    """
    Six runs of the hours 12 to 17: the third failed, the fourth is running.
    """
    for number in range(6):
        status = {2: "failed", 3: None}.get(number, "success")
        hour = 12 + number
        end = {"end_time": f"2026-11-22T{hour}:30:00.000000Z"} if status else {}
        tell(number, status, hour=hour, events=3, **end)
    follow()


def chosen(db, **rules):
    selection = choose(db, Rules(**rules), NOW).selection
    where, values = selection.where
    with contextlib.closing(sqlite3.connect(db)) as connection:
        found = connection.execute(f"SELECT run_id FROM agent_runs WHERE {where}", values)
        return "".join(sorted(run.rpartition("-")[2] for (run,) in found))


DAYS = timedelta(days=9, hours=20)  # 16:00 of the runs' day


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, ""),
        ({"older_than": DAYS}, "012"),
        ({"older_than": timedelta(days=1)}, "01245"),
        ({"older_than": timedelta(days=99)}, ""),
        ({"older_than": timedelta.max}, ""),
        ({"older_than": DAYS, "failed_older_than": timedelta(days=99)}, "01"),
        ({"failed_older_than": timedelta(days=1)}, "2"),
        ({"keep_runs": 2}, "012"),
        ({"keep_runs": 0}, "01245"),
        ({"keep_runs": 5}, ""),
        ({"keep_runs": 0, "failed_older_than": timedelta(days=99)}, "0145"),
        ({"max_bytes": 1 << 40}, ""),
        ({"max_bytes": 0}, "01245"),
        ({"max_bytes": 0, "failed_older_than": timedelta(days=99)}, "0145"),
    ],
)
def test_rules_choose_runs(db, six, rules, expected):
    """
    Oldest first, by each rule; failed runs by their own where they have one; running ones never.
    """
    assert chosen(db, **rules) == expected


def test_what_is_chosen_is_told(db, six):
    """
    Counts, bytes and times of what goes, and how many of the others stay for what reason.
    """
    rules = Rules(older_than=DAYS, failed_older_than=timedelta(days=99))
    found = choose(db, rules, NOW)

    assert (found.count, found.failed_count, found.kept_failed_count) == (2, 0, 1)
    assert (found.running_count, found.run_count) == (1, 6)
    assert found.oldest < found.newest < "2026-11-22T14"
    assert 0 < found.bytes < size_on_disk(db)
    assert not rules.is_empty
    assert Rules().is_empty


def test_half_the_size_keeps_the_newest(db, tell, follow):
    """
    A limit of size takes about as many of the oldest as it must.
    """
    for number in range(60):
        tell(number, hour=12 + number % 10, events=20)
    follow()
    limit = db.stat().st_size // 2
    found = choose(db, Rules(max_bytes=limit), NOW)

    assert 15 < found.count < 50
    hours = [
        int(hour)
        for (hour,) in sqlite3.connect(db).execute(
            "SELECT DISTINCT substr(start_time, 12, 2) FROM agent_runs WHERE "
            + found.selection.where[0],
            found.selection.where[1],
        )
    ]
    assert max(hours) < 20


def test_deletions_are_records(db, journal, six, follow, tell):
    """
    What was deleted stays so: in a rebuild, and beside what comes late; the rest is as it was.
    """
    before = rows(db)
    heard = []
    selection = choose(db, Rules(older_than=DAYS), NOW).selection
    assert delete(db, journal, selection, progress=heard.append) == 3
    assert heard == [3]
    assert count_of(db, selection) == 3
    follow()
    assert count_of(db, selection) == 0
    after = rows(db)
    keys = {"key-0", "key-1", "key-2"}
    assert after["agent_runs"] == [row for row in before["agent_runs"] if not keys & set(row)]
    assert after["run_events"] == [row for row in before["run_events"] if not keys & set(row)]
    rebuild(db, journal)

    assert rows(db) == after
    tell(0)
    follow()
    assert rows(db)["agent_runs"] == after["agent_runs"]
    assert check(db) == []
    assert differences(db, journal) == []


def test_an_older_backup_brings_nothing_back(db, journal, six, follow, tmp_path):
    """
    A backup of before the deletion, restored and replayed, agrees.
    """
    path, _ = create(db, tmp_path / "backups")
    delete(db, journal, choose(db, Rules(keep_runs=1), NOW).selection)
    follow()
    after = rows(db)
    restore(db, journal, path, Wish())

    assert rows(db) == after
    assert runs(db) == {"run-3", "run-5"}


def test_many_go_in_batches(db, journal, tell, follow, monkeypatch):
    """
    What was recorded before an interruption goes, the rest the next time.
    """
    monkeypatch.setattr(expiry, "BATCH_RUNS", 4)
    for number in range(10):
        tell(number)
    follow()
    selection = choose(db, Rules(keep_runs=0), NOW).selection

    def stop(count):
        if count == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        delete(db, journal, selection, progress=stop)
    follow()
    assert len(runs(db)) == 2
    assert delete(db, journal, selection) == 2
    follow()

    assert runs(db) == set()
    assert differences(db, journal) == []


def test_a_journal_that_takes_nothing_ends_it(db, six):
    """
    No record, no deletion.
    """

    class Full:
        def append(self, line, second):
            return False

    with pytest.raises(JournalError, match="must take what is deleted"):
        delete(db, Full(), choose(db, Rules(keep_runs=0), NOW).selection)
    assert len(runs(db)) == 6


def test_the_file_shrinks(db, journal, tell, follow):
    """
    What deleted rows held is given back, and measured; nothing else changes.
    """
    for number in range(150):
        tell(number, events=20)
    follow()
    delete(db, journal, choose(db, Rules(keep_runs=5), NOW).selection)
    follow()
    before, size = rows(db), size_on_disk(db)
    assert free_bytes(db) > 0
    shrunk = shrink(db)

    assert shrunk.problem == ""
    assert shrunk.before_bytes == size
    assert shrunk.after_bytes == size_on_disk(db)
    assert shrunk.freed_bytes == size - shrunk.after_bytes > 0
    assert free_bytes(db) == 0
    assert rows(db) == before
    assert check(db) == []


def test_a_reader_only_delays_it(db, journal, six, follow):
    """
    Somebody who reads goes on with what he sees; what is to be cut stays till he has done.
    """
    delete(db, journal, choose(db, Rules(keep_runs=0), NOW).selection)
    follow()
    before = rows(db)
    with contextlib.closing(sqlite3.connect(db)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM agent_runs").fetchone()
        assert "somebody reads it" in shrink(db).problem
    with contextlib.closing(sqlite3.connect(db, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert "nobody else" in shrink(db).problem
    assert shrink(db).problem == ""

    assert rows(db) == before


def test_no_room_no_attempt(db, six, monkeypatch):
    """
    Without room for a second copy the database is left as it is.
    """

    class Usage:
        free = 10

    monkeypatch.setattr("telemetry.storage.shrinking.shutil.disk_usage", lambda _: Usage)
    shrunk = shrink(db)

    assert "make room" in shrunk.problem
    assert shrunk.freed_bytes == 0
