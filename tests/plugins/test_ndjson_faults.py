"""
The file journal on disks and in directories that are broken.
"""

import errno
import itertools
import os
import stat
import tempfile
from pathlib import Path

import pytest

from telemetry.model.errors import JournalError
from telemetry.runtime.doorbell import Doorbell
from telemetry.runtime.syncing import Syncing
from telemetry_plugins.ndjson import RETRY_AFTER_S, NdjsonJournal

DAY = 86_400

_PROGRAM = """
import errno, fcntl, itertools, json, os, resource, subprocess, sys
from pathlib import Path
from telemetry.model.codec import encode_line
from telemetry_plugins.ndjson import NdjsonJournal

NOON = 1795348800
directory = Path(sys.argv[1])
journal = NdjsonJournal(directory, monotonic=itertools.count().__next__)

def line(number, size=0):
    return encode_line("event", id=f"00000000000000aa-{number}", timestamp="2026-11-22T12:00:00.000000Z",
                       payload=b'{"text":"%b"}' % (b"x" * size))

def numbers(directory=directory):
    found = []
    reader = NdjsonJournal(directory)
    for segment in reader.segments():
        found += [record.number for record in reader.read(segment, None, 1 << 24).records]
    return found
"""


def test_base_that_is_a_file(tmp_path, make_journal, make_line, noon):
    """
    A file where the directory should be: no exception, a reason, and another try soon.
    """
    now = [5.0]
    (tmp_path / "base").write_text("mine")
    journal = make_journal(tmp_path / "base" / "raw", monotonic=lambda: now[0])

    assert not journal.append(make_line(1), noon)
    assert "Not a directory" in journal.problem
    assert "TELEMETRY_BASE_DIR" in journal.problem
    assert journal.segments() == ()
    (tmp_path / "base").unlink()
    assert not journal.append(make_line(2), noon + 1)
    now[0] += RETRY_AFTER_S
    assert journal.append(make_line(3), noon)
    assert journal.problem == ""


def test_directory_that_is_a_file(tmp_path, make_journal, make_line, noon):
    """
    The journal's own directory may be a file too; it is left as it is.
    """
    (tmp_path / "raw").write_text("mine")

    assert not make_journal(tmp_path / "raw").append(make_line(1), noon)
    assert (tmp_path / "raw").read_text() == "mine"


def test_dead_disk_costs_next_to_nothing(tmp_path, make_journal, make_line, noon):
    """
    Whatever the records' times are, the next attempt is made after a pause.
    """
    attempts, now = [], [5.0]

    def count(_directory):
        attempts.append(now[0])
        raise OSError(errno.EIO, "Input/output error")

    journal = make_journal(tmp_path, shares_appends=count, monotonic=lambda: now[0])

    for number in range(300):
        now[0] = 5 + number // 100 * RETRY_AFTER_S
        assert not journal.append(make_line(number), noon + number)
    assert len(attempts) == 3


@pytest.mark.parametrize("target", ["file", "nothing"])
def test_link_is_not_followed(tmp_path, make_journal, make_line, read_all, noon, target):
    """
    A link planted under the day's name leads nowhere: this process takes a file of its own.
    """
    raw = tmp_path / "raw"
    raw.mkdir()
    if target == "file":
        (tmp_path / "victim").write_text("precious")
    (raw / "events_20261122.ndjson").symlink_to(tmp_path / "victim")
    journal = make_journal(raw)

    assert journal.append(make_line(1), noon)

    assert "events_20261122.ndjson" in journal.problem
    assert (tmp_path / "victim").exists() == (target == "file")
    assert target == "nothing" or (tmp_path / "victim").read_text() == "precious"
    assert read_all(raw) == [1]


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_what_is_no_file_is_not_opened(tmp_path, make_journal, make_line, read_all, noon, kind):
    """
    A directory or a pipe under the day's name neither blocks nor stops the journal.
    """
    place = tmp_path / "events_20261122.ndjson"
    place.mkdir() if kind == "directory" else os.mkfifo(place)

    assert make_journal(tmp_path).append(make_line(1), noon)
    assert read_all(tmp_path) == [1]


def test_directory_that_everybody_may_write_is_a_problem(tmp_path, make_journal, make_line, noon):
    """
    Records are written, and the notice says what to do.
    """
    tmp_path.chmod(0o777)
    journal = make_journal(tmp_path)

    assert journal.append(make_line(1), noon)
    assert "chmod o-w" in journal.problem


def test_another_users_file_and_directory(
    tmp_path, privileged, make_journal, make_line, read_all, noon
):
    """
    What belongs to another user is not written to, even where the system would allow it.
    """
    file = tmp_path / "events_20261122.ndjson"
    file.write_bytes(make_line(1))
    os.chown(file, 65534, 65534)
    journal = make_journal(tmp_path)

    assert journal.append(make_line(2), noon)
    assert file.read_bytes() == make_line(1)
    assert "user 65534" in journal.problem
    assert sorted(read_all(tmp_path)) == [1, 2]

    os.chown(tmp_path, 65534, 65534)
    assert journal.append(make_line(3), noon + DAY)
    assert "directory" in journal.problem
    assert "user 65534" in journal.problem


@pytest.fixture
def open_path():
    """
    Return a directory that other users can reach.
    """
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def test_unprivileged_user(open_path, privileged, run_program):
    """
    A directory, a file and a parent that this user may not write each have their answer.
    """
    for name, mode in (("closed", 0o700), ("fixed", 0o755), ("shared", 0o777)):
        (open_path / name).mkdir()
        (open_path / name).chmod(mode)
    (open_path / "shared" / "events_20261122.ndjson").touch(0o600)
    source = (
        _PROGRAM
        + """
os.setgid(65534); os.setuid(65534)
answers = {}
for name in ("closed", "fixed", "fixed/below", "shared"):
    journal = NdjsonJournal(directory / name)
    answers[name] = [journal.append(line(1), NOON), journal.problem]
print(json.dumps(answers))
"""
    )

    answers = run_program(source, open_path)

    for name in ("closed", "fixed", "fixed/below"):
        assert answers[name][0] is False
        assert "Permission denied" in answers[name][1]
    assert answers["shared"][0] is True
    (own,) = (open_path / "shared").glob("events_20261122.*.ndjson")
    assert stat.S_IMODE(own.stat().st_mode) == 0o600


def test_full_disk(tmp_path, mounting, run_program):
    """
    On a full disk appends answer False, nothing is finished or cut, and all goes on with new room.
    """
    source = (
        _PROGRAM
        + """
answers, second = {}, NOON
number = 0
while journal.append(line(number, 1500), second):
    number += 1
answers["problem"] = journal.problem
answers["again"] = [journal.append(line(1000 + n, 1500), second + n // 2) for n in range(8)]
(directory / "ballast").unlink()
answers["after"] = [journal.append(line(2000 + n), second + 9) for n in range(5)]
answers["written"] = number
answers["read"] = numbers()
answers["clear"] = journal.problem
print(json.dumps(answers))
"""
    )
    mount = 'mount -t tmpfs -o size=64k,mode=700 tmpfs "$4"; head -c 8192 /dev/zero > "$4/ballast"'

    answers = run_program(source, tmp_path, before=mounting(mount))

    assert answers["written"] >= 10
    assert "room" in answers["problem"]
    assert answers["again"] == [False] * 8
    assert answers["after"] == [True] * 5
    assert answers["read"] == [*range(answers["written"]), *range(2000, 2005)]
    assert answers["clear"] == ""


def test_full_disk_from_the_start(tmp_path, mounting, run_program):
    """
    Where not even a file's first line has room, nothing is left of the attempt.
    """
    source = (
        _PROGRAM
        + """
answers = [journal.append(line(1), NOON), os.listdir(directory), journal.problem]
(directory / "ballast").unlink()
print(json.dumps([*answers, journal.append(line(2), NOON + 1), numbers()]))
"""
    )
    mount = 'mount -t tmpfs -o size=16k,mode=700 tmpfs "$4"; head -c 999999 /dev/zero > "$4/ballast" || true'

    refused, left, problem, accepted, read = run_program(source, tmp_path, before=mounting(mount))

    assert (refused, left) == (False, ["ballast"])
    assert "No space left" in problem
    assert (accepted, read) == (True, [2])


@pytest.mark.parametrize("made", ["before", "during"])
def test_read_only_mount(tmp_path, mounting, run_program, made):
    """
    A file system that is or becomes read-only answers False, until it is writable again.
    """
    source = (
        _PROGRAM
        + """
def remount(mode):
    subprocess.run(["mount", "-o", f"remount,{mode}", "tmpfs", str(directory)], check=True)

answers = []
if sys.argv[2] == "during":
    journal.append(line(0), NOON)
    journal.close()
remount("ro")
answers.append(journal.append(line(1), NOON + 1))
answers.append(journal.problem)
remount("rw")
answers.append(journal.append(line(2), NOON + 2))
print(json.dumps([*answers, numbers()]))
"""
    )
    mount = 'mount -t tmpfs -o mode=700 tmpfs "$4"'

    refused, problem, accepted, read = run_program(source, tmp_path, made, before=mounting(mount))

    assert (refused, accepted) == (False, True)
    assert "Read-only" in problem
    assert read == ([2] if made == "before" else [0, 2])


def test_file_at_its_largest(tmp_path, run_program):
    """
    A file that may not grow is left with its torn end; this process goes on in a file of its own.
    """
    source = (
        _PROGRAM
        + """
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
answers = [journal.append(line(n, 500), NOON + n) for n in range(12)]
print(json.dumps([answers, numbers(), sorted(p.stat().st_size for p in directory.iterdir())]))
"""
    )

    answers, read, sizes = run_program(source, tmp_path)

    assert sorted(read) == [n for n, is_written in enumerate(answers) if is_written]
    assert answers.count(True) >= 5
    assert len(sizes) >= 2
    assert max(sizes) <= 2000


@pytest.mark.parametrize("length", range(0, 200, 7))
def test_short_write(tmp_path, make_journal, make_line, read_all, noon, monkeypatch, length):
    """
    A line that was taken in part is refused, never finished, and harms no other.
    """
    journal = make_journal(tmp_path)
    journal.append(make_line(1), noon)
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr("telemetry_plugins.ndjson._write", lambda fd, line: write(fd, line[:length]))
        assert not journal.append(make_line(2), noon)
        assert "part" in journal.problem
        assert not journal.append(make_line(3), noon)

    assert journal.append(make_line(4), noon)
    assert journal.append(make_line(5), noon)

    assert journal.problem == ""
    assert read_all(tmp_path) == [1, 4, 5]
    lines = (tmp_path / "events_20261122.ndjson").read_bytes().split(b"\n")
    assert make_line(4).rstrip() in lines


def test_no_descriptor_left(tmp_path, run_program):
    """
    Without a free descriptor the first record is refused; an open file goes on, also over midnight.
    """
    source = (
        _PROGRAM
        + """
def exhaust():
    held = []
    while True:
        try:
            held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            return held

def free(held):
    for fd in held:
        os.close(fd)

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
held = exhaust()
answers = [journal.append(line(0), NOON), journal.problem]
free(held)
answers.append(journal.append(line(1), NOON + 1))
held = exhaust()
answers.append([journal.append(line(2), NOON + 2), journal.append(line(3), NOON + 86400)])
journal.sync()
free(held)
answers.append(journal.append(line(4), NOON + 86401))
journal.sync()
print(json.dumps([*answers, numbers(), sorted(os.listdir(directory))]))
"""
    )

    first, problem, second, full, last, read, names = run_program(source, tmp_path)

    assert (first, second, full, last) == (False, True, [True, True], True)
    assert "Too many open files" in problem
    assert read == [1, 2, 3, 4]
    assert names == ["events_20261122.ndjson", "events_20261123.ndjson"]


def test_directory_is_deleted_again_and_again(tmp_path, run_program):
    """
    Only the lines that were deleted are lost, and no append raises.
    """
    source = (
        _PROGRAM
        + """
import shutil, threading
stop = threading.Event()
def destroy():
    while not stop.wait(0.005):
        shutil.rmtree(directory, ignore_errors=True)
thread = threading.Thread(target=destroy); thread.start()
answers = [journal.append(line(n), NOON + n) for n in range(5000)]
stop.set(); thread.join()
last = [journal.append(line(10000 + n), NOON + 10000) for n in range(3)]
print(json.dumps([answers.count(True), last, numbers()[-3:]]))
"""
    )

    accepted, last, read = run_program(source, tmp_path / "raw")

    assert accepted >= 4000
    assert last == [True] * 3
    assert read == [10000, 10001, 10002]


def test_failed_sync_is_not_repeated(
    tmp_path, make_journal, make_line, read_all, noon, monkeypatch
):
    """
    After the system has lost data of a file, the file is never asked or written again.
    """
    journal = make_journal(tmp_path)
    journal.append(make_line(1), noon)
    journal.sync()
    journal.append(make_line(2), noon)
    lost = (tmp_path / "events_20261122.ndjson").stat().st_ino
    asked = []
    fdatasync = os.fdatasync

    def fails(fd):
        asked.append(os.fstat(fd).st_ino)
        if asked[-1] == lost:
            raise OSError(errno.EIO, "Input/output error")
        fdatasync(fd)

    monkeypatch.setattr(os, "fdatasync", fails)
    with pytest.raises(JournalError, match="reach the disk"):
        journal.sync()

    for number in (3, 4):
        assert journal.append(make_line(number), noon + number)
        journal.sync()
    assert "reach the disk" in journal.problem
    assert asked.count(lost) == 1
    assert sorted(read_all(tmp_path)) == [1, 2, 3, 4]
    assert len(list(tmp_path.glob("events_20261122.*.ndjson"))) == 1
    assert journal.append(make_line(5), noon + DAY)
    assert (tmp_path / "events_20261123.ndjson").exists()


def test_sync_asks_only_for_what_is_new(tmp_path, make_journal, make_line, noon, monkeypatch):
    """
    Without new records a sync makes no system call that writes; yesterday's file is not forgotten.
    """
    journal = make_journal(tmp_path)
    journal.append(make_line(1), noon)
    asked = []
    monkeypatch.setattr(
        os, "fdatasync", lambda fd: asked.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
    )
    first, second = (str(tmp_path / f"events_2026112{day}.ndjson") for day in (2, 3))

    journal.sync()
    journal.sync()
    assert asked == [str(tmp_path), first]
    journal.append(make_line(2), noon)
    journal.append(make_line(3), noon + DAY)
    asked.clear()
    journal.sync()
    journal.sync()
    assert asked == [str(tmp_path), first, second]
    journal.append(make_line(4), noon + DAY)
    journal.close()
    (tmp_path / "events_20261123.ndjson").unlink()
    asked.clear()
    journal.sync()
    assert asked == []


def test_what_cannot_be_synced_is_no_error(tmp_path, make_journal, make_line, noon, monkeypatch):
    """
    A file system without fsync is not a failing disk; a failing directory is.
    """
    journal = make_journal(tmp_path)
    journal.append(make_line(1), noon)

    def refuses(_fd):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fdatasync", refuses)
    code = errno.EINVAL
    journal.sync()
    journal.append(make_line(2), noon + DAY)
    code = errno.EIO
    with pytest.raises(JournalError, match="reach the disk"):
        journal.sync()


def test_constructor_never_raises(tmp_path):
    """
    Whatever the directory is, making a journal touches nothing.
    """
    for directory in (tmp_path / "x" / "y", tmp_path / ("n" * 300), tmp_path / "events\n"):
        journal = NdjsonJournal(directory)
        journal.sync()
        journal.after_fork()
        journal.close()

    assert list(tmp_path.iterdir()) == []


def test_name_that_is_too_long(tmp_path, make_journal, make_line, noon):
    """
    A path that no file system takes is a reason like any other.
    """
    journal = make_journal(tmp_path / ("n" * 300))

    assert not journal.append(make_line(1), noon)
    assert "too long" in journal.problem


@pytest.mark.parametrize("code", [errno.EIO, errno.EFBIG, errno.ENOSPC, errno.EROFS])
def test_write_that_fails(tmp_path, make_journal, make_line, read_all, noon, monkeypatch, code):
    """
    A refused record is answered False, and after a pause the file is opened anew.
    """
    now = [5.0]
    journal = make_journal(tmp_path, monotonic=lambda: now[0])
    journal.append(make_line(1), noon)

    def refuse(_fd, _line):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr("telemetry_plugins.ndjson._write", refuse)
        assert not journal.append(make_line(2), noon)
        assert os.strerror(code) in journal.problem
    assert not journal.append(make_line(3), noon)
    now[0] += RETRY_AFTER_S
    assert journal.append(make_line(4), noon)

    assert sorted(read_all(tmp_path)) == [1, 4]
    assert len(list(tmp_path.iterdir())) == (2 if code == errno.EFBIG else 1)
    assert bool(journal.problem) == (code == errno.EFBIG)


@pytest.mark.parametrize("times", [1, 5])
def test_directory_that_vanishes_while_the_file_is_made(tmp_path, make_line, read_all, noon, times):
    """
    A directory deleted in the very moment is made again, a few times.
    """
    raw = tmp_path / "raw"
    left = [times]

    def vanishes(_directory):
        if left[0]:
            left[0] -= 1
            raw.rmdir()
        return True

    journal = NdjsonJournal(raw, shares_appends=vanishes, monotonic=itertools.count().__next__)

    assert journal.append(make_line(1), noon) == (times == 1)
    left[0] = 0
    assert journal.append(make_line(2), noon + 1)
    assert read_all(raw) == ([1, 2] if times == 1 else [2])
    journal.close()


def test_sync_without_descriptors_is_done_later(
    tmp_path, make_journal, make_line, noon, monkeypatch
):
    """
    What could not be opened for a sync is synced by the next one.
    """
    journal = make_journal(tmp_path)
    journal.append(make_line(1), noon)
    journal.append(make_line(2), noon + DAY)
    synced = []
    fdatasync = os.fdatasync

    def note(fd):
        synced.append(Path(f"/proc/self/fd/{fd}").readlink().name)
        fdatasync(fd)

    def refuse(*_arguments, **_options):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "fdatasync", note)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        journal.sync()
    assert synced == ["events_20261123.ndjson"]
    journal.sync()

    assert sorted(synced[1:]) == sorted([tmp_path.name, "events_20261122.ndjson"])


def test_yesterdays_file_is_better_than_none(tmp_path, make_journal, make_line, read_all, noon):
    """
    When the new day's file cannot be opened, the open one takes the records until it can.
    """
    is_failing = [False]

    def fails(_directory):
        if is_failing[0]:
            raise OSError(errno.EMFILE, "Too many open files")
        return True

    journal = make_journal(tmp_path, shares_appends=fails)
    journal.append(make_line(1), noon)
    is_failing[0] = True
    assert journal.append(make_line(2), noon + DAY)
    assert read_all(tmp_path) == [1, 2]
    is_failing[0] = False

    assert journal.append(make_line(3), noon + DAY + 1)
    assert read_all(tmp_path) == [1, 2, 3]
    assert (tmp_path / "events_20261123.ndjson").exists()


def test_child_leaves_the_parents_own_file(tmp_path, make_journal, make_line, read_all, noon):
    """
    What `after_fork` does to a file of one writer: it is let go, and the next record makes another.
    """
    journal = make_journal(tmp_path, shares_appends=lambda _: False)
    journal.append(make_line(1), noon)
    journal.after_fork()

    assert journal.append(make_line(2), noon)
    assert len(list(tmp_path.iterdir())) == 2
    assert sorted(read_all(tmp_path)) == [1, 2]


def test_problem_is_said_to_the_user(tmp_path, make_journal, make_line, noon, capsys):
    """
    What the journal has to say reaches the user although no record is refused, whatever the policy.
    """
    tmp_path.chmod(0o777)
    journal = make_journal(tmp_path)
    assert journal.append(make_line(1), noon)

    Syncing(journal, Doorbell(lambda: None), "never").sync()

    assert "chmod o-w" in capsys.readouterr().err
