"""
Records on their way to a service, whatever the server does.
"""

from __future__ import annotations

import os

import pytest
from agents import finish, start_agent
from badserver import TIMEOUT_S, BadServer

from telemetry.client import TelemetryClient
from telemetry.config import Secret
from telemetry.model.codec import decode_line
from telemetry.model.errors import PausedSinkError, PermanentSinkError, TransientSinkError
from telemetry.runtime.deadletters import read_dead_letters
from telemetry.runtime.locks import RecordLock
from telemetry.sinks import Cursor
from telemetry.storage.baseid import SERVICE_LOCK, base_id
from telemetry.storage.undo import Ranges, decide
from telemetry.testing import SinkConformance, sample_records
from telemetry_plugins.http.addresses import Place
from telemetry_plugins.http.records import RecordsSink, UnacceptableError, compressed, parts
from telemetry_plugins.ndjson import NdjsonJournal

NOWHERE = Cursor("", 0)
DAY_S = 86_400
TOKEN = "canary-0123456789"
AS_SERVICE = {"do": "records"}


def journal_ids(base):
    """
    Return the id of every record in the journal, in order.
    """
    journal = NdjsonJournal(base / "raw")
    found = []
    for segment in journal.segments():
        chunk = journal.read(segment, None, 1 << 26)
        found += [record.id for record in chunk.records]
    return found


def client_of(config):
    return TelemetryClient(config)


def record_runs(client, count, events=2):
    for number in range(count):
        with client.track_run("agent", "job") as run:
            for step in range(events):
                run.log_event("step", {"number": number, "step": step})


@pytest.fixture
def sink(server, tmp_path):
    made = RecordsSink(server.url, Secret(TOKEN), tmp_path / "state", timeout_s=5)
    yield made
    made.close()


class TestRecordsSink(SinkConformance):
    @pytest.fixture(autouse=True)
    def _serve(self, server):
        server.will(then=AS_SERVICE)
        self.server = server

    def make_sink(self, base):
        url = f"{self.server.url}/{base.name}"
        return RecordsSink(url, Secret(), base / "state", timeout_s=10)

    def delivered(self, base):
        paths = (request for request in self.server.seen() if base.name in request.path)
        return [record_id for request in paths for record_id in request.kept]


def test_lines_are_shipped_as_they_stand(server, sink):
    """
    Each record's line, byte for byte, with the token; and nothing twice on one connection.
    """
    server.will(then=AS_SERVICE)
    records = sample_records(1)
    sink.write(records, NOWHERE)
    sink.write(records[:1], NOWHERE)

    first = server.seen()[0]
    assert first.body == b"".join(record.line + b"\n" for record in records)
    assert (first.path, first.headers["authorization"]) == ("/api/v1/records", f"Bearer {TOKEN}")
    assert server.connection_count == 1
    assert server.looks == ["/healthz"]


def test_what_was_taken_back_here_is_not_shipped(server, sink):
    """
    A decision about this journal is no matter of the service, and no dead letter.
    """
    server.will(then=AS_SERVICE)
    records = sample_records(1)
    sink.write([*records, *decide(Ranges(), "")], NOWHERE)

    assert server.seen()[0].body == b"".join(record.line + b"\n" for record in records)


def test_long_batches_are_split():
    """
    A request has at most two megabytes, or one record.
    """
    (run,) = {record.run_id: record for record in sample_records(1)}.values()
    lines = [b"x" * size for size in (1_500_000, 400_000, 300_000, 3_000_000, 10)]
    records = [
        type(run)(lt=1, record_type="event", id=str(n), timestamp="", line=line)
        for n, line in enumerate(lines)
    ]

    assert [[int(r.id) for r in part] for part in parts(records)] == [[0, 1], [2], [3], [4]]


def test_a_body_that_leaves_the_machine_is_compressed(server, sink, monkeypatch):
    """
    What travels is packed; the server sees the same lines.
    """
    monkeypatch.setattr(Place, "is_loopback", property(lambda _: False))
    server.will(then=AS_SERVICE)
    records = sample_records(1)
    sink.write(records[:1], NOWHERE)
    sink.write(records, NOWHERE)

    assert server.seen()[1].headers["content-encoding"] == "gzip"
    assert server.requests[1].ids() == [record.id for record in records]
    assert len(compressed(b"a" * 10_000)) < 200


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, TransientSinkError) for status in (100 + 99, 408, 425, 429, 500, 502, 503, 504)),
        *(
            (status, TransientSinkError)
            for status in (501, 505, 507, 508, 511, 520, 599, 200, 201, 204)
        ),
        *((status, PausedSinkError) for status in (300, 301, 302, 303, 304, 307, 308, 401, 403)),
        *((status, PausedSinkError) for status in (404, 405, 406, 410, 414, 421, 426, 431, 451)),
        *((status, UnacceptableError) for status in (400, 402, 409, 412, 415, 422)),
    ],
)
def test_what_a_status_means(status, expected, server, sink):
    """
    Nothing is given up for a status of the whole request.

    It is tried again, or waits for a person, or the follower looks for the record that is to blame.
    A success that names no records is none.
    """
    headers = {"Content-Length": "0"} if status in {199, 204, 304} else {}
    server.will({"do": "answer", "status": status, "body": "" if headers else "{}"})

    with pytest.raises(expected) as caught:
        sink.write(sample_records(1), NOWHERE)
    assert not isinstance(caught.value, PermanentSinkError)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("wish", "low", "high"),
    [
        ("7", 7, 8),
        ("0", 0.5, 1.5),
        ("999999", 3600, 4100),
        ("Sun, 22 Nov 2026 12:01:40 GMT", 100, 115),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.5, 1.5),
        ("Sun Nov 22 12:01:40 2026", 100, 115),
        ("Sunday, 22-Nov-26 12:01:40 GMT", 100, 115),
        ("soon", 0.5, 1.5),
        ("-5", 0.5, 1.5),
    ],
)
def test_the_server_is_left_alone_for_as_long_as_it_asks(wish, low, high, server, sink):
    """
    Retry-After in seconds, or as a date by the server's own clock; never more than an hour.

    Without a usable one, the first wait is a second; nor is it shorter where the server asks for
    none, or it would be asked without a pause for as long as it says so.
    """
    headers = {"Retry-After": wish, "Date": "Sun, 22 Nov 2026 12:00:00 GMT"}
    server.will({"do": "answer", "status": 429, "headers": headers})

    with pytest.raises(TransientSinkError) as caught:
        sink.write(sample_records(1), NOWHERE)
    assert low <= caught.value.retry_after_s <= high


def test_the_first_waits_are_one_two_and_four_seconds(server, sink):
    """
    Then the follower's own; a success begins anew.
    """
    server.will(*[{"do": "answer", "status": 503}] * 4, AS_SERVICE, {"do": "answer", "status": 503})
    waits = []
    for _ in range(6):
        try:
            sink.write(sample_records(1), NOWHERE)
        except TransientSinkError as error:
            waits.append(error.retry_after_s)
        else:
            waits.append("done")

    assert waits[3:5] == [None, "done"]
    assert [abs(wait - near) <= near / 4 for wait, near in zip(waits[:3], (1, 2, 4))] == [True] * 3
    assert abs(waits[5] - 1) <= 0.25


def test_what_is_refused_goes_to_the_dead_letters_with_its_reason(server, make_config):
    """
    Each record with the server's own words; all others arrive, once.
    """
    server.will(then={"do": "records", "refuses": ['"number":1,', '"number":2,']})
    config = make_config(TELEMETRY_API_URL=server.url)
    client = client_of(config)
    record_runs(client, 4, events=1)

    assert client.flush(TIMEOUT_S)
    client.close()
    letters = list(read_dead_letters(config.state_dir / "dead" / "http_records.ndjson"))
    assert [letter.reason for letter in letters] == [
        'never: no "number":1,',
        'never: no "number":2,',
    ]
    buried = {letter.id for letter in letters}
    assert sorted(server.kept()) == sorted(set(journal_ids(config.base_dir)) - buried)


def test_too_large_a_request_is_halved(server, sink):
    """
    413 halves the batch, down to single records; one that is too large alone is refused.
    """
    server.will(then={"do": "records", "max_bytes": 2000})
    records = sample_records(1)
    large = {record.id for record in records if len(record.line) >= 2000}

    with pytest.raises(PermanentSinkError) as caught:
        sink.write(records, NOWHERE)
    assert caught.value.record_ids == large
    sink.write([record for record in records if record.id not in large], NOWHERE)
    assert sorted(server.kept()) == sorted({record.id for record in records} - large)


MISBEHAVIOURS = [
    {"do": "answer", "status": 500, "keeps": False},
    {"do": "answer", "status": 429, "headers": {"Retry-After": "0"}},
    {"do": "garbage"},
    {"do": "reset"},
    {"do": "reset", "as_records": True},
    {"do": "short", "as_records": True},
    {"do": "long", "as_records": True},
    {"do": "farewell", "as_records": True},
    {"do": "hang", "as_records": True},
    {"do": "mute"},
    {"do": "drip_head", "as_records": True},
    {"do": "drip_body", "as_records": True},
    {"do": "endless", "as_records": True},
    {
        "do": "answer",
        "status": 200,
        "body": "<html>Log in to the hotel's network</html>",
        "keeps": False,
    },
]


@pytest.mark.parametrize(
    "bad", MISBEHAVIOURS, ids=lambda bad: f"{bad['do']}-{bad.get('status', '')}"
)
def test_a_misbehaving_server_loses_nothing_and_doubles_nothing(bad, server, make_config, hurried):
    """
    Whatever it does, before or after storing: in the end it has each record once, in order.
    """
    server.will(bad, bad, then=AS_SERVICE)
    config = make_config(TELEMETRY_API_URL=server.url, TELEMETRY_HTTP_TIMEOUT_S="0.3")
    client = client_of(config)
    record_runs(client, 3)

    assert client.flush(TIMEOUT_S)
    record_runs(client, 3)
    assert client.flush(TIMEOUT_S)
    client.close()
    assert server.kept() == journal_ids(config.base_dir)
    assert not (config.state_dir / "dead" / "http_records.ndjson").exists()


def test_a_backlog_of_weeks_arrives_in_order(server, make_config, noon, make_line):
    """
    Day files that nobody has shipped are read from the first on.
    """
    config = make_config(TELEMETRY_API_URL=server.url, TELEMETRY_DRAIN="external")
    journal = NdjsonJournal(config.ndjson_dir)
    for number in range(3000):
        second = noon + (number // 150) * DAY_S
        assert journal.append(make_line(number + 1, size=200), second)
    journal.close()
    server.will({"do": "answer", "status": 503}, then=AS_SERVICE)
    client = client_of(make_config(TELEMETRY_API_URL=server.url))

    assert client.catch_up(TIMEOUT_S)
    client.close()
    assert len(list(config.ndjson_dir.iterdir())) == 20
    assert server.kept() == [decode_line(make_line(n + 1)).id for n in range(3000)]


def test_an_agent_never_notices_a_silent_server(server, make_config):
    """
    Its runs end as they ended, its exit keeps to the budget, and the next process ships the rest.
    """
    server.will(then={"do": "hang"})
    environ = {
        "TELEMETRY_BASE_DIR": str(make_config().base_dir),
        "TELEMETRY_API_URL": server.url,
        "TELEMETRY_EXIT_TIMEOUT_S": "0.2",
    }
    assert finish(start_agent(environ, 3)) == ("recorded\n", "")
    server.close()
    with BadServer() as healed:
        healed.will(then=AS_SERVICE)
        # Long enough for the slowest machine: what is awaited is the end, not the time.
        environ.update(TELEMETRY_API_URL=healed.url, TELEMETRY_EXIT_TIMEOUT_S=str(TIMEOUT_S))
        finish(start_agent(environ, 1))

        assert sorted(healed.kept()) == sorted(journal_ids(make_config().base_dir))


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_an_agent_killed_in_mid_post_doubles_nothing(server, make_config):
    """
    The server has stored what the agent never heard of; the next process sends it again, in vain.
    """
    server.will({"do": "hang", "as_records": True}, then=AS_SERVICE)
    environ = {"TELEMETRY_BASE_DIR": str(make_config().base_dir), "TELEMETRY_API_URL": server.url}
    killed = start_agent(environ, 3, "stay")
    assert killed.stdout.readline() == "recorded\n"
    server.wait_for(1)
    killed.kill()
    killed.communicate()
    environ["TELEMETRY_EXIT_TIMEOUT_S"] = str(TIMEOUT_S)
    finish(start_agent(environ, 1))

    kept = server.kept()
    assert len(kept) == len(set(kept))
    assert sorted(kept) == sorted(journal_ids(make_config().base_dir))


def test_two_agents_of_one_directory_ship_each_record_once(server, make_config):
    """
    One of them leads, and ships for both.
    """
    server.will(then=AS_SERVICE)
    environ = {
        "TELEMETRY_BASE_DIR": str(make_config().base_dir),
        "TELEMETRY_API_URL": server.url,
    }
    for process in [start_agent(environ, 20) for _ in range(2)]:
        finish(process)
    environ["TELEMETRY_EXIT_TIMEOUT_S"] = str(TIMEOUT_S)
    finish(start_agent(environ, 1))

    kept = server.kept()
    assert len(kept) == len(set(kept))
    assert sorted(kept) == sorted(journal_ids(make_config().base_dir))


def test_a_service_of_this_directory_is_sent_nothing(server, make_config):
    """
    It has everything; when another one takes its place, that gets what is recorded from then on.
    """
    config = make_config(TELEMETRY_API_URL=server.url)
    server.set(base=base_id(config.state_dir))
    lock = RecordLock(config.state_dir / SERVICE_LOCK)
    assert lock.try_acquire()
    client = client_of(config)
    record_runs(client, 2)
    assert client.flush(TIMEOUT_S)
    before = journal_ids(config.base_dir)
    server.set(base="f" * 32, default=AS_SERVICE)
    assert server.seen() == []
    (sink,) = [each for each in client._runtime.sinks if each.name == "http_records"]
    sink.close()
    record_runs(client, 1)
    assert client.flush(TIMEOUT_S)
    client.close()

    lock.release()
    assert before + server.kept() == journal_ids(config.base_dir)


def test_a_service_of_a_copy_of_this_directory_is_sent_everything(server, make_config):
    """
    A copied directory has the same identity, but its service holds no lock in this one.
    """
    config = make_config(TELEMETRY_API_URL=server.url)
    server.set(base=base_id(config.state_dir), default=AS_SERVICE)
    client = client_of(config)
    record_runs(client, 2)
    assert client.flush(TIMEOUT_S)
    client.close()

    assert server.kept() == journal_ids(config.base_dir)


def test_without_locks_the_identity_alone_tells(server, make_config):
    """
    Where it cannot be seen whether the service is here, it is believed.
    """
    config = make_config(TELEMETRY_API_URL=server.url)
    server.set(base=base_id(config.state_dir))
    (config.state_dir / SERVICE_LOCK).mkdir()
    client = client_of(config)
    record_runs(client, 2)
    assert client.flush(TIMEOUT_S)
    client.close()

    assert server.seen() == []


def test_nothing_is_imported_before_there_is_something_to_ship(make_config, run_program):
    """
    With an address set, a process that records nothing loads no HTTP library.
    """
    found = run_program(
        "import json, sys\n"
        "from telemetry import TelemetryClient, TelemetryConfig\n"
        "client = TelemetryClient(TelemetryConfig.from_env({'TELEMETRY_BASE_DIR': sys.argv[1],"
        " 'TELEMETRY_API_URL': 'http://127.0.0.1:9', 'METRICS_API_URL': 'http://127.0.0.1:9'}))\n"
        "print(json.dumps(sorted({'urllib3', 'ssl'} & set(sys.modules))))",
        make_config().base_dir,
    )

    assert found == []


def test_a_child_process_ships_on_its_own(server, sink):
    """
    Over a connection of its own.
    """
    server.will(then=AS_SERVICE)
    records = sample_records(1)
    sink.write(records[:3], NOWHERE)
    sink.after_fork()
    sink.write(records[3:], NOWHERE)

    assert server.kept() == [record.id for record in records]
    assert server.connection_count == 2
