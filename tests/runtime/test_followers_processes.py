"""
Many processes in one base directory: forks, kills, leaders that die.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import sys
from pathlib import Path

import pytest

PROCESSES = int(os.environ.get("TELEMETRY_SOAK_PROCESSES", "20"))
RECORDS = int(os.environ.get("TELEMETRY_SOAK_RECORDS", "100"))

PROGRAM = """
import os, sys, time
from pathlib import Path
from telemetry.config import TelemetryConfig
from telemetry.model.codec import encode_line
from telemetry.model.ids import new_writer
from telemetry.runtime.followers import Followers
from telemetry_plugins.ndjson import NdjsonJournal
from telemetry_plugins.sqlite import SqliteSink

class Station:
    def __init__(self, base):
        self.config = TelemetryConfig.from_env({}, base_dir=Path(base), exit_timeout_s=5)
        self.journal = NdjsonJournal(self.config.ndjson_dir)
        self.followers = Followers([SqliteSink(self.config.db_path)], self.journal, self.config)
        self.after_fork()
    def after_fork(self):
        self.journal.after_fork()
        self.writer, self.number = new_writer(), 0
    def log(self, count):
        for _ in range(count):
            self.number += 1
            line = encode_line("event", id=f"{self.writer}-{self.number}",
                timestamp="2026-11-22T00:42:17.123456Z", event_id="e", run_id="r",
                event_type="step", payload=b"1")
            assert self.journal.append(line, int(time.time()))
            self.followers.ring()
"""
namespace = {}
exec(PROGRAM, namespace)  # the children run the very same program
Station = namespace["Station"]


@pytest.fixture
def base(tmp_path):
    made = Station(tmp_path)
    yield made
    made.followers.close(1)
    made.journal.close()


def stored(tmp_path):
    with sqlite3.connect(tmp_path / "db" / "telemetry.sqlite") as connection:
        rows = connection.execute("SELECT count(*), count(DISTINCT id) FROM run_events").fetchone()
    connection.close()
    return rows


def wait_for(pids):
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_every_kind_deliver(tmp_path, base, method):
    """
    However a child was started, what it and its parent record is delivered once.
    """
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"needs {method}")
    base.log(RECORDS)
    assert base.followers.flush(60)
    if method == "fork":
        pids = []
        for _ in range(3):
            pid = os.fork()
            if not pid:
                try:
                    base.after_fork()
                    base.log(RECORDS)
                    os._exit(0 if base.followers.flush(60) else 3)
                finally:
                    os._exit(4)
            pids.append(pid)
        base.log(RECORDS)
        assert wait_for(pids) == [0, 0, 0]
        expected = RECORDS * 5
    else:
        run_with(method, tmp_path)
        expected = RECORDS * 3
    assert base.followers.flush(60)

    assert stored(tmp_path) == (expected, expected)


def run_with(method, tmp_path):
    """
    Start two children by a start method of multiprocessing, from a program of their own.
    """
    import subprocess

    import telemetry

    program = tmp_path / "program.py"
    program.write_text(
        PROGRAM
        + f"""
import multiprocessing
def work():
    station = Station({str(tmp_path)!r})
    station.log({RECORDS})
    assert station.followers.flush(60)
if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    children = [context.Process(target=work) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
"""
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(telemetry.__file__).parents[1])}
    subprocess.run([sys.executable, str(program)], check=True, timeout=60, env=environ)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_others_record_does_not_hang(tmp_path, base):
    """
    A child that is forked in the middle of everything records, delivers and ends.
    """
    import threading

    is_over = threading.Event()

    def record():
        while not is_over.wait(0.0005):
            base.log(1)

    recorder = threading.Thread(target=record)
    recorder.start()
    try:
        for _ in range(5):
            pid = os.fork()
            if not pid:
                try:
                    base.after_fork()
                    base.log(5)
                    os._exit(0 if base.followers.flush(60) else 3)
                finally:
                    os._exit(4)
            assert wait_for([pid]) == [0]
    finally:
        is_over.set()
        recorder.join()
    assert base.followers.flush(60)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_records_nothing_and_leaves_is_no_trouble(tmp_path, base):
    """
    `os._exit` right after recording loses nothing: the journal has it, the parent delivers it.
    """
    base.log(5)
    assert base.followers.flush(60)
    pid = os.fork()
    if not pid:
        try:
            base.after_fork()
            base.log(5)
        finally:
            os._exit(0)
    assert wait_for([pid]) == [0]
    assert base.followers.flush(60)

    assert stored(tmp_path) == (10, 10)


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_twenty_processes_and_dying_leaders_lose_and_double_nothing(tmp_path, child):
    """
    Processes record at once; some are killed, leaders among them; each record arrives once.
    """
    processes = [
        child(
            PROGRAM
            + """
station = Station(sys.argv[1])
count = 0
for _ in range(int(sys.argv[2])):
    station.log(1)
    count += 1
    print(count, flush=True)
if not sys.stdin.readline():
    sys.exit(0)
os._exit(0)
""",
            RECORDS,
        )
        for _ in range(PROCESSES)
    ]
    killed = processes[::4]
    for process in killed:
        while process.stdout.readline() != f"{RECORDS // 2}\n":
            pass
        os.kill(process.pid, signal.SIGKILL)
    acknowledged = sum(
        max([RECORDS // 2, *map(int, process.stdout.read().split())]) for process in killed
    )
    for process in processes:
        if process not in killed:
            _, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
            acknowledged += RECORDS
    last = Station(tmp_path)
    assert last.followers.catch_up(30)
    last.followers.close(1)
    last.journal.close()

    total, distinct = stored(tmp_path)
    assert total == distinct
    assert acknowledged <= total <= acknowledged + len(killed)


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_a_leader_that_dies_is_followed_by_another(tmp_path, child, base, eventually):
    """
    When the leader is killed, a process that goes on recording takes over.
    """
    leader = child(
        PROGRAM + "station = Station(sys.argv[1])\nstation.log(1)\n"
        "assert station.followers.flush(60)\nprint('leads', flush=True)\n"
        "sys.stdin.readline()"
    )
    assert leader.stdout.readline() == "leads\n"
    base.log(1)
    assert not base.followers.stats().followers[0].is_leader
    os.kill(leader.pid, signal.SIGKILL)
    leader.wait()

    eventually(lambda: base.followers.stats().followers[0].is_leader)
    assert base.followers.flush(60)
    assert stored(tmp_path) == (2, 2)
