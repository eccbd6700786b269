from __future__ import annotations

import os
import threading

import pytest

from telemetry import TelemetryClient
from telemetry.model.codec import decode_lines
from telemetry.runtime.forkmark import fork_mark


@pytest.fixture
def client(tmp_path):
    """
    A client that nobody drains.
    """
    client = TelemetryClient(base_dir=tmp_path)
    yield client
    client.close()


def recorded(client):
    """
    Return what the client said: followers find out the repository, before or after an end.
    """
    lines = b"".join(path.read_bytes() for path in client.config.ndjson_dir.glob("events_*"))
    return [
        record
        for record in decode_lines(lines).records
        if record.run_id and not any(name.startswith("git_") for name in record.fields())
    ]


def test_an_end_says_what_the_start_said(client):
    """
    The usual end, the end of a run with fields and the end of a failed one all hold the whole run.
    """
    for fields in ({}, {"items_failed": 1}, {"status": "partial"}, {"work_dir": "/elsewhere"}):
        with pytest.raises(ValueError, match="mine"), client.track_run("a", "job", **fields):
            raise ValueError("mine")
        with client.track_run("a", "job") as run:
            run.set_metrics(**fields)
        client.end_run(client.start_run("a", "job", **fields), error_summary="mine")

    lines = recorded(client)
    assert len(lines) == 4 * 6 + 2
    for started, *_, ended in _runs(lines):
        said = {**started.fields(), "status": None}
        assert {**said, **ended.fields(), "status": None}.keys() >= said.keys()
        assert {"status", "end_time", "duration_ms"} <= ended.fields().keys()
        assert ended.fields()["start_time"] == started.timestamp
        assert ended.fields()["end_time"] == ended.timestamp


def test_what_a_run_sets_of_its_own_end_gives_way(client):
    """
    No field stands twice in a line: the end's own time wins over one that was set before.
    """
    with client.track_run("a", "job") as run:
        run.set_metrics(duration_ms=123_456_789, items_failed=2)

    ended = recorded(client)[-1]
    assert ended.line.count(b'"duration_ms"') == 1
    assert ended.fields()["duration_ms"] < 123_456_789
    assert ended.fields()["items_failed"] == 2


def test_a_caller_has_the_last_word_on_the_end(client):
    """
    What is given with the end wins over what the end finds out.
    """
    client.end_run(client.start_run("a", "job"), duration_ms=5)

    ended = recorded(client)[-1]
    assert ended.line.count(b'"duration_ms"') == 1
    assert ended.fields()["duration_ms"] == 5


def test_a_run_is_nested_in_the_one_around_it(client):
    """
    Threads with runs of their own do not mix parents up.
    """

    def work(name):
        with client.track_run(name, "outer"):
            for _ in range(50):
                client.end_run(client.start_run(name, "inner"))

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", 'b"', "ü")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    fields = [{**record.fields(), "id": record.run_id} for record in recorded(client)]
    outer = {said["agent_name"]: said["id"] for said in fields if said["job_type"] == "outer"}
    inner = [said for said in fields if said["job_type"] == "inner"]
    assert len(inner) == 300
    assert all(said["parent_run_id"] == outer[said["agent_name"]] for said in inner)


def test_a_run_follows_its_process_to_another_directory(client, tmp_path, monkeypatch):
    """
    Each run says where it began.
    """
    seen = []
    for name in ("one", "two", "one"):
        (tmp_path / name).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / name)
        client.start_run("a", "job")
        seen.append(str(tmp_path / name))

    assert [record.fields()["work_dir"] for record in recorded(client)] == seen


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("first", ["event", "start", "end"])
def test_a_child_that_python_knows_nothing_of_is_a_writer_of_its_own(client, first):
    """
    Whatever a child of a C library's fork does first, it draws ids of its own.
    """
    run_id = client.start_run("a", "job")
    emitter, recorder = client._runtime.emitter, client._runtime.recorder
    parent = emitter.writer
    # What such a child finds: all as in the parent, but the mark.
    emitter.mark = fork_mark()
    emitter.event, emitter.record = emitter._compile_event(), emitter._compile_record()
    recorder.after_fork()
    _wipe(emitter.mark)
    calls = {
        "event": lambda: client.log_event(run_id, "x"),
        "start": lambda: client.start_run("a", "job"),
        "end": lambda: client.end_run(run_id),
    }
    calls.pop(first)()
    for call in calls.values():
        call()

    written = [record.writer for record in recorded(client)]
    assert len(written) == 4
    assert written[0] == parent
    assert parent not in written[1:]
    assert len(set(written[1:])) == 1


def _wipe(mark):
    try:
        mark[0] = 0
    except TypeError:
        mark._pid = -1


def _runs(lines):
    """
    Return the records of each run, in order.
    """
    runs = {}
    for line in lines:
        runs.setdefault(line.run_id, []).append(line)
    return runs.values()


def test_a_long_traceback_is_cut_without_a_word(client, capfd):
    """
    Nobody chose how long an exception's text is, so nobody is warned that it was cut.
    """
    with pytest.raises(ValueError, match="x"), client.track_run("a", "job"):
        raise ValueError("x" * 30_000)

    (ended,) = [line.fields() for line in recorded(client) if line.change == "ended"]
    assert (len(ended["error_summary"]), len(ended["error_details"])) == (500, 5000)
    assert capfd.readouterr().err == ""
