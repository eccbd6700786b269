"""
Programs that replace Python's threads, or have none, lose nothing and are not held up.
"""

from __future__ import annotations

import subprocess
import sys

import needs
import pytest

on_cpython = pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="gevent and subinterpreters are CPython's"
)
GEVENT = """
import sys
from gevent import monkey
if sys.argv[1] == "before":
    monkey.patch_all()
from telemetry import TelemetryClient, current_run
if sys.argv[1] == "after":
    monkey.patch_all()
import gevent

client = TelemetryClient(base_dir=sys.argv[2])

def work(number):
    with client.track_run("agent", str(number)) as run:
        for step in range(20):
            run.log_event("step", {"n": step})
            gevent.sleep(0)
            assert current_run() is run

gevent.joinall([gevent.spawn(work, number) for number in range(10)], raise_error=True)
assert client.flush(30)
print(client.get_stats()["status_counts"])
client.close()
"""
SHARED = """
import sys
from pathlib import Path
from gevent import monkey
if sys.argv[1] == "before":
    monkey.patch_all()
from telemetry.runtime import notices
from telemetry.runtime.locks import locked_by_another
from telemetry.runtime.natives import SimpleQueue, allocate_lock, start_thread
from telemetry.storage.handles import Handle
from telemetry_plugins.ndjson import NdjsonJournal
if sys.argv[1] == "after":
    monkey.patch_all()

base = Path(sys.argv[2])
journal = NdjsonJournal(base)
handle = Handle(base / "telemetry.db", lambda: None)
lock = allocate_lock()
ended = SimpleQueue()

def work():
    for _ in range(3000):
        journal.close()
        with handle.held(), lock:
            notices.count("turn")
        locked_by_another(base / "lock")
    ended.put(None)

for _ in range(2):
    start_thread(work, "worker")
work()
for _ in range(3):
    ended.get(timeout=30)
print(notices.counts()["turn"])
"""
SUBINTERPRETER = """
import sys
CODE = '''
from telemetry import TelemetryClient
client = TelemetryClient(base_dir=%r)
with client.track_run("agent", "inside") as run:
    run.log_event("step", {"n": 1})
client.close()
''' % sys.argv[1]
try:
    import _xxsubinterpreters as interpreters
except ImportError:
    import _interpreters as interpreters
    failed = interpreters.exec(interpreters.create("legacy"), CODE)
    assert failed is None, failed
else:
    interpreters.run_string(interpreters.create(isolated=sys.version_info < (3, 12)), CODE)
"""

ISOLATED = '''
import _interpreters as interpreters
DECORATED = """
from telemetry import tracked_run
tracked_run("agent", "job")(int)()
"""
for code in ("from telemetry import TelemetryClient", DECORATED):
    failed = interpreters.exec(interpreters.create("isolated"), code)
    print(failed.type.__name__, failed.msg)
'''


def run(program, *arguments, cwd):
    """
    Run a program and return what it printed; a warning of telemetry's is a failure.
    """
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


@on_cpython
@pytest.mark.parametrize("patched", ["before", "after"])
def test_greenlets_record_and_followers_follow(tmp_path, patched):
    """
    Everything arrives, whenever gevent patches, and greenlets that take turns have their own runs.
    """
    done = run(GEVENT, patched, tmp_path / "base", cwd=tmp_path)

    assert done.stdout == "{'success': 10}\n"
    assert not done.stderr


@on_cpython
@pytest.mark.parametrize("patched", ["before", "after"])
def test_threads_and_greenlets_wait_for_each_other(tmp_path, patched):
    """
    Whoever waits for a lock that another thread holds is woken, whenever gevent patches.
    """
    done = run(SHARED, patched, tmp_path, cwd=tmp_path)

    assert done.stdout == "9000\n"
    assert not done.stderr


@on_cpython
@needs.program("git")
def test_a_repository_holds_up_no_greenlet(tmp_path):
    """
    Git is not asked where processes are waited for by greenlets.
    """
    subprocess.run(["git", "init", "--quiet", str(tmp_path / "work")], check=True)

    done = run(GEVENT, "before", tmp_path / "base", cwd=tmp_path / "work")

    assert not done.stderr


@on_cpython
def test_a_subinterpreter_without_threads_has_its_journal(tmp_path):
    """
    Where an interpreter may start no thread, what it records is in the journal.
    """
    run(SUBINTERPRETER, tmp_path / "base", cwd=tmp_path)

    journal = b"".join(path.read_bytes() for path in (tmp_path / "base" / "raw").iterdir())
    assert journal.count(b'"change":"started"') == 1
    assert journal.count(b'"event_type":"step"') == 1
    assert journal.count(b'"change":"ended"') == 1


@pytest.mark.skipif(sys.version_info < (3, 13), reason="isolated ones can be made since 3.13")
def test_an_isolated_subinterpreter_cannot_record(tmp_path):
    """
    The import of the client, or the call of a decorated function, says that it is refused there.
    """
    done = run(ISOLATED, cwd=tmp_path)

    assert done.stdout.count("ImportError") == 2
    assert done.stdout.count("does not support loading in subinterpreters") == 2
