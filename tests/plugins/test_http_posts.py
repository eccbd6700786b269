"""
Finished runs on their way to a webhook, whatever it does.
"""

from __future__ import annotations

import json
import os

import pytest
from agents import finish, start_agent
from badserver import TIMEOUT_S, BadServer
from webhook import NOWHERE, TOKEN, WHEN, Desk, rows, run_line, whole

from telemetry.client import TelemetryClient
from telemetry.config import Secret
from telemetry.model.errors import PausedSinkError, PermanentSinkError, TransientSinkError
from telemetry.model.fold import Fold
from telemetry.model.run import COLUMNS, Group
from telemetry.runtime.deadletters import read_dead_letters
from telemetry.sinks import Cursor
from telemetry.storage.attempts import Attempt, Attempts
from telemetry.testing import SinkConformance, sample_records
from telemetry_plugins.http import finished
from telemetry_plugins.http.posts import PostsSink
from telemetry_plugins.ndjson import NdjsonJournal

#: Keys of the original's body that every finished run has.
ALWAYS = {
    *("run_id", "agent_name", "job_type", "trigger_type", "start_time", "status", "end_time"),
    *("items_discovered", "items_succeeded", "items_failed", "duration_ms", "host"),
}


def record_four_runs(config):
    """
    Record runs with a name each, and have them and what became of them delivered.
    """
    client = TelemetryClient(config)
    for number in range(4):
        with client.track_run("agent", "job", item_name=f"run-{number}"):
            pass
    assert client.flush(TIMEOUT_S)
    assert client.flush(TIMEOUT_S)  # that they were posted is recorded meanwhile
    client.close()


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
def test_what_a_status_means(status, expected, server, make_posts):
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
    sink = make_posts()
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
    record_four_runs(config)

    kept = server.kept()
    assert kept == [
        event_id for (event_id,) in rows(config, "SELECT event_id FROM agent_runs ORDER BY rowid")
    ]
    assert rows(config, "SELECT sum(api_posted), sum(api_retry_count) FROM agent_runs") == [(4, 2)]


@pytest.mark.parametrize("bad", ["drip_body", "endless", "short", "long", "farewell"])
def test_a_status_is_enough(bad, server, make_posts):
    """
    A run whose 2xx has come is posted, whatever follows it.
    """
    server.will({"do": bad, "keeps": True})
    sink = make_posts(timeout_s=1 if bad == "drip_body" else 5)
    sink.write([whole(1, "ended")], NOWHERE)
    sink.write([whole(1, "ended")], NOWHERE)

    assert server.kept() == ["e-1"]


def test_an_answer_that_was_lost_is_asked_for_under_the_same_key(server, make_posts):
    """
    The one run whose answer is not known is sent once more; a server that knows keys has it once.
    """
    server.will({"do": "reset", "keeps": True})
    sink = make_posts()
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
    record_four_runs(config)

    letters = list(read_dead_letters(config.state_dir / "dead" / "http_posts.ndjson"))
    assert [letter.reason for letter in letters] == ["422: no such sheet"] * 2
    assert [json.loads(letter.line)["item_name"] for letter in letters] == ["run-0", "run-2"]
    assert len(server.seen()) == 4
    posted = rows(config, "SELECT item_name FROM agent_runs WHERE api_posted ORDER BY item_name")
    assert posted == [("run-1",), ("run-3",)]


def test_what_was_posted_and_not_said_is_said(server, make_posts, tmp_path):
    """
    A process killed between the answer and the journal: nothing is sent again, the row is told.
    """
    known = Attempt("e-1", count=3, posted_at=WHEN, status="success")
    Attempts(tmp_path / "state", "http_posts").put(known)
    desk = Desk()
    sink = make_posts(desk)
    for _ in range(2):
        sink.write([whole(1, "ended")], NOWHERE)

    said = {"api_posted": True, "api_posted_at": WHEN, "api_retry_count": 2}
    assert desk.recorded == [("posted", "e-1", "run-e-1", said)]
    assert server.seen() == []


def test_tries_are_counted_across_processes(server, make_posts):
    """
    A try is written down before it is made.
    """
    server.will(*[{"do": "answer", "status": 503}] * 3)
    desk = Desk()
    for _ in range(3):
        with pytest.raises(TransientSinkError):
            make_posts(desk).write([whole(1, "ended")], NOWHERE)
    make_posts(desk).write([whole(1, "ended")], NOWHERE)

    assert [fields["api_retry_count"] for *_, fields in desk.recorded] == [3]


def test_what_cannot_be_written_down_is_not_sent(server, make_posts, tmp_path):
    """
    Else it would be sent again and again.
    """
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "posts").write_text("")

    with pytest.raises(OSError, match="posts"):
        make_posts().write([whole(1, "ended")], NOWHERE)
    assert server.seen() == []


def test_another_process_in_between_is_noticed(server, make_posts):
    """
    What one knows of open runs is not all, once the cursor has moved without it.
    """
    desk = Desk()
    sink = make_posts(desk)
    sink.write([whole(1, "started", "running")], Cursor("s", 100, start=0))
    desk.known["e-1"] = Fold()
    for record in (whole(1, "started", "running"), run_line(2, "updated", item_name="found")):
        desk.known["e-1"].apply(record)
    sink.write([run_line(3, "ended", status="success")], Cursor("s", 300, start=200))

    (request,) = server.seen()
    assert request.json()["item_name"] == "found"


def test_a_strange_key_is_sent_as_visible_characters(server, make_posts):
    """
    Whatever a caller calls its run, the header is one line of ASCII.
    """
    record = run_line(1, "recorded", event_id="ü x\r\nX: 1", agent_name="a", status="failed")
    make_posts().write([record], NOWHERE)

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


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_a_service_is_no_webhook(status, server, make_posts):
    """
    Whoever names a service as the original could hears of the right variable; no run is refused.
    """
    headers = {"Telemetry-Base": "0" * 32}
    server.will({"do": "answer", "status": status, "headers": headers})

    with pytest.raises(PausedSinkError, match="name that one in TELEMETRY_API_URL instead"):
        make_posts().write([whole(1, "ended")], NOWHERE)


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
