"""
Where posting begins, and what is not begun because the process ends.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from agents import WITHOUT_GIT
from badserver import TIMEOUT_S
from servers import clean_env
from webhook import NOWHERE, Desk, whole

from telemetry.client import TelemetryClient
from telemetry.model.codec import decode_line, encode_line
from telemetry.model.errors import OutOfTimeError
from telemetry.runtime.pacing import LINGER_S
from telemetry.sinks import Cursor
from telemetry.storage.attempts import Attempt, Attempts
from telemetry_plugins.ndjson import NdjsonJournal

# Of what is registered for the exit, the last is called first.
SHORT = """
import atexit, time

@atexit.register
def tell():
    print(took)

from telemetry import TelemetryClient
client = TelemetryClient()
begun = time.monotonic()
with client.track_run("agent", "job"):
    pass

@atexit.register
def end():
    global took
    took = time.monotonic() - begun
"""


def test_what_the_journal_had_before_is_passed_over(server, make_config):
    """
    A run that ended before there was an address is not posted; one that was open then is.

    So is what arrives later of earlier times.
    """
    before = TelemetryClient(make_config())
    open_run = before.start_run("agent", "job", product="p")
    with before.track_run("agent", "job"):
        pass
    assert before.flush(TIMEOUT_S)
    client = TelemetryClient(make_config(METRICS_API_URL=server.url))
    assert client.flush(TIMEOUT_S)
    before.end_run(open_run)
    journal = NdjsonJournal(before.config.ndjson_dir)
    assert journal.append(whole(1, "ended").line + b"\n", 1_795_348_800)
    journal.close()
    assert client.flush(TIMEOUT_S)
    client.close()
    before.close()

    posted = {request.json()["run_id"]: request.json() for request in server.seen()}
    assert posted.keys() == {open_run, "run-e-1"}
    assert posted[open_run]["product"] == "p"


def test_a_batch_that_was_there_in_part(server, make_posts):
    """
    Is told apart by time; what lies before it or after it, by its place.
    """
    desk = Desk()
    desk.journal = {"s": 100, "old": 50}
    sink = make_posts(desk)
    old, new = (
        decode_line(
            encode_line(
                "run",
                id=f"00000000000000ab-{year}",
                timestamp=f"{year}-01-01T00:00:00.000000Z",
                event_id=f"e-{year}",
                run_id="run",
                change="ended",
                body={"agent_name": "agent", "status": "failed"},
            )
        )
        for year in (2001, 2099)
    )
    sink.write([whole(1, "ended", event_id="e-0")], Cursor("old", 50, start=0))
    sink.write([old, new], Cursor("s", 200, start=50))
    sink.write([whole(3, "ended", event_id="e-3")], Cursor("s", 300, start=200))
    sink.write([whole(4, "ended", event_id="e-4")], Cursor("fresh", 80, start=0))

    assert server.kept() == ["e-2099", "e-3", "e-4"]


def test_where_it_begins_is_written_down_once(server, make_posts, tmp_path):
    """
    By the first process; a directory from before this was known begins at the beginning.
    """
    desk = Desk()
    desk.journal = {"s": 100}
    make_posts(desk)
    desk.journal = {"s": 200}
    make_posts(desk).write([whole(1, "ended")], Cursor("s", 150, start=100))
    assert server.kept() == ["e-1"]

    (tmp_path / "state" / "posts" / "http_posts.begin.json").unlink()
    (tmp_path / "state" / "cursors").mkdir()
    (tmp_path / "state" / "cursors" / "http_posts.json").write_text("{}")
    make_posts(desk).write([whole(2, "ended", event_id="e-2")], Cursor("s", 180, start=150))
    assert server.kept() == ["e-1", "e-2"]


def test_at_the_exit_no_request_is_begun_that_would_be_cut_off(server, make_posts, tmp_path):
    """
    As long as the last one took, twice; one that never ended counts as the longest there may be.
    """
    desk = Desk()
    sink = make_posts(desk)
    desk.left_s = 0.0
    sink.write([whole(1, "ended")], NOWHERE)  # nothing is known yet
    with pytest.raises(OutOfTimeError):
        sink.write([whole(2, "ended", event_id="e-2")], NOWHERE)
    attempts = Attempts(tmp_path / "state", "http_posts")
    attempts.put(Attempt("e-9", count=1))
    desk.left_s = 4.9
    with pytest.raises(OutOfTimeError):
        make_posts(desk).write([whole(2, "ended", event_id="e-2")], NOWHERE)
    assert server.kept() == ["e-1"]

    desk.left_s = 5.0
    make_posts(desk).write([whole(2, "ended", event_id="e-2")], NOWHERE)
    desk.left_s = 0.0
    os.utime(attempts.path, (1, 1))  # what is known is old
    make_posts(desk).write([whole(3, "ended", event_id="e-3")], NOWHERE)
    assert server.kept() == ["e-1", "e-2", "e-3"]


def short_program(environ):
    """
    Run a program that records a run and ends; return how many seconds it took to come to its end.
    """
    done = subprocess.run(
        [sys.executable, "-c", SHORT],
        env=clean_env(environ["TELEMETRY_BASE_DIR"], **WITHOUT_GIT, **environ),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    return float(done.stdout)


def test_a_slow_webhook_gets_each_run_of_short_programs_once(server, make_config):
    """
    Where an answer takes longer than the exit waits, only the very first request is cut off.
    """
    server.will({"do": "hang", "keeps": True})
    environ = {
        "TELEMETRY_BASE_DIR": str(make_config().base_dir),
        "METRICS_API_URL": server.url,
        "TELEMETRY_EXIT_TIMEOUT_S": "1",
    }
    seconds = [short_program(environ) for _ in range(3)]
    # A program that the machine holds up posts before its end.
    assert len(server.kept()) <= 1 or max(seconds) > LINGER_S
    environ["TELEMETRY_EXIT_TIMEOUT_S"] = str(TIMEOUT_S)
    short_program(environ)

    assert len(set(server.kept())) == 4
    assert len(server.kept()) <= 5
