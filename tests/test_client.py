"""
The client, as its users copy and paste it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import re
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from telemetry import TelemetryClient, current_run, in_context, tracked_run
from telemetry.model.codec import decode_lines
from telemetry.model.ids import run_id_problem
from telemetry.runtime import notices

RUN_ID = re.compile(r"\d{8}T\d{6}Z-my_agent-[0-9a-f]{8}")


@pytest.fixture
def client(tmp_path):
    """
    A client of a directory of its own.
    """
    client = TelemetryClient(base_dir=tmp_path)
    yield client
    client.close()


def rows(client):
    """
    Return the runs in the database by run id, once everything has arrived there.
    """
    assert client.flush(60)
    connection = sqlite3.connect(client.config.db_path)
    connection.row_factory = sqlite3.Row
    try:
        return {row["run_id"]: dict(row) for row in connection.execute("SELECT * FROM agent_runs")}
    finally:
        connection.close()


def records(client):
    """
    Return the journal's records but the segments' own.
    """
    journal = b"".join(path.read_bytes() for path in sorted(client.config.ndjson_dir.iterdir()))
    return [r for r in decode_lines(journal).records if r.record_type != "segment"]


def test_the_readme_block(client):
    """
    A block is a run: its fields are in the row, its events in the journal and the database.
    """
    with client.track_run("my_agent", "process_files") as ctx:
        ctx.log_event("start", {"input": "data.csv"})
        ctx.set_metrics(items_discovered=10, items_succeeded=9, items_failed=1)

    row = rows(client)[ctx.run_id]
    assert RUN_ID.fullmatch(ctx.run_id)
    assert row["event_id"] == ctx.event_id
    assert row["status"] == "success"
    assert (row["items_discovered"], row["items_succeeded"], row["items_failed"]) == (10, 9, 1)
    assert row["end_time"] >= row["start_time"]
    assert [r.payload_value() for r in records(client) if r.event_type == "start"] == [
        {"input": "data.csv"}
    ]


def test_the_readme_start_and_end(client):
    """
    Explicit start and end do what the block does.
    """
    run_id = client.start_run("agent_name", "job_type")
    client.log_event(run_id, "checkpoint", {"step": 1})
    client.end_run(run_id, status="success", items_succeeded=10)

    row = rows(client)[run_id]
    assert (row["status"], row["items_succeeded"]) == ("success", 10)


def test_the_runbook_check(tmp_path, monkeypatch):
    """
    `from_env` and `update_metrics` exist, and do what the runbook prints.
    """
    monkeypatch.setenv("AGENT_METRICS_DIR", str(tmp_path))
    client = TelemetryClient.from_env()
    with client.track_run("test", "healthcheck") as ctx:
        ctx.update_metrics(items_discovered=1)

    assert rows(client)[ctx.run_id]["items_discovered"] == 1
    client.close()


class Unsayable:
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __bool__ = __str__


@pytest.mark.parametrize(
    "name", ["", None, 7, "\ud800", "x" * 100_000, "a/b\\c\0", Unsayable()], ids=type
)
def test_no_agent_name_stops_the_recording(client, name):
    """
    Whatever the agent calls itself, its run is recorded.
    """
    run_id = client.start_run(name, name)
    client.end_run(run_id)

    assert rows(client)[run_id]["status"] == "success"
    assert run_id_problem(run_id) == ""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that are no text")
def test_a_directory_whose_name_is_no_text_is_recorded(client, tmp_path, monkeypatch):
    """
    The bytes of the name cannot be written as JSON; the run is recorded all the same.
    """
    directory = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    Path(directory).mkdir()
    monkeypatch.chdir(directory)
    with client.track_run("my_agent", "job") as ctx:
        pass

    assert rows(client)[ctx.run_id]["work_dir"].startswith(str(tmp_path))


class OddError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("x"), "failed"),
        (TimeoutError("late"), "timeout"),
        (asyncio.TimeoutError(), "timeout"),
        (concurrent.futures.TimeoutError(), "timeout"),
        (subprocess.TimeoutExpired("x", 1), "timeout"),
        (KeyboardInterrupt(), "cancelled"),
        (asyncio.CancelledError(), "cancelled"),
        (concurrent.futures.CancelledError(), "cancelled"),
        (GeneratorExit(), "cancelled"),
        (SystemExit(), "success"),
        (SystemExit(0), "success"),
        (SystemExit(3), "failed"),
        (SystemExit("message"), "failed"),
        (OddError(), "failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_an_exception_is_the_run_s_end(client, error, status):
    """
    Each kind has its status, and goes on as the same object.
    """
    with pytest.raises(BaseException) as caught, client.track_run("my_agent", "job") as ctx:
        raise error

    row = rows(client)[ctx.run_id]
    assert caught.value is error
    assert row["status"] == status
    if status == "failed":
        assert row["error_summary"].startswith(type(error).__name__)
        assert "Traceback" in row["error_details"]


def test_a_secret_in_an_exception_is_not_stored(client, tmp_path):
    """
    Neither summary nor traceback nor the journal's bytes hold it.
    """
    secret = "sk-" + "a1B2c3D4" * 5
    with pytest.raises(ValueError, match="sk-"), client.track_run("my_agent", "job"):
        raise ValueError(f"key {secret} refused")
    client.flush(60)

    stored = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert secret.encode() not in stored


def test_an_async_block(client):
    """
    `async with` is the same, and nested runs know their parent.
    """

    async def main():
        outer_run, inner_run = (client.track_run("my_agent", name) for name in ("outer", "inner"))
        async with outer_run as outer, inner_run as inner:
            return outer, inner

    outer, inner = asyncio.run(main())

    stored = rows(client)
    assert stored[inner.run_id]["parent_run_id"] == outer.run_id
    assert stored[inner.run_id]["trace_id"] == stored[outer.run_id]["trace_id"]
    assert stored[outer.run_id]["parent_run_id"] is None


def test_unknown_fields_are_kept_with_a_hint(client, capfd):
    """
    A misspelt name is not lost, and the warning suggests the right one, once.
    """
    with client.track_run("my_agent", "job", items_discoverd=4) as ctx:
        ctx.set_metrics(items_discoverd=5, my_own={"a": 1})

    assert rows(client)[ctx.run_id]["context_json"] == '{"items_discoverd":5,"my_own":{"a":1}}'
    assert capfd.readouterr().err.count("did you mean 'items_discovered'?") == 1


@pytest.mark.parametrize("name", ["to_dict", "__class__", "run_id", "event_id", "log_event"])
def test_no_field_name_breaks_the_run(client, name):
    """
    Whatever a metric is called, the run goes on and ends.
    """
    with client.track_run("my_agent", "job") as ctx:
        ctx.set_metrics(**{name: 3})
        ctx.log_event("after")

    assert rows(client)[ctx.run_id]["status"] == "success"


@pytest.mark.parametrize("value", [-1, 2**63, "many", float("nan"), object()])
def test_a_counter_that_cannot_be_is_left_out(client, value):
    """
    The rest of the call is recorded.
    """
    with client.track_run("my_agent", "job") as ctx:
        ctx.set_metrics(items_failed=value, items_succeeded=2)

    row = rows(client)[ctx.run_id]
    assert row["items_succeeded"] == 2
    assert row["items_failed"] == 0


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("failure", "failed"),
        (" Completed ", "success"),
        ("canceled", "cancelled"),
        ("odd", "failed"),
    ],
)
def test_a_status_is_understood_as_people_spell_it(client, given, stored):
    """
    Aliases are understood and never stored; what nobody knows is a failure.
    """
    run_id = client.start_run("my_agent", "job")
    client.end_run(run_id, status=given)

    assert rows(client)[run_id]["status"] == stored


def test_the_log_level_silences_warnings(tmp_path, monkeypatch, capfd):
    """
    With TELEMETRY_LOG_LEVEL=ERROR a warning is not said, and all else is as before.
    """
    monkeypatch.setenv("TELEMETRY_LOG_LEVEL", "ERROR")
    client = TelemetryClient(base_dir=tmp_path)
    with client.track_run("my_agent", "job", items_discoverd=4) as ctx:
        pass

    assert rows(client)[ctx.run_id]["status"] == "success"
    assert capfd.readouterr().err == ""
    client.close()
    notices.set_level("WARNING")


def test_a_second_end_changes_nothing(client, capfd):
    """
    The first end stands, and there is one warning.
    """
    run_id = client.start_run("my_agent", "job")
    client.end_run(run_id, status="partial", items_failed=1)
    client.end_run(run_id, status="success", items_failed=0)

    row = rows(client)[run_id]
    assert (row["status"], row["items_failed"]) == ("partial", 1)
    assert "must be ended once" in capfd.readouterr().err


def test_an_unknown_run_is_a_warning(client, capfd):
    """
    Ending what nobody began records nothing; an event of it is kept by its run id.
    """
    client.end_run("nobody's", status="success")
    client.log_event("nobody's", "stray", {"a": 1})

    assert "run_id must be" in capfd.readouterr().err
    assert [(r.run_id, r.event_type) for r in records(client)] == [("nobody's", "stray")]
    assert rows(client) == {}


@pytest.mark.parametrize(
    "own",
    ["", "  ", "x" * 256, "a/b", "a\\b", "a\0b", "a\ud800", 7],
    ids=lambda own: repr(own)[:12],
)
def test_a_run_id_that_cannot_be_is_replaced(client, own):
    """
    The run is recorded under a new id.
    """
    run_id = client.start_run("my_agent", "job", run_id=own)
    client.end_run(run_id)

    assert RUN_ID.fullmatch(run_id)
    assert rows(client)[run_id]["status"] == "success"


def test_a_block_takes_a_run_id_too(client):
    """
    Both ways to start a run take an id of the caller's own.
    """
    with client.track_run("my_agent", "job", run_id="mine") as run:
        assert run.run_id == "mine"

    assert rows(client)["mine"]["status"] == "success"


def test_a_run_id_in_use_is_told_apart(client):
    """
    Two open runs of one id are two runs.
    """
    first = client.start_run("my_agent", "job", run_id="mine")
    second = client.start_run("my_agent", "job", run_id="mine")
    client.end_run(first, status="failed")
    client.end_run(second)

    stored = rows(client)
    assert first == "mine"
    assert re.fullmatch(r"mine-duplicate-[0-9a-f]{8}", second)
    assert (stored[first]["status"], stored[second]["status"]) == ("failed", "success")


OTHER_PROCESS = """
import sys
from telemetry import TelemetryClient
client = TelemetryClient(base_dir=sys.argv[1])
client.log_event(sys.argv[2], "from elsewhere")
client.end_run(sys.argv[2], status="partial", items_failed=2)
print(client.associate_commit(sys.argv[2], "A1B2C3D4", "ci", "Me <me@example.org>"))
client.close()
"""


def test_another_process_ends_a_run_and_links_its_commit(client, tmp_path):
    """
    A run belongs to the base directory, not to the process that began it.
    """
    run_id = client.start_run("my_agent", "job", items_discovered=3)
    client.flush(60)
    done = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS, str(tmp_path), run_id],
        check=True,
        capture_output=True,
        text=True,
    )

    row = rows(client)[run_id]
    assert done.stdout.startswith("(True,")
    assert done.stderr == ""
    assert (row["status"], row["items_discovered"], row["items_failed"]) == ("partial", 3, 2)
    assert (row["git_commit_hash"], row["git_commit_source"]) == ("a1b2c3d4", "ci")


@pytest.mark.parametrize(
    ("commit_hash", "source", "problem"),
    [
        ("xyz", "llm", "commit_hash must be 7 to 40 hex digits"),
        ("a" * 41, "llm", "commit_hash must be 7 to 40 hex digits"),
        ("a1b2c3d", "robot", "commit_source must be one of manual, llm, ci"),
    ],
)
def test_a_commit_that_cannot_be_is_refused_with_reason(client, commit_hash, source, problem):
    """
    Nothing is recorded, and the answer names the rule and the value.
    """
    run_id = client.start_run("my_agent", "job")

    linked, message = client.associate_commit(run_id, commit_hash, source)

    assert not linked
    assert message.startswith(problem)
    assert client.associate_commit("nobody's", "a1b2c3d", "llm")[0] is False
    client.end_run(run_id)


def test_a_finished_run_is_linked_too(client):
    """
    One commits after the run, so that must work.
    """
    with client.track_run("my_agent", "job") as ctx:
        pass
    assert client.associate_commit(ctx.run_id, "a1b2c3d", "manual") == (
        True,
        f"commit a1b2c3d is linked to run {ctx.run_id}",
    )

    assert rows(client)[ctx.run_id]["git_commit_hash"] == "a1b2c3d"


def test_stats_count_what_was_recorded(client):
    """
    Totals, by status and by agent.
    """
    with client.track_run("my_agent", "job"):
        pass
    client.start_run("other", "job")

    stats = client.get_stats()

    assert stats["total_runs"] == 2
    assert stats["status_counts"] == {"success": 1, "running": 1}
    assert stats["agents"] == {"my_agent": 1, "other": 1}
    assert stats["recent_24h"] == 2
    assert stats["pending_api_posts"] == 1


def test_outside_of_a_run_everything_is_harmless():
    """
    `current_run` has the same methods, and does nothing.
    """
    run = current_run()

    run.log_event("nothing", {"a": 1})
    run.set_metrics(items_failed=1)
    run.update_metrics(items_failed=1)
    assert not run
    assert run.environ({"A": "1"}) == {"A": "1"}
    assert run.associate_commit("a1b2c3d", "llm")[0] is False


def test_a_thread_knows_its_run_if_it_is_told(client):
    """
    A thread of its own has no run; a function bound by `in_context` has its maker's.
    """
    seen = {}

    def look(name):
        seen[name] = current_run().run_id

    with client.track_run("my_agent", "job") as ctx:
        bound = in_context(look)
        for target, name in ((look, "bare"), (bound, "bound")):
            thread = threading.Thread(target=target, args=(name,))
            thread.start()
            thread.join()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(bound, ["a", "b", "c", "d"]))

    assert seen.pop("bare") == ""
    assert set(seen.values()) == {ctx.run_id}


CHILD = """
import sys
from telemetry import TelemetryClient
with TelemetryClient(base_dir=sys.argv[1]).track_run("child", "job"):
    pass
"""


def test_a_child_process_is_nested(client, tmp_path):
    """
    `environ` hands the run down, by the library's own variable and by W3C's.
    """
    with client.track_run("my_agent", "job") as ctx:
        subprocess.run([sys.executable, "-c", CHILD, str(tmp_path)], check=True, env=ctx.environ())

    child = next(row for row in rows(client).values() if row["agent_name"] == "child")
    assert child["parent_run_id"] == ctx.run_id
    assert child["trace_id"] == ctx.trace_id
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", ctx.environ()["TRACEPARENT"])


PARENT = """
import subprocess, sys
from telemetry import TelemetryClient
with TelemetryClient(base_dir=sys.argv[1]).track_run("gr\\xf6\\xdfe", "job") as run:
    subprocess.run([sys.executable, "-c", sys.argv[2], sys.argv[1]], check=True, env=run.environ())
"""


@pytest.mark.skipif(os.name != "posix", reason="only POSIX has an environment of bytes")
def test_a_run_id_that_the_locale_lacks_is_handed_down(client, tmp_path):
    """
    Where the locale knows ASCII alone, a child process starts all the same, and is nested.
    """
    poor = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", PARENT, str(tmp_path), CHILD], check=True, env=poor)

    runs = {row["agent_name"]: row for row in rows(client).values()}
    assert runs["child"]["parent_run_id"] == runs["gr\xf6\xdfe"]["run_id"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_does_not_end_its_parent_s_run(client):
    """
    The child leaves the block too, with an exit of its own; the run ends once, as the parent says.
    """
    with client.track_run("my_agent", "job") as ctx:
        child = os.fork()
        if child == 0:
            try:
                with client.track_run("my_agent", "in the child"):
                    sys.exit(3)
            except SystemExit:
                ctx.__exit__(SystemExit, SystemExit(3), None)
            finally:
                os._exit(0)
        os.waitpid(child, 0)

    ends = [r for r in records(client) if r.change == "ended" and r.run_id == ctx.run_id]
    stored = rows(client)
    assert len(ends) == 1
    assert stored[ctx.run_id]["status"] == "success"
    nested = next(row for row in stored.values() if row["job_type"] == "in the child")
    assert (nested["status"], nested["parent_run_id"]) == ("failed", ctx.run_id)
    recorded = records(client)
    assert len({r.id for r in recorded}) == len(recorded)


def test_arguments_and_results_only_when_asked_for(client):
    """
    By default nothing of a call is kept; asked for, it is, scrubbed.
    """

    @tracked_run("my_agent", "quiet", client=client)
    def quiet(password):
        return password

    @tracked_run("my_agent", "open", client=client, capture_arguments=True, capture_result=True)
    def open_(number, password=""):
        return {"token": password, "number": number}

    quiet("hunter2-hunter2")
    open_(1, password="hunter2-hunter2")

    journal = b"".join(p.read_bytes() for p in client.config.ndjson_dir.iterdir())
    assert b"hunter2" not in journal
    assert [
        (r.event_type, r.payload_value()["number"])
        for r in records(client)
        if r.event_type == "result"
    ] == [("result", 1)]


DESTRUCTORS = """
import gc, sys
from telemetry import TelemetryClient

class Noisy:
    def __init__(self, run):
        self.run, self.self = run, self
    def __del__(self):
        self.run.log_event("collected")

client = TelemetryClient(base_dir=sys.argv[1])
with client.track_run("my_agent", "job") as ctx:
    gc.set_threshold(1)
    for number in range(200):
        Noisy(ctx)
        ctx.log_event("step", {"number": number})
    gc.set_threshold(700)
    gc.collect()
# One that came in the middle of opening the file has waited in memory.
print(client.flush(60))
"""


def test_an_event_may_come_from_a_destructor(client, tmp_path):
    """
    Garbage collection in the middle of a record records too.
    """
    done = subprocess.run(
        [sys.executable, "-c", DESTRUCTORS, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
    )

    recorded = records(client)
    kinds = [r.event_type for r in recorded]
    assert (done.stdout, done.stderr) == ("True\n", "")
    assert kinds.count("step") == 200
    assert kinds.count("collected") == 200
    assert len({r.id for r in recorded}) == len(recorded)
