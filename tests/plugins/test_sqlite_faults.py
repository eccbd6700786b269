"""
The SQLite sink on databases that are locked, damaged, gone, full, from the future or somebody else's.
"""

import contextlib
import inspect
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

import telemetry
from telemetry.model.codec import encode_line
from telemetry.model.errors import CursorMovedError, PausedSinkError, TransientSinkError
from telemetry.runtime import notices
from telemetry.storage.ddl import DATABASE_VERSION
from telemetry.storage.recovery import check, differences
from telemetry_plugins.ndjson import NdjsonJournal
from telemetry_plugins.sqlite import MAX_REBUILDS, SqliteSink

NOON = 1_795_348_800
RUNS = 40


def follow(sink, journal, tries=500, max_bytes=4096, pause=0.002):
    """
    Follow to the end once, waiting out what is transient; a follower in a few lines.
    """
    for _ in range(tries):
        try:
            cursors = sink.cursors()
            for segment in journal.segments():
                cursor = cursors.get(segment.id)
                while cursor is None or cursor.offset < segment.size:
                    chunk = journal.read(segment, cursor, max_bytes)
                    if chunk.cursor.offset == chunk.cursor.start:
                        break
                    records = [r for r in chunk.records if r.record_type != "segment"]
                    sink.write(records, chunk.cursor)
                    cursor = chunk.cursor
            return True
        except CursorMovedError:
            continue
        except TransientSinkError:
            time.sleep(pause)
    return False


_HEAD = """
import json, os, sqlite3, sys, time
from pathlib import Path
from telemetry.model.codec import encode_line
from telemetry.model.errors import CursorMovedError, TransientSinkError
from telemetry.sinks import Cursor
from telemetry_plugins.ndjson import NdjsonJournal
from telemetry_plugins.sqlite import SqliteSink
"""
_HEAD += inspect.getsource(follow)


@pytest.fixture
def db(tmp_path):
    """
    Return the database's path.
    """
    return tmp_path / "db" / "telemetry.sqlite"


@pytest.fixture
def add_runs():
    """
    Return a maker of runs in a journal: start, three events, end.
    """
    numbers = iter(range(1, 1_000_000))

    def add(journal, count=RUNS, writer="00000000000000aa"):
        for _ in range(count):
            first = next(numbers)
            keys = {"event_id": f"{writer}-run-{first:06d}", "run_id": f"run-{first:06d}"}
            about = {"agent_name": "seo", "job_type": "crawl", "status": "running"}
            lines = [("run", {"change": "started", "body": about})]
            lines += [("event", {"event_type": "step", "payload": b'{"n":1}'})] * 3
            lines += [("run", {"change": "ended", "body": {**about, "status": "success"}})]
            for kind, parts in lines:
                number = next(numbers)
                stamp = f"2026-11-22T12:00:00.{number:06d}Z"
                line = encode_line(kind, id=f"{writer}-{number}", timestamp=stamp, **keys, **parts)
                assert journal.append(line, NOON)

    return add


@pytest.fixture
def journal(tmp_path, add_runs):
    """
    Return a journal with runs.
    """
    journal = NdjsonJournal(tmp_path / "raw")
    add_runs(journal)
    yield journal
    journal.close()


@pytest.fixture
def sink(db):
    """
    Return a sink over the database.
    """
    sink = SqliteSink(db)
    yield sink
    sink.close()


@pytest.fixture
def start_program():
    """
    Start a program that imports telemetry; it is killed in the end if it has not ended.
    """
    started = []

    def start(source, *arguments):
        environment = {**os.environ, "PYTHONPATH": str(Path(telemetry.__file__).parents[1])}
        command = [sys.executable, "-c", _HEAD + source, *map(str, arguments)]
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ask(path, sql):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def assert_complete(db, journal, runs=RUNS):
    assert ask(db, "SELECT count(*) FROM agent_runs WHERE status = 'success'") == [(runs,)]
    assert ask(db, "SELECT count(*) FROM run_events") == [(3 * runs,)]
    assert check(db) == []
    assert differences(db, journal) == []


def test_rebuild_equals_live(db, journal, sink):
    """
    What was followed live is, column by column, what the journal alone gives.
    """
    assert follow(sink, journal)

    assert_complete(db, journal)


def test_creation_under_race(tmp_path, run_program):
    """
    32 processes that begin at once all find the schema, and each one's record is there.
    """
    source = """
go, ready = os.pipe()
children = []
for number in range(32):
    pid = os.fork()
    if pid == 0:
        os.close(ready)
        os.read(go, 1)
        sink = SqliteSink(Path(sys.argv[1]))
        line = encode_line("event", id=f"{number:016x}-1", timestamp="2026-11-22T12:00:00.000000Z",
                           event_id="run", run_id="run", event_type="step", payload=b"1")
        journal = NdjsonJournal(Path(sys.argv[2]) / str(number))
        journal.append(line, 1795348800)
        os._exit(0 if follow(sink, journal) and not sink.close() else 1)
    children.append(pid)
os.close(ready)
print(json.dumps([os.waitpid(pid, 0)[1] for pid in children]))
"""
    db = tmp_path / "db" / "telemetry.sqlite"

    assert run_program(_HEAD + source, db, tmp_path / "raw") == [0] * 32
    assert ask(db, "SELECT count(*) FROM run_events") == [(32,)]
    assert ask(db, "SELECT version FROM schema_migrations") == [(DATABASE_VERSION,)]
    assert check(db) == []


def test_locked_for_long(db, journal, sink, start_program, add_runs):
    """
    While another process locks the database each try fails soon; nothing is lost afterwards.
    """
    follow(sink, journal)
    source = """
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
print("released", flush=True)
"""
    locker = start_program(source, db)
    assert locker.stdout.readline() == "locked\n"
    add_runs(journal, 5)
    for _ in range(3):
        with pytest.raises(TransientSinkError, match="locked"):
            sink.write([], sink.cursors()[journal.segments()[0].id])
    locker.stdin.write("\n")
    locker.stdin.flush()
    assert locker.stdout.readline() == "released\n"

    assert follow(sink, journal)
    assert_complete(db, journal, RUNS + 5)


@pytest.mark.parametrize("where", ["header", "root", "every page", "truncated", "empty", "text"])
def test_damaged_database_is_rebuilt(db, journal, sink, add_runs, where):
    """
    A damaged database is moved aside, said once, and followed anew from the journal.
    """
    follow(sink, journal)
    sink.close()
    ((number,),) = ask(db, "SELECT rootpage FROM sqlite_master WHERE name = 'agent_runs'")
    root = (number - 1) * 4096
    data = bytearray(db.read_bytes())
    randomly = random.Random(7)
    if where == "header":
        data[:64] = randomly.randbytes(64)
    elif where == "root":
        data[root : root + 4096] = randomly.randbytes(4096)
    elif where == "every page":
        for page in range(4096, len(data), 4096):
            data[page : page + 64] = randomly.randbytes(64)
    elif where == "truncated":
        del data[len(data) // 3 :]
    elif where == "text":
        data = bytearray(b"not a database at all\n" * 1000)
    else:
        data.clear()
    db.write_bytes(data)
    add_runs(journal, 1)
    again = SqliteSink(db)
    try:
        assert follow(again, journal)
        again.idle()
    finally:
        again.close()

    assert_complete(db, journal, RUNS + 1)
    kept = list(db.parent.glob("telemetry.corrupted.*.sqlite"))
    assert len(kept) == (0 if where == "empty" else 1)
    assert notices.counts().get(f"sqlite-malformed:{db}", 0) == len(kept)
    assert [path.read_bytes() for path in kept] == [bytes(data)] * len(kept)


def test_log_cut_short(db, journal, sink, tmp_path):
    """
    A log that lost its end costs the transactions at its end, and the cursor with them: they return.
    """
    follow(sink, journal)
    copy = tmp_path / "copy" / "telemetry.sqlite"
    copy.parent.mkdir()
    wal = Path(f"{db}-wal").read_bytes()
    copy.write_bytes(db.read_bytes())
    Path(f"{copy}-wal").write_bytes(wal[: len(wal) * 2 // 3])
    other = SqliteSink(copy)

    assert sum(cursor.offset for cursor in other.cursors().values()) > 0
    assert follow(other, journal)
    other.close()
    assert_complete(copy, journal)


@pytest.mark.parametrize("suffixes", [("",), ("", "-wal", "-shm")])
def test_deleted_under_us(db, journal, sink, add_runs, suffixes):
    """
    A database that is deleted while it is open comes back whole with the next record.
    """
    follow(sink, journal)
    for suffix in suffixes:
        Path(f"{db}{suffix}").unlink()
    sink.idle()
    add_runs(journal, 1)

    assert follow(sink, journal)
    assert_complete(db, journal, RUNS + 1)


def test_replaced_under_us(db, journal, sink, tmp_path, add_runs):
    """
    An older database, restored over the open one, is followed on from where it was.
    """
    follow(sink, journal)
    backup = sqlite3.connect(tmp_path / "backup.sqlite")
    with contextlib.closing(sqlite3.connect(db)) as live, contextlib.closing(backup):
        live.backup(backup)
    add_runs(journal, 2)
    follow(sink, journal)
    sink_file = db.stat().st_ino
    for suffix in ("-wal", "-shm"):
        Path(f"{db}{suffix}").unlink()
    (tmp_path / "backup.sqlite").replace(db)

    assert db.stat().st_ino != sink_file
    assert follow(sink, journal)
    assert_complete(db, journal, RUNS + 2)


def test_database_that_keeps_breaking(db, journal, sink):
    """
    After a few rebuilds in a short while the disk is to blame: no more copies are made.
    """
    for _ in range(MAX_REBUILDS):
        follow(sink, journal)
        sink.close()
        db.write_bytes(b"rubbish" * 1000)
        Path(f"{db}-wal").unlink(missing_ok=True)
        with pytest.raises(CursorMovedError):
            sink.write([], journal.read(journal.segments()[0], None, 100).cursor)
    db.write_bytes(b"rubbish" * 1000)

    with pytest.raises(TransientSinkError, match="check the disk"):
        sink.cursors()
    assert len(list(db.parent.glob("*.corrupted.*"))) == MAX_REBUILDS


def test_indexes_of_a_rebuilt_database(db, journal, sink):
    """
    A rebuilt database gets its indexes when it has caught up, or by whoever opens it next.
    """
    follow(sink, journal)
    whole = ask(db, "SELECT name FROM sqlite_master WHERE type = 'index' ORDER BY name")
    sink.close()
    db.write_bytes(b"rubbish" * 1000)
    follow(sink, journal)
    during = ask(db, "SELECT name FROM sqlite_master WHERE type = 'index' ORDER BY name")
    sink.idle()

    assert len(during) < len(whole)
    assert ask(db, "SELECT name FROM sqlite_master WHERE type = 'index' ORDER BY name") == whole


def test_database_from_the_future_is_left_alone(db, journal, sink):
    """
    A newer layout pauses the sink; not one byte of the file changes.
    """
    follow(sink, journal)
    sink.close()
    with contextlib.closing(sqlite3.connect(db)) as connection:
        connection.execute(f"PRAGMA user_version = {DATABASE_VERSION + 1}")
    before = db.read_bytes()

    for _ in range(2):
        with pytest.raises(PausedSinkError, match="newer release"):
            sink.cursors()
    assert db.read_bytes() == before


def test_database_of_another_program_is_left_alone(db, sink):
    """
    A file with somebody else's tables, the original's included, is not touched.
    """
    db.parent.mkdir()
    with contextlib.closing(sqlite3.connect(db)) as connection:
        connection.execute("CREATE TABLE agent_runs (run_id TEXT PRIMARY KEY, status TEXT)")
    before = db.read_bytes()

    with pytest.raises(PausedSinkError, match="TELEMETRY_DB_PATH"):
        sink.cursors()
    assert db.read_bytes() == before


@pytest.mark.parametrize("place", ["file", "directory"])
def test_place_that_is_taken(tmp_path, place, journal):
    """
    A directory that is a file, or a file that is a directory, is an outage that may end.
    """
    path = tmp_path / "place" / "telemetry.sqlite"
    if place == "file":
        (tmp_path / "place").write_text("mine")
    else:
        path.mkdir(parents=True)
    sink = SqliteSink(path)
    with pytest.raises(TransientSinkError):
        sink.cursors()
    (tmp_path / "place").unlink() if place == "file" else path.rmdir()

    assert follow(sink, journal)
    sink.close()


def test_read_only_mount(tmp_path, mounting, run_program):
    """
    A disk that becomes read-only is an outage; when it can be written again nothing is missing.
    """
    source = """
import subprocess
def remount(mode):
    subprocess.run(["mount", "-o", f"remount,{mode}", "tmpfs", str(disk)], check=True)
disk, raw = Path(sys.argv[1]), Path(sys.argv[2])
def line(number):
    return encode_line("event", id=f"00000000000000aa-{number}", timestamp="2026-11-22T12:00:00.000000Z",
                       event_id="run", run_id="run", event_type="step", payload=b"1")
journal = NdjsonJournal(raw)
sink = SqliteSink(disk / "db" / "telemetry.sqlite")
journal.append(line(1), 1795348800)
first = follow(sink, journal)
sink.close()
remount("ro")
journal.append(line(2), 1795348800)
second = follow(sink, journal, tries=3)
remount("rw")
third = follow(sink, journal)
sink.close()
connection = sqlite3.connect(disk / "db" / "telemetry.sqlite")
print(json.dumps([first, second, third, connection.execute("SELECT count(*) FROM run_events").fetchone()[0]]))
"""
    disk = tmp_path / "disk"
    disk.mkdir()
    before = mounting('mount -t tmpfs -o size=4m,mode=700 tmpfs "$4"')

    answers = run_program(_HEAD + source, disk, tmp_path / "raw", before=before)
    assert answers == [True, False, True, 2]


def test_full_disk(tmp_path, mounting, run_program):
    """
    A full disk is an outage in the middle of a batch; with space again nothing is missing or twice.
    """
    source = """
disk, raw = Path(sys.argv[1]), Path(sys.argv[2])
journal = NdjsonJournal(raw)
for number in range(1, 401):
    journal.append(encode_line("event", id=f"00000000000000aa-{number}",
        timestamp="2026-11-22T12:00:00.000000Z", event_id="run", run_id="run", event_type="step",
        payload=b'"%b"' % (b"x" * 1000)), 1795348800)
(disk / "ballast").write_bytes(bytes(3_600_000))
sink = SqliteSink(disk / "db" / "telemetry.sqlite")
first = follow(sink, journal, tries=5)
def count():
    connection = sqlite3.connect(disk / "db" / "telemetry.sqlite")
    try:
        return connection.execute("SELECT count(*) FROM run_events").fetchone()[0]
    finally:
        connection.close()
between = count()
(disk / "ballast").unlink()
second = follow(sink, journal)
sink.close()
print(json.dumps([first, 0 < between < 400, second, count(), os.listdir(disk / "db")]))
"""
    disk = tmp_path / "disk"
    disk.mkdir()
    before = mounting('mount -t tmpfs -o size=4m,mode=700 tmpfs "$4"')

    answers = run_program(_HEAD + source, disk, tmp_path / "raw", before=before)
    assert answers == [False, True, True, 400, ["telemetry.sqlite"]]


def test_two_drainers_race(db, journal, start_program, add_runs):
    """
    Two processes that drain one journal with no lock, only the compared cursor, apply each record once.
    """
    add_runs(journal, 160)
    source = """
print("ready", flush=True)
sys.stdin.readline()
sink = SqliteSink(Path(sys.argv[1]))
print(follow(sink, NdjsonJournal(Path(sys.argv[2])), max_bytes=2048), flush=True)
sink.close()
"""
    drainers = [start_program(source, db, db.parent.parent / "raw") for _ in range(2)]
    for drainer in drainers:
        assert drainer.stdout.readline() == "ready\n"
    for drainer in drainers:
        drainer.stdin.write("\n")
        drainer.stdin.flush()

    assert [drainer.stdout.readline() for drainer in drainers] == ["True\n", "True\n"]
    assert_complete(db, journal, RUNS + 160)


def test_killed_in_the_middle(db, journal, start_program, add_runs):
    """
    A drainer that is killed at any moment leaves rows and cursor that belong together.
    """
    add_runs(journal, 160)
    source = """
print("ready", flush=True)
sink = SqliteSink(Path(sys.argv[1]))
follow(sink, NdjsonJournal(Path(sys.argv[2])), max_bytes=1024)
print("done", flush=True)
sys.stdin.readline()
"""
    randomly = random.Random(11)
    for _ in range(int(os.environ.get("TELEMETRY_TEST_KILLS", "8"))):
        drainer = start_program(source, db, db.parent.parent / "raw")
        assert drainer.stdout.readline() == "ready\n"
        with contextlib.suppress(subprocess.TimeoutExpired):
            drainer.wait(randomly.uniform(0.0, 0.06))
        drainer.send_signal(signal.SIGKILL)
        drainer.wait()
        # A database that was just being made is not there yet, or still to be rolled back.
        too_early = ("does not exist", "no such table", "readonly database")
        assert not [text for text in check(db) if not any(map(text.count, too_early))]

    sink = SqliteSink(db)
    assert follow(sink, journal)
    sink.close()
    assert_complete(db, journal, RUNS + 160)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this platform")
def test_forked_child_opens_its_own(tmp_path, run_program):
    """
    A child never uses or closes the parent's connection, however it ends; both go on.
    """
    source = """
import threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
db, raw = Path(sys.argv[1]), Path(sys.argv[2])
journal = NdjsonJournal(raw)
sink = SqliteSink(db)
def line(number):
    return encode_line("event", id=f"00000000000000aa-{number}", timestamp="2026-11-22T12:00:00.000000Z",
                       event_id="run", run_id="run", event_type="step", payload=b"1")
journal.append(line(0), 1795348800)
follow(sink, journal)
stop = threading.Event()
def work():
    while not stop.is_set():
        follow(sink, journal)
worker = threading.Thread(target=work)
worker.start()
statuses = []
for number in range(1, 41):
    journal.append(line(number), 1795348800)
    pid = os.fork()
    if pid == 0:
        mine = follow(sink, journal)
        if number % 2:
            os._exit(not mine)
        sys.exit(not mine)
    statuses.append(os.waitpid(pid, 0)[1])
stop.set()
worker.join()
done = follow(sink, journal)
sink.close()
connection = sqlite3.connect(db)
print(json.dumps([sum(statuses), done, connection.execute("SELECT count(*) FROM run_events").fetchone()[0],
                  connection.execute("PRAGMA integrity_check").fetchone()[0]]))
"""
    answers = run_program(_HEAD + source, tmp_path / "db" / "telemetry.sqlite", tmp_path / "raw")

    assert answers == [0, True, 41, "ok"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_half_a_transaction_of_a_killed_process_is_rolled_back(tmp_path, journal):
    """
    A rollback journal left by a kill, as when WAL mode is just being set, does not stop the sink.
    """
    path = tmp_path / "db.sqlite"
    sink = SqliteSink(path)
    assert follow(sink, journal)
    sink.close()
    child = os.fork()
    if child == 0:
        database = sqlite3.connect(path, isolation_level=None)
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute("PRAGMA cache_size = 1")
        database.execute("BEGIN")
        database.execute("UPDATE run_events SET payload_json = zeroblob(9000)")
        os._exit(0)
    os.waitpid(child, 0)
    assert Path(f"{path}-journal").stat().st_size > 0

    again = SqliteSink(path)
    assert follow(again, journal)
    again.close()
    assert check(path) == []
    assert differences(path, journal) == []
