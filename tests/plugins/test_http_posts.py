"""
Finished runs on their way to a webhook, whatever it does.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3

import pytest
from agents import finish, start_agent
from badserver import TIMEOUT_S, BadServer

from telemetry.client import TelemetryClient
from telemetry.config import Secret
from telemetry.model.codec import decode_line, encode_line
from telemetry.model.errors import (
    OutOfTimeError,
    PausedSinkError,
    PermanentSinkError,
    TransientSinkError,
)
from telemetry.model.fold import Fold
from telemetry.model.run import COLUMNS, Group
from telemetry.runtime.deadletters import read_dead_letters
from telemetry.sinks import Cursor
from telemetry.storage.attempts import Attempt, Attempts
from telemetry.testing import SinkConformance, sample_records
from telemetry_plugins.http import finished, posts
from telemetry_plugins.http.posts import PostsSink
from telemetry_plugins.ndjson import NdjsonJournal

NOWHERE = Cursor("", 0)
TOKEN = "canary-0123456789"
WHEN = "2026-11-22T12:00:00.000000Z"
#: Keys of the original's body that every finished run has.
ALWAYS = {
    *("run_id", "agent_name", "job_type", "trigger_type", "start_time", "status", "end_time"),
    *("items_discovered", "items_succeeded", "items_failed", "duration_ms", "host"),
}


def run_line(number, change, *, event_id="e-1", **body):
    return decode_line(
        encode_line(
            "run",
            id=f"00000000000000aa-{number}",
            timestamp=f"2026-11-22T12:00:{number:02d}.000000Z",
            event_id=event_id,
            run_id=f"run-{event_id}",
            change=change,
            body=body,
        )
    )


def whole(number, change, status="success", **body):
    return run_line(
        number,
        change,
        agent_name="agent",
        job_type="job",
        start_time=WHEN,
        status=status,
        end_time=WHEN,
        **body,
    )


def rows(config, sql):
    with contextlib.closing(sqlite3.connect(config.db_path)) as connection:
        return connection.execute(sql).fetchall()


class Desk:
    """
    What a process offers to a sink, kept for the test to see.
    """

    def __init__(self):
        self.recorded = []
        self.known = {}
        self.left_s = None
        self.journal = {}

    def record(self, change, event_id, run_id, fields):
        self.recorded.append((change.value, event_id, run_id, dict(fields)))

    def recall(self, event_id):
        return self.known.get(event_id) or Fold()

    def sizes(self):
        return self.journal

    def time_left_s(self):
        return self.left_s


@pytest.fixture
def make_sink(server, tmp_path):
    made = []

    def make(desk=None, token=TOKEN, timeout_s=5):
        made.append(
            PostsSink(f"{server.url}/hook", Secret(token), tmp_path / "state", timeout_s=timeout_s)
        )
        if desk is not None:
            made[-1].attach(desk)
        return made[-1]

    yield make
    for sink in made:
        sink.close()


class TestPostsSink(SinkConformance):
    @pytest.fixture(autouse=True)
    def _serve(self, server):
        self.server = server

    def make_sink(self, base):
        url = f"{self.server.url}/{base.name}"
        return PostsSink(url, Secret(), base / "state", timeout_s=10)

    def delivered(self, base):
        ends = {r.event_id: r.id for r in sample_records(9) if r.change == "ended"}
        paths = (request for request in self.server.seen() if base.name in request.path)
        return [ends[key] for request in paths for key in request.kept]

    def is_shown(self, record):
        return record.change == "ended"


def test_a_finished_run_is_posted_as_one_object(server, make_config):
    """
    Under the columns' names, without what has no value; the run's row says that it was posted.
    """
    config = make_config(METRICS_API_URL=f"{server.url}/exec", METRICS_API_TOKEN=TOKEN)
    client = TelemetryClient(config)
    with client.track_run("agent", "job", product="p") as run:
        run.set_metrics(
            items_discovered=3, metrics_json={"depth": [1]}, error_details="at /home/me"
        )
    assert client.flush(TIMEOUT_S)
    assert client.flush(TIMEOUT_S)
    client.close()

    (request,) = server.seen()
    body = request.json()
    assert (request.path, request.headers["content-type"]) == ("/exec", "application/json")
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["idempotency-key"] == body["event_id"]
    assert body.keys() >= ALWAYS
    assert (body["status"], body["items_discovered"], body["product"]) == ("success", 3, "p")
    assert body["metrics_json"] == {"depth": [1]}
    assert (
        not {"error_details", "pid", "work_dir", "api_posted", "schema_version", "website"}
        & body.keys()
    )
    (row,) = rows(config, "SELECT api_posted, api_posted_at, api_retry_count FROM agent_runs")
    assert (row[0], bool(row[1]), row[2]) == (1, True, 0)


def test_the_body_derives_from_the_columns():
    """
    Every field of a run is posted but delivery, bookkeeping and what stays on its machine.
    """
    posted = {column.name for column in finished._POSTED}
    left_out = COLUMNS.keys() - posted

    assert posted > ALWAYS
    assert {COLUMNS[name].group for name in left_out - finished._LOCAL} == {
        Group.DELIVERY,
        Group.BOOKKEEPING,
    }
    assert left_out > finished._LOCAL


DONE, AGAIN, PAUSED, REFUSED = None, TransientSinkError, PausedSinkError, PermanentSinkError


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, DONE) for status in (200, 201, 202, 203, 204, 205, 206, 207, 226, 302, 303)),
        *(
            (status, AGAIN)
            for status in (199, 408, 425, 429, 500, 501, 502, 503, 504, 507, 520, 599)
        ),
        *((status, PAUSED) for status in (300, 301, 304, 305, 307, 308, 401, 403)),
        *((status, REFUSED) for status in (400, 402, 404, 405, 406, 409, 410, 411, 412, 413, 414)),
        *((status, REFUSED) for status in (415, 418, 421, 422, 423, 426, 428, 431, 451)),
    ],
)
def test_what_a_status_means(status, expected, server, make_sink):
    """
    Each 2xx, and a redirect after processing, is success.

    What may pass is tried again; a wrong address or token waits for a person; any other refusal is
    that run's.
    """
    headers = {"Location": "https://new.example/hook"} if status // 100 == 3 else {}
    empty = status in {199, 204, 304}
    server.will(
        {
            "do": "answer",
            "status": status,
            "headers": {**headers, **({"Content-Length": "0"} if empty else {})},
            "body": "" if empty else f"said {TOKEN}",
        }
    )
    sink = make_sink()
    batch = [whole(1, "ended")]

    if expected is None:
        sink.write(batch, NOWHERE)
        sink.write(batch, NOWHERE)
    else:
        with pytest.raises(expected) as caught:
            sink.write(batch, NOWHERE)
        said = str(caught.value) + str(getattr(caught.value, "reasons", ""))
        assert TOKEN not in said
        assert ("new.example" in said) == (expected is PAUSED and status not in {401, 403})
        if expected is REFUSED:
            assert caught.value.reasons.keys() == {batch[0].id}
            sink.write([], NOWHERE)
    assert len(server.seen()) == 1


@pytest.mark.parametrize(
    "bad",
    [
        {"do": "answer", "status": 503, "headers": {"Retry-After": "0"}},
        {"do": "garbage"},
        {"do": "reset"},
        {"do": "hang"},
        {"do": "mute"},
        {"do": "drip_head"},
    ],
    ids=lambda bad: bad["do"],
)
def test_a_misbehaving_server_is_tried_until_it_takes_each_run(bad, server, make_config, hurried):
    """
    None is lost, none that it took is sent again, and the rows say how often each was tried.
    """
    server.will(bad, {"do": "answer"}, bad)
    # Only a server that says nothing is worth waiting for the end of.
    limit = "1" if bad["do"] in {"hang", "mute", "drip_head"} else "30"
    config = make_config(METRICS_API_URL=server.url, TELEMETRY_HTTP_TIMEOUT_S=limit)
    client = TelemetryClient(config)
    for number in range(4):
        with client.track_run("agent", "job", item_name=f"run-{number}"):
            pass
    assert client.flush(TIMEOUT_S)
    assert client.flush(TIMEOUT_S)
    client.close()

    kept = server.kept()
    assert kept == [
        event_id for (event_id,) in rows(config, "SELECT event_id FROM agent_runs ORDER BY rowid")
    ]
    assert rows(config, "SELECT sum(api_posted), sum(api_retry_count) FROM agent_runs") == [(4, 2)]


@pytest.mark.parametrize("bad", ["drip_body", "endless", "short", "long", "farewell"])
def test_a_status_is_enough(bad, server, make_sink):
    """
    A run whose 2xx has come is posted, whatever follows it.
    """
    server.will({"do": bad, "keeps": True})
    sink = make_sink(timeout_s=1 if bad == "drip_body" else 5)
    sink.write([whole(1, "ended")], NOWHERE)
    sink.write([whole(1, "ended")], NOWHERE)

    assert server.kept() == ["e-1"]


def test_an_answer_that_was_lost_is_asked_for_under_the_same_key(server, make_sink):
    """
    The one run whose answer is not known is sent once more; a server that knows keys has it once.
    """
    server.will({"do": "reset", "keeps": True})
    sink = make_sink()
    with pytest.raises(TransientSinkError):
        sink.write([whole(1, "ended")], NOWHERE)
    sink.write([whole(1, "ended")], NOWHERE)

    assert server.kept() == ["e-1", "e-1"]


def test_a_disabled_api_gets_not_one_packet(server, make_config):
    """
    METRICS_API_ENABLED=false: no sink, no connection; without an address likewise.
    """
    for variables in ({"METRICS_API_URL": server.url, "METRICS_API_ENABLED": "false"}, {}):
        client = TelemetryClient(make_config(**variables))
        with client.track_run("agent", "job"):
            pass
        assert client.flush(TIMEOUT_S)
        names = [sink.name for sink in client._runtime.sinks]
        client.close()
        assert not {"http_posts", "http_records"} & set(names)

    server.seen()
    assert server.connection_count == 0


def test_refused_runs_lie_among_the_dead_letters(server, make_config):
    """
    Each with the server's words; the others are posted once.
    """
    bad = {"do": "answer", "status": 422, "body": "no such sheet"}
    server.will(bad, {"do": "answer"}, bad)
    config = make_config(METRICS_API_URL=server.url)
    client = TelemetryClient(config)
    for number in range(4):
        with client.track_run("agent", "job", item_name=f"run-{number}"):
            pass
    assert client.flush(TIMEOUT_S)
    assert client.flush(TIMEOUT_S)
    client.close()

    letters = list(read_dead_letters(config.state_dir / "dead" / "http_posts.ndjson"))
    assert [letter.reason for letter in letters] == ["422: no such sheet"] * 2
    assert [json.loads(letter.line)["item_name"] for letter in letters] == ["run-0", "run-2"]
    assert len(server.seen()) == 4
    posted = rows(config, "SELECT item_name FROM agent_runs WHERE api_posted ORDER BY item_name")
    assert posted == [("run-1",), ("run-3",)]


def test_what_gives_a_run_its_end_posts_it(server, make_sink):
    """
    Its agent, the API, the reaper, a person; not a start, an update or a run that goes on.
    """
    sink = make_sink()
    sink.write(
        [
            run_line(1, "started", event_id="a", agent_name="x", status="running"),
            run_line(2, "updated", event_id="a", items_failed=2),
            run_line(3, "recorded", event_id="b", agent_name="x", status="running"),
            run_line(4, "recorded", event_id="c", agent_name="x", status="failed"),
            run_line(5, "started", event_id="d", agent_name="x", status="running"),
            run_line(6, "inferred", event_id="d", status="cancelled"),
            run_line(7, "started", event_id="f", agent_name="x", status="running"),
            run_line(8, "edited", event_id="f", status="cancelled", base_status="running"),
            run_line(9, "edited", event_id="b", output_summary="still going"),
        ],
        NOWHERE,
    )
    sink.write([run_line(10, "ended", event_id="a", status="success")], NOWHERE)
    sink.write([run_line(11, "recorded", event_id="b", status="partial")], NOWHERE)

    posted = [(r.json()["event_id"], r.json()["status"]) for r in server.seen()]
    assert posted == [
        ("c", "failed"), ("d", "cancelled"), ("f", "cancelled"), ("a", "success"), ("b", "partial"),
    ]  # fmt: skip
    assert server.requests[3].json()["items_failed"] == 2


@pytest.mark.parametrize(
    ("status", "keys"), [("cancelled", ["e-1"]), ("success", ["e-1", "e-1.success"])]
)
def test_a_real_end_after_an_inferred_one(status, keys, server, make_sink):
    """
    Is posted if it tells another story, under a key of its own; also by the next process.
    """
    first = make_sink()
    first.write(
        [whole(1, "started", "running"), run_line(2, "inferred", status="cancelled")], NOWHERE
    )
    second = make_sink()
    for _ in range(2):
        second.write([whole(3, "ended", status)], NOWHERE)

    assert server.kept() == keys


def test_a_run_that_says_it_was_posted_is_not(server, make_sink):
    """
    By its own record, or by what is known of it from before; a deleted one neither.
    """
    desk = Desk()
    desk.known["known"] = Fold()
    desk.known["known"].apply(run_line(1, "posted", event_id="known", api_posted=True))
    desk.known["gone"] = Fold()
    desk.known["gone"].apply(run_line(2, "deleted", event_id="gone"))
    sink = make_sink(desk)
    sink.write(
        [
            run_line(
                3, "recorded", event_id="said", agent_name="x", status="failed", api_posted=True
            ),
            run_line(4, "ended", event_id="known", status="failed"),
            run_line(5, "ended", event_id="gone", status="failed"),
        ],
        NOWHERE,
    )

    assert server.seen() == []


def test_what_was_recorded_before_this_process_is_posted_too(server, make_config):
    """
    A run that one process starts, another leaves behind and a third ends: one whole object.
    """
    config = make_config(METRICS_API_URL=server.url)
    first = TelemetryClient(config)
    run_id = first.start_run("agent", "job", product="p")
    assert first.flush(TIMEOUT_S)
    first._runtime.runs.after_fork()
    first.close()
    second = TelemetryClient(config)
    second.end_run(run_id, status="failed")
    assert second.flush(TIMEOUT_S)
    second.close()

    (request,) = server.seen()
    assert request.json().keys() >= {"agent_name", "product", "start_time", "end_time"}


def test_without_a_database_the_journal_is_searched(server, make_config):
    """
    The sink needs no other sink.
    """
    config = make_config(METRICS_API_URL=server.url, TELEMETRY_PLUGINS_DISABLED="sqlite,git_linker")
    first = TelemetryClient(config)
    run_id = first.start_run("agent", "job", product="p")
    event_id = first._runtime.find(run_id)
    assert first.flush(TIMEOUT_S)
    first._runtime.runs.after_fork()
    first.close()
    second = TelemetryClient(config)
    second._runtime.recorder.end_elsewhere(event_id, run_id, _outcome("failed"), {})
    assert second.flush(TIMEOUT_S)
    second.close()

    (request,) = server.seen()
    assert (request.json()["product"], request.json()["status"]) == ("p", "failed")


def _outcome(status):
    from telemetry.model.outcomes import Outcome
    from telemetry.model.run import Status

    return Outcome(Status(status))


def test_what_was_posted_and_not_said_is_said(server, make_sink, tmp_path):
    """
    A process killed between the answer and the journal: nothing is sent again, the row is told.
    """
    known = Attempt("e-1", count=3, posted_at=WHEN, status="success")
    Attempts(tmp_path / "state", "http_posts").put(known)
    desk = Desk()
    sink = make_sink(desk)
    for _ in range(2):
        sink.write([whole(1, "ended")], NOWHERE)

    said = {"api_posted": True, "api_posted_at": WHEN, "api_retry_count": 2}
    assert desk.recorded == [("posted", "e-1", "run-e-1", said)]
    assert server.seen() == []


def test_tries_are_counted_across_processes(server, make_sink):
    """
    A try is written down before it is made.
    """
    server.will(*[{"do": "answer", "status": 503}] * 3)
    desk = Desk()
    for _ in range(3):
        with pytest.raises(TransientSinkError):
            make_sink(desk).write([whole(1, "ended")], NOWHERE)
    make_sink(desk).write([whole(1, "ended")], NOWHERE)

    assert [fields["api_retry_count"] for *_, fields in desk.recorded] == [3]


def test_what_cannot_be_written_down_is_not_sent(server, make_sink, tmp_path):
    """
    Else it would be sent again and again.
    """
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "posts").write_text("")

    with pytest.raises(OSError, match="posts"):
        make_sink().write([whole(1, "ended")], NOWHERE)
    assert server.seen() == []


def test_another_process_in_between_is_noticed(server, make_sink):
    """
    What one knows of open runs is not all, once the cursor has moved without it.
    """
    desk = Desk()
    sink = make_sink(desk)
    sink.write([whole(1, "started", "running")], Cursor("s", 100, start=0))
    desk.known["e-1"] = Fold()
    for record in (whole(1, "started", "running"), run_line(2, "updated", item_name="found")):
        desk.known["e-1"].apply(record)
    sink.write([run_line(3, "ended", status="success")], Cursor("s", 300, start=200))

    (request,) = server.seen()
    assert request.json()["item_name"] == "found"


def test_a_strange_key_is_sent_as_visible_characters(server, make_sink):
    """
    Whatever a caller calls its run, the header is one line of ASCII.
    """
    record = run_line(1, "recorded", event_id="ü x\r\nX: 1", agent_name="a", status="failed")
    make_sink().write([record], NOWHERE)

    assert server.seen()[0].headers["idempotency-key"] == "%C3%BC%20x%0D%0AX%3A%201"


def test_an_agent_never_notices_a_silent_server(server, make_config):
    """
    Its runs end as they ended, its exit keeps to the budget, and later processes post the rest.
    """
    server.will(then={"do": "hang"})
    config = make_config()
    environ = {
        "TELEMETRY_BASE_DIR": str(config.base_dir),
        "METRICS_API_URL": server.url,
        "TELEMETRY_EXIT_TIMEOUT_S": "0.3",
    }
    for _ in range(2):
        out, err = finish(start_agent(environ, 3))
        assert (out, "Traceback" in err) == ("recorded\n", False)
    server.close()
    with BadServer() as healed:
        environ.update(METRICS_API_URL=healed.url, TELEMETRY_EXIT_TIMEOUT_S=str(TIMEOUT_S))
        for _ in range(2):
            finish(start_agent(environ, 1))
        client = TelemetryClient(config)
        assert client.catch_up(TIMEOUT_S)
        client.close()

        kept = healed.kept()
        assert len(kept) == len(set(kept)) == 8
        assert rows(
            config, "SELECT count(*), sum(api_posted), count(DISTINCT status) FROM agent_runs"
        ) == [(8, 8, 1)]


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_an_agent_killed_in_mid_post_repeats_that_run_only(server, make_config):
    """
    Under the same key; all others arrive once.
    """
    server.will({"do": "answer"}, {"do": "hang", "keeps": True})
    config = make_config()
    environ = {"TELEMETRY_BASE_DIR": str(config.base_dir), "METRICS_API_URL": server.url}
    killed = start_agent(environ, 5, "stay")
    assert killed.stdout.readline() == "recorded\n"
    server.wait_for(2)
    killed.kill()
    killed.communicate()
    in_flight = server.kept()[1]
    environ["TELEMETRY_EXIT_TIMEOUT_S"] = str(TIMEOUT_S)
    finish(start_agent(environ, 1))

    kept = server.kept()
    assert len(set(kept)) == 6
    assert [key for key in kept if kept.count(key) > 1] == [in_flight, in_flight]


def test_two_agents_of_one_directory_post_each_run_once(server, make_config):
    """
    One of them leads, and posts for both.
    """
    config = make_config()
    environ = {"TELEMETRY_BASE_DIR": str(config.base_dir), "METRICS_API_URL": server.url}
    # Long enough for the slowest machine: an exit that is over cuts a request off.
    environ["TELEMETRY_EXIT_TIMEOUT_S"] = str(TIMEOUT_S)
    for process in [start_agent(environ, 10) for _ in range(2)]:
        finish(process)
    finish(start_agent(environ, 1))

    kept = server.kept()
    assert len(kept) == len(set(kept)) == 21


def test_a_paused_sink_says_so_once(server, make_config, hurried, capsys):
    """
    A wrong token is one warning, however often it is asked again, and everything is kept.
    """
    server.will(then={"do": "answer", "status": 401})
    config = make_config(METRICS_API_URL=server.url, METRICS_API_TOKEN=TOKEN)
    client = TelemetryClient(config)
    with client.track_run("agent", "job"):
        pass
    for _ in range(3):
        assert not client.flush(TIMEOUT_S)
    server.will(then={"do": "answer"})
    assert client.flush(TIMEOUT_S)
    client.close()

    said = capsys.readouterr().err
    assert said.count("METRICS_API_TOKEN") == 1
    assert TOKEN not in said
    assert len(server.kept()) == 1


def test_a_child_process_posts_on_its_own(server, make_sink):
    """
    Over a connection of its own, and by what is written down.
    """
    sink = make_sink()
    sink.write([whole(1, "ended")], NOWHERE)
    sink.after_fork()
    sink.write([whole(2, "ended", event_id="e-2")], NOWHERE)
    server.seen()

    assert server.kept() == ["e-1", "e-2"]
    assert server.connection_count == 2


def test_more_open_runs_than_are_remembered(server, make_sink, monkeypatch):
    """
    What is known of the oldest is asked for at its end.
    """
    monkeypatch.setattr(finished, "MAX_OPEN_RUNS", 1)
    monkeypatch.setattr(posts, "MAX_REMEMBERED", 1)
    desk = Desk()
    desk.known["a"] = Fold()
    desk.known["a"].apply(whole(1, "started", "running", event_id="a"))
    sink = make_sink(desk)
    sink.write(
        [whole(n, "started", "running", event_id=key) for n, key in enumerate("ab", 1)], NOWHERE
    )
    for _ in range(2):
        sink.write(
            [run_line(n, "ended", event_id=key, status="failed") for n, key in enumerate("ab", 3)],
            NOWHERE,
        )

    assert [(r.json()["event_id"], r.json()["agent_name"]) for r in server.seen()] == [
        ("a", "agent"),
        ("b", "agent"),
    ]


def test_a_run_that_ends_twice_in_a_batch_is_tried_once(server, make_sink):
    """
    Also where it is refused, and the batch comes again without the record that was buried.
    """
    server.will(then={"do": "answer", "status": 400})
    sink = make_sink()
    batch = [whole(1, "inferred", "cancelled"), whole(2, "ended", "failed")]
    with pytest.raises(PermanentSinkError) as caught:
        sink.write(batch, NOWHERE)
    sink.write([record for record in batch if record.id not in caught.value.record_ids], NOWHERE)

    (request,) = server.seen()
    assert request.json()["status"] == "failed"


def test_a_person_may_reopen_a_run(server, make_sink):
    """
    What runs again is not posted, though its end is in the batch.
    """
    reopened = run_line(3, "edited", status="running", base_status="success", force=True)
    make_sink().write([whole(1, "started", "running"), whole(2, "ended"), reopened], NOWHERE)

    assert server.seen() == []


def test_a_backlog_of_weeks_is_posted_in_order(server, make_config, noon, hurried):
    """
    Day files are read from the first on; a server that fails now and then gets each run once.
    """
    config = make_config(METRICS_API_URL=server.url)
    TelemetryClient(config).close()  # there is an address before there are runs
    journal = NdjsonJournal(config.ndjson_dir)
    for number in range(60):
        second = noon + (number // 6) * 86_400
        for change, status in (("started", "running"), ("ended", "success")):
            record = whole(number % 60, change, status, event_id=f"e-{number}")
            assert journal.append(record.line + b"\n", second)
    journal.close()
    away = {"do": "answer", "status": 503}
    server.will(*[away if number % 7 == 3 else {"do": "answer"} for number in range(40)])
    client = TelemetryClient(config)
    assert client.catch_up(TIMEOUT_S)
    client.close()

    assert len(list(config.ndjson_dir.iterdir())) >= 10
    assert server.kept() == [f"e-{number}" for number in range(60)]


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


def test_a_batch_that_was_there_in_part(server, make_sink):
    """
    Is told apart by time; what lies before it or after it, by its place.
    """
    desk = Desk()
    desk.journal = {"s": 100, "old": 50}
    sink = make_sink(desk)
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


def test_where_it_begins_is_written_down_once(server, make_sink, tmp_path):
    """
    By the first process; a directory from before this was known begins at the beginning.
    """
    desk = Desk()
    desk.journal = {"s": 100}
    make_sink(desk)
    desk.journal = {"s": 200}
    make_sink(desk).write([whole(1, "ended")], Cursor("s", 150, start=100))
    assert server.kept() == ["e-1"]

    (tmp_path / "state" / "posts" / "http_posts.begin.json").unlink()
    (tmp_path / "state" / "cursors").mkdir()
    (tmp_path / "state" / "cursors" / "http_posts.json").write_text("{}")
    make_sink(desk).write([whole(2, "ended", event_id="e-2")], Cursor("s", 180, start=150))
    assert server.kept() == ["e-1", "e-2"]


def test_at_the_exit_no_request_is_begun_that_would_be_cut_off(server, make_sink, tmp_path):
    """
    As long as the last one took, twice; one that never ended counts as the longest there may be.
    """
    desk = Desk()
    sink = make_sink(desk)
    desk.left_s = 0.0
    sink.write([whole(1, "ended")], NOWHERE)  # nothing is known yet
    with pytest.raises(OutOfTimeError):
        sink.write([whole(2, "ended", event_id="e-2")], NOWHERE)
    attempts = Attempts(tmp_path / "state", "http_posts")
    attempts.put(Attempt("e-9", count=1))
    desk.left_s = 4.9
    with pytest.raises(OutOfTimeError):
        make_sink(desk).write([whole(2, "ended", event_id="e-2")], NOWHERE)
    assert server.kept() == ["e-1"]

    desk.left_s = 5.0
    make_sink(desk).write([whole(2, "ended", event_id="e-2")], NOWHERE)
    desk.left_s = 0.0
    os.utime(attempts.path, (1, 1))  # what is known is old
    make_sink(desk).write([whole(3, "ended", event_id="e-3")], NOWHERE)
    assert server.kept() == ["e-1", "e-2", "e-3"]


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
    for _ in range(3):
        finish(start_agent(environ, 1))
    assert len(server.kept()) <= 1
    environ["TELEMETRY_EXIT_TIMEOUT_S"] = str(TIMEOUT_S)
    finish(start_agent(environ, 1))

    assert len(set(server.kept())) == 4
    assert len(server.kept()) <= 5
