"""
What happens to followers when their interpreter ends.
"""

from __future__ import annotations

import sqlite3
import sys

import pytest

PRELUDE = """
import atexit, os, sys, threading, time
from pathlib import Path
from telemetry.config import TelemetryConfig
from telemetry.model.codec import encode_line
from telemetry.model.ids import new_writer
from telemetry.runtime.followers import Followers
from telemetry_plugins.ndjson import NdjsonJournal
from telemetry_plugins.sqlite import SqliteSink

base = Path(sys.argv[1])
config = TelemetryConfig.from_env({}, base_dir=base, exit_timeout_s=float(sys.argv[2]))
journal = NdjsonJournal(config.ndjson_dir)
writer = new_writer()

def log(followers, count):
    for number in range(count):
        journal.append(encode_line(
            "event", id=f"{writer}-{number + 1}", timestamp="2026-11-22T00:42:17.123456Z",
            event_id="e", run_id="r", event_type="step", payload=b"1"), int(time.time()))
        followers.ring()

class Hanging:
    def __init__(self, name):
        self.name = name
    def write(self, batch, cursor):
        time.sleep(600)
    def close(self):
        time.sleep(600)

class Failing(Hanging):
    def write(self, batch, cursor):
        raise ConnectionError
    def close(self):
        pass

print("ready", time.time(), flush=True)
"""


#: As from Python 3.12 on, once the interpreter has begun to end.
SHUT_DOWN = """
begin = threading.Thread.start
def start(thread):
    if thread.name != "telemetry-watcher":
        raise RuntimeError("can't create new thread at interpreter shutdown")
    begin(thread)
threading.Thread.start = start
"""

#: What a program may take, and a budget that it would not live to see the end of.
TIME_LIMIT_S = 60.0
NEVER_S = 600.0


def run(child, code, budget_s=5.0):
    """
    Run a program to its end; return what it printed after the prelude, and stderr.
    """
    process = child(PRELUDE + code, budget_s)
    out, err = process.communicate(timeout=TIME_LIMIT_S)
    assert process.returncode == 0, err
    return out.splitlines()[1:], err


def stored(tmp_path):
    with sqlite3.connect(tmp_path / "db" / "telemetry.sqlite") as connection:
        (count,) = connection.execute("SELECT count(*) FROM run_events").fetchone()
    connection.close()
    return count


def test_a_short_process_delivers_within_its_budget(child, tmp_path):
    """
    A program that records and ends leaves nothing for the next one, and says nothing.
    """
    _, err = run(child, "log(Followers([SqliteSink(config.db_path)], journal, config), 100)")

    assert err == ""
    assert stored(tmp_path) == 100


@pytest.mark.parametrize("closing", ["", "followers.close(0.2)"])
def test_a_sink_that_hangs_in_its_close_does_not_hold_up_the_end(child, tmp_path, closing):
    """
    Nor does one that hangs in a write, also where the program has closed everything before.
    """
    code = f"""
class Careful(Hanging):
    def write(self, batch, cursor):
        pass

followers = Followers([Hanging("net"), Careful("end")], journal, config)
log(followers, 100)
followers.flush(0.5)
{closing}
"""
    _, err = run(child, code, budget_s=0.3)

    assert "Traceback" not in err


def test_a_process_that_ends_before_its_followers_have_threads(child, tmp_path):
    """
    From 3.12 on the interpreter's end allows no new thread; the one that there is delivers.
    """
    code = f"""
{SHUT_DOWN}
log(Followers([Hanging("net"), SqliteSink(config.db_path)], journal, config), 100)
"""
    _, err = run(child, code, budget_s=5.0)

    assert err == ""
    assert stored(tmp_path) == 100


@pytest.mark.parametrize("beginning", ["", SHUT_DOWN], ids=["threads", "no threads"])
def test_what_a_sink_records_at_the_end_is_stored(child, tmp_path, beginning):
    """
    A sink that keeps its cursors with its rows ends last: others may record what they did.
    """
    code = f"""
{beginning}
class Telling(Failing):
    is_done = False
    def write(self, batch, cursor):
        if not self.is_done:
            self.is_done = True
            ending.wait()
            threading.Event().wait(0.3)  # as long as a look into a repository may take
            journal.append(encode_line(
                "event", id=f"{{writer}}-101", timestamp="2026-11-22T00:42:18.123456Z",
                event_id="e", run_id="r", event_type="told", payload=b"1"), int(time.time()))

ending = threading.Event()
followers = Followers([Telling("told"), SqliteSink(config.db_path)], journal, config)
log(followers, 100)
atexit.register(ending.set)
"""
    _, err = run(child, code, budget_s=30.0)

    assert err == ""
    assert stored(tmp_path) == 101


def test_a_process_that_ends_at_once_delivers(child, tmp_path):
    """
    Not even the watcher has come to its work when the program is over.
    """
    code = """
begin = threading.Thread.start
def start(thread):
    run = thread.run
    def late():
        over.wait()
        run()
    if thread.name == "telemetry-watcher":
        thread.run = late
    begin(thread)
over = threading.Event()
threading.Thread.start = start
followers = Followers([SqliteSink(config.db_path)], journal, config)
log(followers, 100)
atexit.register(over.set)
"""
    _, err = run(child, code)

    assert err == ""
    assert stored(tmp_path) == 100


@pytest.mark.parametrize("budget_s", [0.0, 1.0])
def test_hanging_sinks_have_one_budget_together(child, budget_s):
    """
    Four sinks that hang at exit do not wait for a budget each; who has not returned is left behind.
    """
    lines, err = run(
        child,
        """
followers = Followers([Hanging(f"h{n}") for n in range(4)], journal, config)
log(followers, 3)
while sum(one.busy_s > 0 for one in followers.stats().followers) < 4:
    time.sleep(0.001)
began = time.monotonic()
def measure():
    print(time.monotonic() - began, flush=True)
    os._exit(0)
atexit.unregister(measure)
followers.exit()
measure()
""",
        budget_s,
    )

    assert float(lines[0]) < 4
    assert err == ""


def test_an_outage_does_not_delay_the_exit(child):
    """
    A sink that is away is tried once more and left: the journal has everything.
    """
    lines, _ = run(
        child,
        """
followers = Followers([Failing("away")], journal, config)
log(followers, 3)
while followers.stats().followers[0].state.value != "outage":
    time.sleep(0.001)
followers.exit()
print("left")
""",
        NEVER_S,
    )

    assert lines == ["left"]


def test_a_record_of_an_exit_handler_is_stored(child, tmp_path):
    """
    The first record may come while the interpreter ends, where no thread can be started.
    """
    _, err = run(
        child,
        """
followers = Followers([SqliteSink(config.db_path)], journal, config)
atexit.register(followers.exit)
atexit.register(log, followers, 5)
""",
    )

    assert err == ""
    assert stored(tmp_path) == 5


def test_exit_handlers_before_and_after_ours_may_record(child, tmp_path):
    """
    What comes after the last drain is in the journal, for the next process.
    """
    code = """
followers = Followers([SqliteSink(config.db_path)], journal, config)
atexit.register(log, followers, 3)
log(followers, 1)
atexit.register(log, followers, 3)
"""
    _, err = run(child, code)
    assert err == ""
    (segment,) = (tmp_path / "raw").glob("*.ndjson")
    assert segment.read_text().count('"record_type":"event"') == 7


def test_an_external_drainer_leaves_the_exit_alone(child, tmp_path):
    """
    With zero threads, nothing is drained at exit.
    """
    _, err = run(
        child,
        """
os.environ["X"] = "1"
config = TelemetryConfig.from_env({}, base_dir=base, drain="external")
log(Followers([SqliteSink(config.db_path)], journal, config), 5)
print(threading.active_count())
""",
    )

    assert err == ""
    assert not (tmp_path / "db").exists()


def test_many_short_processes_leave_a_sound_database(child, tmp_path):
    """
    Threads may be killed anywhere by the interpreter's end; rows and cursors stay whole.
    """
    total = 8
    for _ in range(total):
        run(child, "log(Followers([SqliteSink(config.db_path)], journal, config), 20)", 0.01)
    run(
        child,
        """
followers = Followers([SqliteSink(config.db_path)], journal, config)
assert followers.catch_up(20)
""",
    )

    assert stored(tmp_path) == total * 20
    with sqlite3.connect(tmp_path / "db" / "telemetry.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


@pytest.mark.skipif(sys.platform == "win32", reason="needs os.kill with SIGKILL")
def test_what_a_killed_process_recorded_reaches_the_next_ones_sinks(child, tmp_path):
    """
    Records of a process that was killed are delivered by whoever comes next.
    """
    process = child(
        PRELUDE
        + """
class Never(Hanging): pass
log(Followers([Never("sqlite")], journal, config), 50)
print("done", flush=True)
time.sleep(60)
""",
        1.0,
    )
    while process.stdout.readline() != "done\n":
        pass
    process.kill()
    process.wait()
    run(child, "assert Followers([SqliteSink(config.db_path)], journal, config).catch_up(20)")

    assert stored(tmp_path) == 50
