import contextlib
import os
import sqlite3
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from telemetry.model.codec import encode_line
from telemetry.storage.appenders import appenders_of
from telemetry.storage.backup import create
from telemetry.storage.base import base_for
from telemetry.storage.packing import ChangedSegmentError, pack
from telemetry.storage.recovery import Start, check, rebuild
from telemetry.storage.retention import Action, Ages, Cover, Standing, cover_of, drop, due
from telemetry_plugins.ndjson import NdjsonJournal

DAY = 86_400
NOON = 1_795_348_800
#: Five days after the last record.
NOW = datetime(2026, 11, 30, 12, tzinfo=timezone.utc)
WEEK = timedelta(days=7)
TABLES = ("agent_runs", "run_events", "run_folds", "commits")
BOTH = Ages(compress_after=timedelta(days=2), drop_after=timedelta(days=5))


def rows(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return {name: sorted(connection.execute(f"SELECT * FROM {name}")) for name in TABLES}


@pytest.fixture
def days(db, journal, tmp_path, follow):
    """
    Write a run a day on four days, the first of 2026-11-22; drain them, and close the files.
    """
    for number in range(4):
        for change in ("started", "ended"):
            line = encode_line(
                "run",
                id=f"00000000000000aa-{2 * number + (change == 'ended') + 1}",
                timestamp=f"2026-11-{22 + number}T12:00:00.{number:06d}Z",
                event_id=f"key-{number}",
                run_id=f"run-{number}",
                change=change,
                body={
                    "agent_name": "seo",
                    "job_type": "crawl",
                    "start_time": f"2026-11-{22 + number}T12:00:00.000000Z",
                    "status": "running" if change == "started" else "success",
                },
            )
            assert journal.append(line, NOON + number * DAY)
    journal.close()
    for number, path in enumerate(sorted((tmp_path / "raw").iterdir())):
        moment = NOON + number * DAY
        os.utime(path, (moment, moment))
    follow()
    return sorted((tmp_path / "raw").iterdir())


@pytest.fixture
def standing(db):
    """
    Return a function that tells where the database stands.
    """

    def read():
        return Standing(sink="sqlite", cursors=_cursors(db))

    return read


def _cursors(db):
    from telemetry.storage.cursors import read_cursors

    with contextlib.closing(sqlite3.connect(db)) as connection:
        return read_cursors(connection, "sqlite")


def covered(db, journal):
    """
    Return the cover that the backups beside a database give.
    """
    ids = [segment.id for segment in journal.segments()]
    return cover_of(db, db.parents[1] / "backups", ids)


def told(found):
    return [(one.action.value, one.segment.path.name[7:15], bool(one.reasons)) for one in found]


def test_old_days_are_due(db, journal, days, standing, tmp_path):
    """
    What is older than the ages is due, once a day has passed since it ended; the newest are not.
    """
    create(db, tmp_path / "backups")
    cover = covered(db, journal)
    assert cover.problem == ""
    found = due(journal, BOTH, NOW, [standing()], cover)

    assert told(found) == [
        ("drop", "20261122", False),
        ("drop", "20261123", False),
        ("drop", "20261124", False),
        ("compress", "20261125", False),
    ]
    early = datetime(2026, 11, 26, 23, tzinfo=timezone.utc)
    young = due(journal, Ages(compress_after=timedelta(0)), early, [standing()], cover)
    assert told(young) == [("compress", f"202611{day}", False) for day in (22, 23, 24)]
    assert due(journal, Ages(), NOW, [standing()], cover) == []


def test_without_a_backup_everything_stays(db, journal, days, standing, tmp_path):
    """
    No verified backup, no drop; what should be dropped is compressed meanwhile.
    """
    found = due(journal, BOTH, NOW, [standing()], covered(db, journal))

    drops = [one for one in found if one.action is Action.DROP]
    assert all("no verified backup" in one.reasons[0] for one in drops)
    assert len([one for one in found if one.action is Action.COMPRESS and not one.reasons]) == 4


def test_a_backup_that_lacks_records_covers_nothing(db, journal, days, standing, tmp_path):
    """
    A segment that grew after the backup was made stays.
    """
    create(db, tmp_path / "backups")
    with days[0].open("ab") as file:
        file.write(encode_line("event", id="00000000000000bb-1", timestamp="2026-11-22T13:00:00Z"))
    os.utime(days[0], (NOON, NOON))
    cover = covered(db, journal)
    found = due(journal, BOTH, NOW, [standing()], cover)

    assert told(found)[0] == ("drop", "20261122", True)
    assert told(found)[2] == ("drop", "20261123", False)
    assert set(found[0].reasons) == {
        "sqlite has not read it to its end",
        "no verified backup has its records; telemetry backup create makes one",
    }


def test_a_sink_that_lags_keeps_its_segments(db, journal, days, standing, tmp_path):
    """
    Each sink keeps what it has not read, by its own position; the reason names it.
    """
    create(db, tmp_path / "backups")
    cover = covered(db, journal)
    first = journal.segments()[0]
    lagging = Standing(sink="http_records", cursors={first.id: standing().cursors[first.id]})
    found = due(journal, BOTH, NOW, [standing(), lagging], cover)

    assert told(found)[0] == ("drop", "20261122", False)
    held = [one for one in found if one.action is Action.DROP and one.reasons]
    assert [one.reasons for one in held] == [("http_records has not read it to its end",)] * 2
    # That does not keep them from being compressed: positions stay right.
    assert len([one for one in found if one.action is Action.COMPRESS and not one.reasons]) == 3


def test_dead_letters_keep_their_segment(db, journal, days, standing, tmp_path):
    """
    A segment with a record that a sink refused stays; the others go.
    """
    create(db, tmp_path / "backups")
    cover = covered(db, journal)
    refused = Standing(
        sink="x", cursors=standing().cursors, dead=frozenset({"00000000000000aa-4", "gone-1"})
    )
    found = due(journal, Ages(drop_after=WEEK / 2), NOW, [refused], cover)

    assert [one.reasons for one in found] == [
        (),
        ("x refused 1 of its records; see telemetry posts list",),
        (),
        (),
    ]


@pytest.mark.skipif(not Path("/proc/self/fdinfo").is_dir(), reason="the system does not tell")
def test_who_may_still_write_keeps_it(db, journal, days, standing, tmp_path):
    """
    A file that is open for writing stays as it is; one that is open for reading does not.
    """
    with days[0].open("rb"), days[1].open("ab"):
        assert appenders_of(days) == {days[1]: [os.getpid()]}
        found = due(journal, Ages(compress_after=WEEK / 2), NOW, [standing()], Cover())

    assert told(found)[:2] == [("compress", "20261122", False), ("compress", "20261123", True)]
    assert f"process {os.getpid()} has it open" in found[1].reasons[0]


def test_what_was_written_lately_stays(db, journal, days, standing):
    """
    The name of a file may be older than what is in it.
    """
    os.utime(days[0], (NOW.timestamp(), NOW.timestamp()))
    found = due(journal, Ages(compress_after=WEEK / 2), NOW, [standing()], Cover())

    assert found[0].reasons == ("it was written to within the last day",)


@pytest.mark.parametrize("packs", [False, True])
def test_a_rebuild_after_a_drop_is_the_database_before(
    db, journal, days, standing, tmp_path, follow, tell, packs
):
    """
    With the backup, what was dropped is in a database made anew, and so is what came later.
    """
    create(db, tmp_path / "backups")
    if packs:
        for path in days[:3]:
            pack(path)
    cover = covered(db, journal)
    for one in due(journal, BOTH, NOW, [standing()], cover):
        if one.action is Action.DROP:
            assert one.reasons == ()
            assert drop(one.segment) == one.file_bytes
    tell(9)
    follow()
    before = rows(db)
    assert [path.name for path in sorted((tmp_path / "raw").iterdir())][-1] == days[-1].name
    base = base_for(tmp_path / "backups", [segment.id for segment in journal.segments()])
    assert base is not None
    rebuild(db, journal, start=Start(base=base.backup.path, base_time=base.made_at))

    assert rows(db) == before
    assert check(db) == []
    # The next drop needs a backup that has what is gone.
    assert covered(db, journal).problem == ""


def test_a_backup_that_lacks_what_went_before_is_no_cover(db, journal, days, tmp_path):
    """
    The newest verified backup is the one that a rebuild takes, so it must have everything.
    """
    create(db, tmp_path / "backups")
    with contextlib.closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("INSERT INTO cursors VALUES ('sqlite', 'another', 5, 5)")
    cover = covered(db, journal)

    assert "lacks what the database has" in cover.problem


def test_a_copy_goes_with_its_segment(days, journal):
    """
    A compressed copy beside the plain file goes too, unless it has more.
    """
    data = days[0].read_bytes()
    pack(days[0])
    days[0].write_bytes(data)
    drop(journal.segments()[0])
    assert not [path for path in days[0].parent.iterdir() if "20261122" in path.name]
    pack(days[1])
    days[1].write_bytes(b'{"lt":')
    other = next(one for one in NdjsonJournal(days[1].parent).segments() if one.path != days[1])
    assert other.path.exists()
    first = next(one for one in journal.segments() if one.path.name.startswith(days[2].name))
    days[2].with_name(days[2].name + ".gz").write_bytes(
        days[1].with_name(days[1].name + ".gz").read_bytes()
    )
    with pytest.raises(ChangedSegmentError):
        drop(first)


def test_names_of_no_day_stay(journal, days, standing):
    """
    A file whose name is no day of the calendar has no age.
    """
    odd = days[0].with_name("events_20261399.ndjson")
    odd.write_bytes(days[0].read_bytes())
    os.utime(odd, (NOON, NOON))
    days[0].unlink()
    found = due(journal, Ages(compress_after=timedelta(days=2)), NOW, [standing()], Cover())

    assert odd.name not in [one.segment.path.name for one in found]
