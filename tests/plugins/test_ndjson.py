"""
The file journal where nothing is broken but its neighbours.
"""

import os
import signal
import stat
import threading
import time

import pytest
from descriptors import needs_proc, open_below
from forking import in_child

from telemetry.config import TelemetryConfig
from telemetry.model.codec import decode_line
from telemetry.sinks import Journal
from telemetry_plugins.ndjson import NdjsonJournal, telemetry_register_journal

DAY = 86_400


def names(directory):
    """
    Return what is in a directory.
    """
    return sorted(path.name for path in directory.iterdir())


def test_journal_is_a_journal(tmp_path):
    """
    The class keeps the protocol that followers rely on.
    """
    assert isinstance(NdjsonJournal(tmp_path), Journal)


def test_hook_returns_the_configured_journal(tmp_path, make_line, noon):
    """
    The plugin's journal writes where the configuration says, and nothing before the first record.
    """
    journal = telemetry_register_journal(TelemetryConfig.from_env({}, base_dir=tmp_path / "base"))

    assert not (tmp_path / "base").exists()
    assert journal.append(make_line(1), noon)
    assert names(tmp_path / "base" / "raw") == ["events_20261122.ndjson"]
    journal.close()


def test_new_file_begins_with_its_header(tmp_path, make_journal, make_line, noon):
    """
    The first line of a file names the segment, its host, its format and who made it.
    """
    make_journal(tmp_path).append(make_line(1), noon)

    header = decode_line((tmp_path / "events_20261122.ndjson").read_bytes().splitlines()[0])
    assert header.record_type == "segment"
    assert header.timestamp == "2026-11-22T12:00:00.000000Z"
    assert header.fields().keys() == {"segment", "host", "format", "writer"}
    assert header.fields()["format"] == 1
    assert header.id == f"{header.fields()['segment']}-0"


def test_second_writer_adds_to_the_file(tmp_path, make_journal, make_line, read_all, noon):
    """
    Journals of one directory share the day's file; none truncates it or gives it a second header.
    """
    first, second = make_journal(tmp_path), make_journal(tmp_path)

    for number, journal in enumerate([first, second, first, second]):
        assert journal.append(make_line(number), noon)

    assert read_all(tmp_path) == [0, 1, 2, 3]
    assert (tmp_path / "events_20261122.ndjson").read_bytes().count(b'"segment"') == 2


@pytest.mark.parametrize(
    ("second", "name"),
    [
        (1_795_391_999, "events_20261122.ndjson"),
        (1_795_392_000, "events_20261123.ndjson"),
        (0, "events_19700101.ndjson"),
        (-5, "events_19700101.ndjson"),
        (10**15, "events_99991231.ndjson"),
    ],
)
def test_record_goes_to_the_file_of_its_utc_day(tmp_path, make_journal, make_line, second, name):
    """
    The day is that of the record's own time; times outside the calendar take the nearest day.
    """
    assert make_journal(tmp_path).append(make_line(1), second)
    assert names(tmp_path) == [name]


def test_midnight_can_be_crossed_both_ways(tmp_path, make_journal, make_line, read_all, noon):
    """
    A late record still goes to its own day, and no file is renamed or finished.
    """
    journal = make_journal(tmp_path)

    for number, second in enumerate([noon, noon + DAY, noon, noon + DAY]):
        assert journal.append(make_line(number), second)

    assert names(tmp_path) == ["events_20261122.ndjson", "events_20261123.ndjson"]
    assert read_all(tmp_path) == [0, 2, 1, 3]


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_modes_do_not_depend_on_the_umask(tmp_path, make_journal, make_line, noon, umask):
    """
    Files are 0600 and the directories made for them 0700.
    """
    before = os.umask(umask)
    try:
        assert make_journal(tmp_path / "a" / "b").append(make_line(1), noon)
        assert make_journal(tmp_path / "c", shares_appends=lambda _: False).append(b"{}\n", noon)
    finally:
        os.umask(before)

    for place in ("a", "a/b", "c"):
        assert stat.S_IMODE((tmp_path / place).stat().st_mode) == 0o700
    for file in tmp_path.rglob("*.ndjson"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_descriptor_is_not_inherited(tmp_path, make_journal, make_line, noon):
    """
    A program that the user starts does not get the journal's file.
    """
    journal = make_journal(tmp_path)
    journal.append(make_line(1), noon)
    journal.append(make_line(2), noon + DAY)

    assert not os.get_inheritable(journal._fd)


def test_unterminated_tail_is_closed_first(tmp_path, make_journal, make_line, read_all, noon):
    """
    A writer that finds half a line begins with a newline and harms neither neighbour.
    """
    file = tmp_path / "events_20261122.ndjson"
    file.write_bytes(make_line(1) + make_line(2)[:-40])

    assert make_journal(tmp_path).append(make_line(3), noon)

    assert file.read_bytes().endswith(b"\n" + make_line(3))
    assert read_all(tmp_path) == [1, 3]


def test_empty_file_is_used(tmp_path, make_journal, make_line, read_all, noon):
    """
    A file without any line gets its records; readers know it by its name.
    """
    (tmp_path / "events_20261122.ndjson").touch()
    journal = make_journal(tmp_path)

    assert journal.append(make_line(1), noon)
    assert [segment.id for segment in journal.segments()] == ["events_20261122.ndjson"]
    assert read_all(tmp_path) == [1]


@pytest.mark.parametrize("loss", ["unlink", "rename", "replace", "directory"])
def test_lost_file_is_made_again(tmp_path, make_journal, make_line, read_all, noon, loss):
    """
    In the next second of records a deleted, renamed or replaced file is noticed.
    """
    directory = tmp_path / "raw"
    file = directory / "events_20261122.ndjson"
    journal = make_journal(directory)
    journal.append(make_line(1), noon)
    if loss == "unlink":
        file.unlink()
    elif loss == "rename":
        file.rename(directory / "events_20261122.old.ndjson")
    elif loss == "replace":
        (tmp_path / "other").write_bytes(b"")
        (tmp_path / "other").replace(file)
    else:
        file.unlink()
        directory.rmdir()

    assert journal.append(make_line(2), noon + 1)

    assert sorted(read_all(directory)) == ([1, 2] if loss == "rename" else [2])
    assert decode_line(file.read_bytes().splitlines()[0]).record_type == (
        "event" if loss == "replace" else "segment"
    )


def test_lost_file_is_noticed_within_a_thousand_records(
    tmp_path, make_journal, make_line, read_all, noon
):
    """
    Also within one second, at most 1000 records go to a file that has lost its name.
    """
    journal = make_journal(tmp_path)
    journal.append(make_line(0), noon)
    (tmp_path / "events_20261122.ndjson").unlink()

    for number in range(1, 1102):
        assert journal.append(make_line(number), noon)

    assert read_all(tmp_path)[-1] == 1101
    assert len(read_all(tmp_path)) >= 100


def test_emptied_file_gets_a_header_again(tmp_path, make_journal, make_line, read_all, noon):
    """
    A rotation that copies and truncates makes a new segment of the same file.
    """
    file = tmp_path / "events_20261122.ndjson"
    journal = make_journal(tmp_path)
    journal.append(make_line(1), noon)
    (before,) = journal.segments()
    os.truncate(file, 0)

    assert journal.append(make_line(2), noon + 1)

    (after,) = make_journal(tmp_path).segments()
    assert decode_line(file.read_bytes().splitlines()[0]).record_type == "segment"
    assert after.id != before.id
    assert read_all(tmp_path) == [2]


def test_file_cut_inside_a_line_gets_a_newline(tmp_path, make_journal, make_line, read_all, noon):
    """
    After somebody cut the file, the next record stands on a line of its own.
    """
    file = tmp_path / "events_20261122.ndjson"
    journal = make_journal(tmp_path)
    for number in (1, 2):
        journal.append(make_line(number), noon)
    os.truncate(file, file.stat().st_size - 30)

    assert journal.append(make_line(3), noon + 1)

    assert file.read_bytes().endswith(b"\n" + make_line(3))
    assert read_all(tmp_path) == [1, 3]


def test_closed_journal_opens_again(tmp_path, make_journal, make_line, read_all, noon):
    """
    Closing releases the descriptor; a later record opens the file anew. Closing twice is harmless.
    """
    journal = make_journal(tmp_path)
    journal.append(make_line(1), noon)
    fd = journal._fd
    journal.close()
    journal.close()

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    assert journal.append(make_line(2), noon)
    assert read_all(tmp_path) == [1, 2]


def test_descriptor_closed_by_others_is_opened_again(
    tmp_path, make_journal, make_line, read_all, noon
):
    """
    A program that closes all descriptors, as daemons do, loses no record.
    """
    journal = make_journal(tmp_path)
    journal.append(make_line(1), noon)
    os.close(journal._fd)

    assert journal.append(make_line(2), noon)
    assert read_all(tmp_path) == [1, 2]


def test_descriptor_taken_by_the_user_is_left_to_him(
    tmp_path, make_journal, make_line, read_all, noon
):
    """
    When the number leads to a file of the user's, the journal neither closes nor replaces it.
    """
    journal = make_journal(tmp_path / "raw")
    journal.append(make_line(1), noon)
    taken = journal._fd
    mine = os.open(tmp_path / "mine", os.O_WRONLY | os.O_CREAT)
    os.dup2(mine, taken)

    assert journal.append(make_line(2), noon + 1)

    assert os.fstat(taken).st_ino == (tmp_path / "mine").stat().st_ino
    assert (tmp_path / "mine").read_bytes() == b""
    assert read_all(tmp_path / "raw") == [1, 2]
    for fd in (mine, taken):
        os.close(fd)


def test_descriptor_is_high(tmp_path, make_journal, make_line, noon):
    """
    The number is far above those that the system hands out next.
    """
    journal = make_journal(tmp_path)
    journal.append(make_line(1), noon)

    assert journal._fd >= 200


@needs_proc
def test_number_stays_the_same_over_all_files(tmp_path, make_journal, make_line, noon):
    """
    Threads in the middle of an append never meet a closed or foreign descriptor.
    """
    journal = make_journal(tmp_path)
    journal.append(make_line(1), noon)
    fd = journal._fd

    for number in range(5):
        journal.append(make_line(number), noon + number * DAY)
        (tmp_path / "events_20261122.ndjson").unlink(missing_ok=True)
        journal.append(make_line(number), noon)

    assert journal._fd == fd
    assert len(open_below(tmp_path)) == 1


def test_threads_lose_nothing_over_midnights(tmp_path, make_journal, make_line, read_all, noon):
    """
    Threads that append while the file is changed under them all succeed, with no line mixed.
    """
    journal = make_journal(tmp_path)
    refused = []

    def work(worker):
        for number in range(300):
            line = make_line(worker * 1000 + number, size=number)
            if not journal.append(line, noon + number // 50 * DAY):
                refused.append(number)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert refused == []
    assert sorted(read_all(tmp_path)) == [w * 1000 + n for w in range(8) for n in range(300)]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
def test_signal_handler_may_append(tmp_path, make_journal, make_line, read_all, noon):
    """
    A handler that interrupts an append, or the opening of a file, appends too and never waits.
    """
    journal = make_journal(tmp_path)
    handled = []

    def handler(_number, _frame):
        handled.append(
            journal.append(make_line(10**6 + len(handled)), noon + len(handled) % 3 * DAY)
        )

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    accepted = 0
    try:
        while len(handled) < 100:
            accepted += journal.append(make_line(accepted), noon + accepted % 2 * DAY)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert len(read_all(tmp_path)) == accepted + sum(handled)


def test_append_inside_an_opening_is_refused_not_stuck(tmp_path, make_line, noon):
    """
    A destructor that appends while this thread opens the first file gets False, not a deadlock.
    """
    answers = []

    def asks_again(_directory):
        answers.append(journal.append(make_line(2), noon))
        return True

    journal = NdjsonJournal(tmp_path, shares_appends=asks_again)

    assert journal.append(make_line(1), noon)
    assert journal.append(make_line(3), noon)
    assert answers == [False]
    assert journal.problem == ""
    journal.close()


def test_shared_file_serves_parent_and_child(tmp_path, make_journal, make_line, read_all, noon):
    """
    After a fork both append to the file that was open, each at its end.
    """
    journal = make_journal(tmp_path)
    journal.append(make_line(0), noon)
    child = os.fork()
    if child == 0:
        journal.after_fork()
        answers = [journal.append(make_line(n), noon) for n in range(100, 200)]
        os._exit(0 if all(answers) else 1)
    answers = [journal.append(make_line(n), noon) for n in range(1, 100)]

    assert os.waitpid(child, 0)[1] == 0
    assert all(answers)
    assert sorted(read_all(tmp_path)) == list(range(200))
    assert names(tmp_path) == ["events_20261122.ndjson"]


def test_child_has_a_file_of_its_own_where_nothing_is_shared(
    tmp_path, make_journal, make_line, read_all, noon
):
    """
    A file of one writer stays the parent's after a fork.
    """
    journal = make_journal(tmp_path, shares_appends=lambda _: False)
    journal.append(make_line(0), noon)

    def append():
        journal.after_fork()
        return journal.append(make_line(2), noon)

    assert in_child(append) == "True"
    assert journal.append(make_line(1), noon)
    assert sorted(read_all(tmp_path)) == [0, 1, 2]
    assert len(names(tmp_path)) == 2


def test_fork_while_another_thread_opens(tmp_path, make_line, read_all, noon):
    """
    The child does not inherit a lock that nobody will release.
    """
    is_opening, may_go_on = threading.Event(), threading.Event()

    def slowly(_directory):
        is_opening.set()
        return may_go_on.wait(60)

    journal = NdjsonJournal(tmp_path, shares_appends=slowly)
    thread = threading.Thread(target=journal.append, args=(make_line(1), noon))
    thread.start()
    is_opening.wait(60)

    def append():
        may_go_on.set()
        journal.after_fork()
        return journal.append(make_line(2), noon)

    answer = in_child(append)
    may_go_on.set()
    thread.join()

    assert answer == "True"
    assert sorted(read_all(tmp_path)) == [1, 2]
    journal.close()


def test_unshared_files_are_read_alike(tmp_path, make_journal, make_line, read_all, noon):
    """
    Where appends could overlap each journal has its own file of the day, named by its writer.
    """
    for number in range(3):
        assert make_journal(tmp_path, shares_appends=lambda _: False).append(
            make_line(number), noon
        )

    assert len(names(tmp_path)) == 3
    assert all(
        len(name) == len("events_20261122.0123456789abcdef.ndjson") for name in names(tmp_path)
    )
    assert sorted(read_all(tmp_path)) == [0, 1, 2]


def test_own_file_is_made_again_when_lost(tmp_path, make_journal, make_line, read_all, noon):
    """
    A file of one writer is looked after like the shared one.
    """
    journal = make_journal(tmp_path, shares_appends=lambda _: False)
    journal.append(make_line(1), noon)
    (tmp_path / names(tmp_path)[0]).unlink()

    assert journal.append(make_line(2), noon + 1)
    assert read_all(tmp_path) == [2]


def test_no_hard_links_means_own_files(
    tmp_path, make_journal, make_line, read_all, noon, monkeypatch
):
    """
    Where a file cannot appear whole under a shared name, each writer has its own, and no debris.
    """

    def link(*_arguments):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)

    assert make_journal(tmp_path).append(make_line(1), noon)
    assert [name.count(".") for name in names(tmp_path)] == [2]
    assert read_all(tmp_path) == [1]


def test_debris_of_the_killed_is_swept(tmp_path, make_journal, make_line, noon):
    """
    What was left between making and naming a file goes when the next file is made; what is young stays.
    """
    old, young = tmp_path / ".events_1.ndjson.a.tmp", tmp_path / ".events_2.ndjson.b.tmp"
    for path in (old, young):
        path.touch()
    os.utime(old, (time.time() - 3600,) * 2)

    make_journal(tmp_path).append(make_line(1), noon)

    assert names(tmp_path) == [young.name, "events_20261122.ndjson"]
