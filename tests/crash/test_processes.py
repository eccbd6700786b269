"""
Several processes on one journal: beginning together, suspended, killed in the middle of a line.
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import telemetry
from telemetry.model.codec import encode_line
from telemetry.storage.chunks import chunks_of
from telemetry.storage.segments import SegmentReader
from telemetry_plugins.ndjson import NdjsonJournal

MIDNIGHT = 1_795_392_000  # 2026-11-23T00:00:00Z


def line(worker, number, size=0):
    """
    Return an event's line, of a writer that a number stands for.
    """
    return encode_line(
        "event",
        id=f"{worker:016x}-{number}",
        timestamp="2026-11-22T12:00:00.000000Z",
        payload=b'{"fill":"%b"}' % (b"x" * size),
    )


def found(directory):
    """
    Return (worker, number) of every record, and the segments they are in.
    """
    reader = SegmentReader(directory)
    segments = reader.segments()
    records = []
    for segment in segments:
        for chunk in chunks_of(reader, segment, max_bytes=1 << 20):
            records += [(int(record.writer, 16), record.number) for record in chunk.records]
    return records, segments


@pytest.fixture
def fork(forking):
    """
    Return a starter of child processes that run a function, and are gone in the end.
    """
    children = []

    def start(function, *arguments):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                function(*arguments)
                code = 0
            finally:
                os._exit(code)
        children.append(pid)
        return pid

    yield start
    for pid in children:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            continue


def wait_for(pid):
    """
    Return a child's exit status, negative for a signal.
    """
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_first_records_of_many_processes_make_one_file(tmp_path, fork):
    """
    Processes that begin together share one file with one header, which is its first line.
    """
    reading, writing = os.pipe()

    def begin(worker):
        os.close(writing)
        os.read(reading, 1)
        assert NdjsonJournal(tmp_path / "raw").append(line(worker, 1), MIDNIGHT)

    children = [fork(begin, worker) for worker in range(32)]
    os.close(writing)

    assert [wait_for(pid) for pid in children] == [0] * 32
    os.close(reading)
    records, segments = found(tmp_path / "raw")
    assert sorted(records) == [(worker, 1) for worker in range(32)]
    assert len(segments) == 1
    assert re.fullmatch("[0-9a-f]{16}", segments[0].id)
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["events_20261123.ndjson"]


def test_midnight_with_a_suspended_writer(tmp_path, fork):
    """
    Eight writers cross midnight; one that slept over it still writes to the day of its records.
    """
    says, said = os.pipe()
    goes_on, may_go_on = os.pipe()

    def work(worker):
        os.close(may_go_on)
        journal = NdjsonJournal(tmp_path)
        for number in range(100):
            if number == 40:
                os.write(said, bytes([worker]))
                if worker == 0:
                    os.read(goes_on, 1)
            assert journal.append(line(worker, number, 300), MIDNIGHT - 50 + number)

    children = [fork(work, worker) for worker in range(8)]
    os.close(goes_on)
    arrived = b""
    while 0 not in arrived:
        arrived += os.read(says, 1)
    os.kill(children[0], signal.SIGSTOP)
    others = [wait_for(pid) for pid in children[1:]]
    records, _ = found(tmp_path)
    assert len(records) == 7 * 100 + 40
    os.close(may_go_on)
    os.kill(children[0], signal.SIGCONT)

    assert [wait_for(children[0]), *others] == [0] * 8
    for fd in (says, said):
        os.close(fd)
    records, segments = found(tmp_path)
    assert sorted(records) == [(worker, number) for worker in range(8) for number in range(100)]
    assert [segment.path.name for segment in segments] == [
        "events_20261122.ndjson",
        "events_20261123.ndjson",
    ]
    assert records[:400] == [pair for pair in records if pair[1] < 50]


def test_live_writers_half_lines_are_never_damage(tmp_path, fork):
    """
    A reader that keeps up with a writer of long lines sees whole records only, each once.
    """

    def work():
        journal = NdjsonJournal(tmp_path)
        for number in range(400):
            assert journal.append(line(1, number, 60_000), MIDNIGHT)

    pid = fork(work)
    reader, cursor, numbers, damaged, is_over = SegmentReader(tmp_path), None, [], 0, False
    while True:
        for segment in reader.segments():
            chunk = reader.read(segment, cursor, 50_000)
            numbers += [record.number for record in chunk.records]
            damaged += chunk.damaged_count
            cursor = chunk.cursor
        if is_over and cursor is not None and cursor.offset == cursor.start:
            break
        is_over = is_over or os.waitpid(pid, os.WNOHANG) != (0, 0)

    assert numbers == list(range(400))
    assert damaged == 0


def test_two_hosts_with_equal_process_ids(tmp_path, namespaces):
    """
    Processes of two namespaces with the same ids share a directory without sharing any name.
    """
    source = (
        "import os, sys; from pathlib import Path; from telemetry_plugins.ndjson import NdjsonJournal;"
        "from telemetry.model.codec import encode_line;"
        "journal = NdjsonJournal(Path(sys.argv[1]), shares_appends=lambda _: False);"
        "print(os.getpid(), [journal.append(encode_line('event', id=sys.argv[2] + '-' + str(n), timestamp=''),"
        f" {MIDNIGHT}) for n in range(50)].count(True))"
    )
    answers = run_in_namespaces(source, tmp_path)

    assert answers == ["1 50", "1 50"]
    records, segments = found(tmp_path)
    assert len(set(records)) == len(records) == 100
    assert len({segment.id for segment in segments}) == 2


def run_in_namespaces(source, directory):
    """
    Run a program twice, each time as the first process of a namespace.
    """
    environment = {**os.environ, "PYTHONPATH": str(Path(telemetry.__file__).parents[1])}
    return [
        subprocess.run(
            ["unshare", "-pf", sys.executable, "-c", source, str(directory), f"{writer:016x}"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout.strip()
        for writer in (1, 2)
    ]
