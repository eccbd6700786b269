import sqlite3
import sys

import attrs
import msgspec
import pytest

from telemetry.model.errors import CursorMovedError, TransientSinkError
from telemetry.storage.healing import heal
from telemetry.storage.integrity import check_database
from telemetry.storage.reader import Reader
from telemetry.storage.recovery import check, differences, differences_so_far, rebuild
from telemetry.storage.sqlite import wanted_journal_mode
from telemetry_plugins.sqlite import SqliteSink

NOON = 1_795_348_800
TABLES = (
    "agent_runs",
    "run_events",
    "run_records",
    "commits",
    "cursors",
    "run_folds",
    "run_rollups",
)


def _all(path):
    connection = sqlite3.connect(path)
    try:
        return {name: sorted(connection.execute(f"SELECT * FROM {name}")) for name in TABLES}
    finally:
        connection.close()


def _change(path, *statements):
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


@pytest.fixture
def history(tell, say):
    """
    Put runs of all kinds into the journal: ended, open, edited, inferred, deleted, with commits.
    """
    for number in range(1, 30):
        tell(number, events=number % 5)
    tell(30, "")
    tell(31, "")
    say(30, "inferred", status="failed", end_time="2026-11-22T13:00:00.000000Z")
    say(31, "updated", items_discovered=7, unknown_field="kept")
    say(1, "edited", error_summary="by hand", base_status="success")
    say(2, git_commit_hash="abc1234", git_commit_source="llm")
    say(3, "deleted")
    say(3, event_type="late")


@pytest.mark.usefixtures("history")
def test_equals_what_was_followed_live(db, journal, follow):
    """
    A rebuild gives the rows, the history, the folds and the cursors that following gave.
    """
    follow()
    live = _all(db)
    result = rebuild(db, journal)

    assert _all(db) == live
    assert result.run_count == 30
    assert result.refused == ()
    assert (result.damaged_count, result.damaged_bytes) == (0, 0)
    assert result.aside.exists()
    assert check(db) == []
    assert differences(db, journal) == []


def test_it_has_the_journal_mode_of_a_live_one(db, journal, follow):
    """
    A database made anew is in WAL mode before anybody writes it, and nothing lies beside it.
    """
    follow()
    rebuild(db, journal)

    expected = {"wal": b"\x02\x02", "delete": b"\x01\x01"}[wanted_journal_mode(db)]
    assert db.read_bytes()[18:20] == expected
    assert sorted(path.name for path in db.parent.glob(f"{db.name}*")) == [db.name]


@pytest.mark.usefixtures("history")
def test_from_nothing(db, journal):
    """
    There need not have been a database; progress is told to the end.
    """
    told = []
    result = rebuild(db, journal, progress=lambda done, total: told.append((done, total)))

    assert result.aside is None
    assert told[-1][0] == told[-1][1] > 0
    assert sorted(path.name for path in db.parent.iterdir()) == ["telemetry.sqlite"]


@pytest.mark.usefixtures("history")
def test_follower_goes_on_where_the_rebuild_ended(db, journal, tell, follow):
    """
    A sink that has the old database open finds the new one, and each later record is there once.
    """
    follow()
    open_sink = SqliteSink(db)
    open_sink.cursors()
    rebuild(db, journal)
    tell(99, events=2)
    follow()
    (segment,) = journal.segments()

    assert open_sink.cursors()[segment.id].offset == segment.size
    open_sink.close()
    assert differences(db, journal) == []
    assert Reader(db).by_run_id("run-99")["status"] == "success"


@pytest.mark.usefixtures("history")
def test_over_a_damaged_database(db, journal):
    """
    What cannot be read is kept beside the new one, byte for byte.
    """
    db.parent.mkdir()
    db.write_bytes(b"rubbish" * 1000)
    result = rebuild(db, journal)

    assert result.aside.name.startswith("telemetry.corrupted.")
    assert result.aside.read_bytes() == b"rubbish" * 1000
    assert check(db) == []


def test_refused_records_are_named(db, journal, tell):
    """
    A record that cannot be stored costs no other, and is named in the result; so is damage counted.
    """
    tell(1, events=2)
    journal.append(b"half a li\n", NOON)

    class Spoilt:
        def segments(self):
            return journal.segments()

        def read(self, *where, **what):
            chunk = journal.read(*where, **what)
            first, second = (r for r in chunk.records if r.record_type == "event")
            bad = msgspec.structs.replace(second, payload=msgspec.Raw(b'"\xff"'))
            return attrs.evolve(chunk, records=[first, bad])

    result = rebuild(db, Spoilt())

    assert result.refused == ("00000000000000aa-3",)
    assert (result.damaged_count, result.damaged_bytes) == (1, 9)
    assert [row["id"] for row in Reader(db).events("key-1")] == ["00000000000000aa-2"]


def test_nothing_changes_when_it_fails(db, journal, tell, follow, tmp_path):
    """
    A rebuild that fails leaves the database as it was, and no file beside it.
    """
    tell(1)
    follow()
    before = db.read_bytes()

    class Broken:
        def segments(self):
            return journal.segments()

        def read(self, *_, **__):
            raise OSError(5, "the disk is broken")

    with pytest.raises(TransientSinkError, match="the disk is broken"):
        rebuild(db, Broken())
    assert db.read_bytes() == before
    assert [path.name for path in db.parent.iterdir()] == ["telemetry.sqlite"]


def test_empty_journal_gives_an_empty_database(db, journal):
    """
    No records, no runs, and a database that is whole.
    """
    result = rebuild(db, journal)

    assert (result.record_count, result.run_count) == (0, 0)
    assert check(db) == []


@pytest.mark.usefixtures("history")
def test_tail_without_newline_is_left(db, journal):
    """
    What a live writer is about to finish is not taken, and not waited for.
    """
    (segment,) = journal.segments()
    with segment.path.open("ab") as file:
        file.write(b'{"lt":1,"record_type":"event","id":"00000000000000bb-1"')

    assert rebuild(db, journal).damaged_count == 0
    assert check(db) == []


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are POSIX's")
def test_full_disk(db, journal, tell, follow):
    """
    A disk that fills up in the middle of a rebuild is an outage; the database stays as it was.
    """
    import resource

    tell(1)
    follow()
    before = db.read_bytes()
    tell(2, events=500, error_details="x" * 5000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(TransientSinkError):
            rebuild(db, journal)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert db.read_bytes() == before
    assert [path.name for path in db.parent.iterdir()] == ["telemetry.sqlite"]


@pytest.mark.usefixtures("history")
def test_check_names_a_few_of_many(db, follow):
    """
    Of a thousand problems the first few are enough.
    """
    follow()
    _change(db, "DELETE FROM run_folds")

    assert len(check(db)) == 20


def test_check_of_what_is_missing(db):
    """
    A database that is not there is a problem.
    """
    (problem,) = check(db)
    assert "does not exist" in problem


def test_check_of_rubbish(db):
    """
    A file that is no database is a problem.
    """
    db.parent.mkdir()
    db.write_bytes(b"rubbish" * 1000)

    (problem,) = check(db)
    assert "not a database" in problem


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM agent_runs WHERE run_id = 'run-1'", "run key-1: it has a fold and no row"),
        ("DELETE FROM run_folds WHERE event_id = 'key-1'", "run key-1: its row is not"),
        ("INSERT INTO agent_runs (event_id) VALUES ('key-3')", "run key-3: its row is not"),
        ("DELETE FROM run_rollups WHERE span = 'all'", "roll-up of 'seo', 'crawl', all"),
        (
            "UPDATE run_folds SET state = 'rubbish' WHERE event_id = 'key-1'",
            "the state of run key-1",
        ),
    ],
)
def test_check_finds_what_does_not_fit(db, follow, statement, problem):
    """
    A row without its fold, a fold without its row, a state that is none: each is named.
    """
    follow()
    assert check(db) == []
    _change(db, statement)

    assert [text[: len(problem)] for text in check(db)] == [problem]


@pytest.mark.usefixtures("history")
def test_check_finds_damage_in_a_page(db, follow):
    """
    A damaged page is found, wherever it is.
    """
    follow()
    data = bytearray(db.read_bytes())
    for page in range(4096, len(data), 4096):
        data[page + 8 : page + 64] = b"\xa5" * 56
    db.write_bytes(data)

    assert check(db) != []


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    ("statement", "difference"),
    [
        ("UPDATE agent_runs SET status = 'failed' WHERE run_id = 'run-1'", "agent_runs: run key-1"),
        ("DELETE FROM run_events WHERE event_id = 'key-4'", "run_events: run key-4"),
        ("UPDATE commits SET commit_hash = 'fffffff'", "commits: run key-2"),
    ],
)
def test_differences_are_found(db, journal, follow, statement, difference):
    """
    What the database says and the journal does not, and the other way round, is named.
    """
    follow()
    assert differences(db, journal) == []
    _change(db, statement)

    found = differences(db, journal)
    assert found
    assert {text.partition(" is so")[0] for text in found} == {difference}
    assert sorted(path.name for path in db.parent.glob("*checking*")) == []


@pytest.fixture
def after_counting():
    """
    Do something, once, when a check has counted the rows and not yet read the roll-ups.
    """

    def arrange(action):
        def look(frame, event, _):
            names = frame.f_code.co_name, frame.f_back.f_code.co_name if frame.f_back else ""
            if event == "return" and names == ("_counted", "wrong_rollups"):
                sys.setprofile(None)
                action()

        sys.setprofile(look)

    yield arrange
    sys.setprofile(None)


@pytest.mark.parametrize("look", [check, check_database], ids=["recover", "check"])
def test_what_is_written_meanwhile_is_no_damage(db, tell, follow, after_counting, look):
    """
    A database that agents write between two questions of a check is sound.
    """
    tell(1)
    follow()

    def write():
        tell(2)
        follow()

    after_counting(write)
    found = look(db)

    assert Reader(db).run("run-2") is not None
    assert found == []


@pytest.mark.skipif(sys.platform == "win32", reason="a file in use keeps its name")
def test_who_has_the_database_open_learns_that_its_log_was_put_aside(db, journal, tell, follow):
    """
    A service that goes on after its log was put aside writes into the database of that name.
    """
    tell(1)
    follow()
    service = SqliteSink(db)
    service.cursors()
    _change(db, "UPDATE run_rollups SET success_count = 77")
    tell(2)
    healed = heal(db, journal)
    segment = journal.segments()[-1]

    def write():
        chunk = journal.read(segment, service.cursors().get(segment.id), 1 << 24)
        service.write([r for r in chunk.records if r.record_type != "segment"], chunk.cursor)

    chunk = journal.read(segment, None, 1 << 24)
    with pytest.raises(CursorMovedError):
        service.write((), chunk.cursor)
    write()
    service.close()

    assert healed.left == []
    assert "the log of another file is kept as" in healed.done[0]
    assert list(db.parent.glob("telemetry.corrupted.*.sqlite-wal"))
    assert [Reader(db).run(f"run-{number}")["status"] for number in (1, 2)] == ["success"] * 2
    assert check(db) == []


def test_a_database_that_is_behind_is_compared_as_far_as_it_has_come(db, journal, tell, follow):
    """
    What agents write while a database is compared with its journal is no difference.
    """
    tell(1, events=3)
    follow()
    tell(2)
    assert "agent_runs: run key-2 is so in the journal only" in differences(db, journal)

    assert differences_so_far(db, journal) == []
    _change(db, "UPDATE run_events SET payload_json = '{\"n\":7}' WHERE rowid = 1")
    found = differences_so_far(db, journal)
    assert found == [
        "run_events: run key-1 is so in the journal only",
        "run_events: run key-1 is so in the database only",
    ]
    assert not list(db.parent.glob("*checking*"))
