"""
Commands that ask a service instead of the files: a real one, over a real base directory.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time

import click
import pytest
from servers import Server

from telemetry.api import TelemetryAPI
from telemetry.cli.catalogue import COMMANDS
from telemetry.cli.main import cli
from telemetry.cli.remote import RemoteReader
from telemetry.cli.remote_tail import ServiceEnd
from telemetry.cli.session import ASKING

TIME_LIMIT_S = 60


class Far:
    """
    The command line of a machine without runs of its own, which asks the service.
    """

    def __init__(self, telemetry, url):
        self._telemetry = telemetry
        self.url = url

    def ask(self, *args, **env):
        return self._telemetry.ask(*args, "--url", self.url, **env)

    def json(self, *args, **env):
        done = self.ask(*args, "--json", **env)
        assert not done.stderr, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def server(recorded):
    with Server(recorded.base) as running:
        yield running


@pytest.fixture
def far(telemetry, server):
    return Far(telemetry, server.url)


@pytest.fixture
def nobody():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize(
    "args",
    [
        ["runs"],
        ["runs", "--limit", "2"],
        ["runs", "--limit", "0", "--agent", "importer"],
        ["runs", "--failed"],
        ["runs", "--status", "failed", "--status", "partial"],
        ["runs", "--search", "NO ROUTE"],
        ["runs", "--since", "1h"],
        ["runs", "--until", "1h"],
        ["runs", "--parent", "@last-failed"],
        ["events", "@last-failed"],
        ["show", "@last-failed"],
    ],
)
def test_the_answer_is_that_of_the_files(recorded, far, args):
    """
    A service says what the files of its machine say, field by field.
    """
    assert far.json(*args) == recorded.json(*args)


def test_a_run_is_shown_with_all_that_belongs_to_it(recorded, far):
    """
    A run's nested runs, events, commits and history are the same over the network.
    """
    run = recorded.json("runs", "--job-type", "nightly")["runs"][0]

    shown = far.json("show", run["run_id"])

    assert shown == recorded.json("show", run["run_id"])
    assert [commit["commit_hash"] for commit in shown["commits"]] == ["a1b2c3d4e5f6"]
    assert len(shown["runs"]) == 1


def test_tables_are_the_same(recorded, far):
    """
    What a person sees does not depend on where it comes from.
    """
    for args in (["runs"], ["show", "@last"], ["events", "@last"]):
        assert far.ask(*args).stdout == recorded.ask(*args).stdout


def test_a_run_is_found_by_either_end_of_its_id(recorded, far):
    """
    A short id, as a list shows it, names a run; so do the whole ones.
    """
    run = recorded.json("runs", "--agent", "mailer")["runs"][0]

    for name in (run["run_id"], run["event_id"], run["run_id"][-8:]):
        assert far.json("show", name)["run"]["run_id"] == run["run_id"]


def test_stats_are_the_same(recorded, far):
    """
    Counts and durations are those of the files; what waits to be posted is that machine's own.
    """
    here = recorded.json("stats")
    del here["pending_api_posts"]

    assert far.json("stats") == here
    assert far.ask("stats").stdout == recorded.ask("stats").stdout


def test_an_unknown_run_exits_with_3(far):
    """
    The place where it was looked for is the service.
    """
    done = far.ask("show", "nobody-knows")

    assert done.returncode == 3
    assert f"in {far.url}; see telemetry runs" in done.stderr


def test_tail_shows_the_last_records(recorded, far):
    """
    The newest records are those of the journal, but for updates.
    """
    here = recorded.ask("tail", "-n", "100").stdout.splitlines()

    there = far.ask("tail", "-n", "100").stdout.splitlines()

    assert there == [line for line in here if "  updated  " not in line]
    assert far.ask("tail", "-n", "2").stdout.splitlines() == there[-2:]


def test_tail_with_json_gives_lines_of_a_journal(far):
    """
    Each line can be read as a record.
    """
    lines = far.ask("tail", "--json", "--type", "row").stdout.splitlines()

    assert [json.loads(line)["payload"] for line in lines] == [{"n": 1}]


def test_tail_goes_on_with_what_is_new(tmp_path):
    """
    What the service hears of after the first look is given once; an old run's past is not.
    """
    start = "2026-11-22T05:13:00Z"
    run = {"agent_name": "a", "job_type": "j", "run_id": "r", "start_time": start}
    with Server(tmp_path / "base") as running, TelemetryAPI(running.url, "") as api:
        api.create_run({**run, "event_id": "e1"})
        end = ServiceEnd(api, lambda record: True, None)
        first = end.last(10)
        api.create_run({**run, "event_id": "e2"})
        api.update_run("e1", {"status": "failed"})
        found = list(end.new())
        again = list(end.new())
        api.delete_run("e2")
        deleted = list(end.new())

    assert [(record.change, record.event_id) for record in first] == [("recorded", "e1")]
    assert [(record.change, record.event_id) for record in found] == [
        ("recorded", "e2"),
        ("edited", "e1"),
    ]
    assert again == deleted == []


def begin(telemetry, program, base):
    """
    Start a program that records into a base directory and is told when to go on.
    """
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env=telemetry.env(TELEMETRY_BASE_DIR=str(base)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_tail_reads_events_from_where_it_stopped(tmp_path, telemetry):
    """
    Events of a run are read page by page, and each is given once.
    """
    program = (
        "import sys\nfrom telemetry import TelemetryClient\n"
        "client = TelemetryClient()\n"
        "run = client.start_run('a', 'j')\n"
        "for n in range(5): client.log_event(run, 'row', {'n': n})\n"
        "client.flush(); print(run, flush=True)\n"
        "sys.stdin.readline()\n"
        "for n in range(5, 9): client.log_event(run, 'row', {'n': n})\n"
        "client.flush(); print('done', flush=True); sys.stdin.readline()\n"
    )
    with Server(tmp_path / "base") as running, TelemetryAPI(running.url, "") as api:
        agent = begin(telemetry, program, running.base)
        try:
            run_id = agent.stdout.readline().strip()
            key = RemoteReader(api).by_run_id(run_id)["event_id"]
            end = ServiceEnd(_InPagesOf(2, api), lambda record: bool(record.event_type), key)
            first = list(end.last(100))
            agent.stdin.write("\n")
            agent.stdin.flush()
            assert agent.stdout.readline() == "done\n"
            found = _until(end, 4)
        finally:
            agent.kill()
            agent.communicate()

    assert [record.payload_value()["n"] for record in first] == [0, 1, 2, 3, 4]
    assert [record.payload_value()["n"] for record in found] == [5, 6, 7, 8]


def test_tail_shows_what_changed_in_a_run(tmp_path, telemetry):
    """
    What an agent sets in mid-run is an update; what its end says is not said twice.
    """
    program = (
        "import sys\nfrom telemetry import TelemetryClient\n"
        "client = TelemetryClient()\n"
        "with client.track_run('a', 'j') as run:\n"
        "    client.flush(); print(run.run_id, flush=True); sys.stdin.readline()\n"
        "    run.set_metrics(items_discovered=7)\n"
        "    client.flush(); print('set', flush=True); sys.stdin.readline()\n"
        "client.flush(); print('done', flush=True); sys.stdin.readline()\n"
    )
    with Server(tmp_path / "base") as running, TelemetryAPI(running.url, "") as api:
        agent = begin(telemetry, program, running.base)

        def go_on():
            agent.stdin.write("\n")
            agent.stdin.flush()
            agent.stdout.readline()

        try:
            agent.stdout.readline()
            end = ServiceEnd(api, lambda record: True, None)
            first = [record.change for record in end.last(10)]
            go_on()
            (update,) = _until(end, 1)
            go_on()
            ended = [record.change for record in _until(end, 1)]
            again = list(end.new())
        finally:
            agent.kill()
            agent.communicate()

    assert first == ["started"]
    keys = {"event_id": update.event_id, "run_id": update.run_id}
    assert (update.change, update.fields()) == ("updated", {**keys, "items_discovered": 7})
    assert (ended, again) == (["ended"], [])


class _InPagesOf:
    """
    A client whose pages of events are small.
    """

    def __init__(self, limit, api):
        self._limit = limit
        self._api = api

    def __getattr__(self, name):
        return getattr(self._api, name)

    def event_page(self, event_id, *, cursor):
        return self._api.event_page(event_id, cursor=cursor, limit=self._limit)


def _until(end, count):
    """
    Look until so many records are there.
    """
    found = []
    limit = time.monotonic() + TIME_LIMIT_S
    while len(found) < count:
        assert time.monotonic() < limit
        found += end.new()
    return found


def test_nobody_there_exits_with_4(telemetry, nobody):
    """
    A service that is down is said to be, with the command that starts one.
    """
    done = telemetry.ask("runs", "--url", nobody)

    assert done.returncode == 4
    assert "must reach a running service" in done.stderr
    assert "telemetry serve" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("path", ["/x", "/api/v1"])
def test_a_wrong_path_exits_with_4(telemetry, server, path):
    """
    An address that leads past the service says so.
    """
    done = telemetry.ask("runs", "--url", server.url + path)

    assert done.returncode == 4
    assert "it has no such page" in done.stderr


def test_another_program_exits_with_4(telemetry, httpserver):
    """
    An address at which something else answers says so.
    """
    httpserver.expect_request("/api/v1/runs").respond_with_data("<html>", content_type="text/html")

    done = telemetry.ask("runs", "--url", httpserver.url_for(""))

    assert done.returncode == 4
    assert "must be answered by a telemetry service" in done.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["runs", "--url", "localhost"], "url must be a URL that begins with http://"),
        (["runs", "--agent", "a" * 300], "agent_name must have at most 255 characters"),
        (["demo"], "--url must stand with a command that can ask a service"),
        (["query", "SELECT 1"], "query works on the files of this machine"),
        (["token", "list"], "list works on the files of this machine"),
        (["runs", "--base-dir", "/tmp"], "--url must stand without --base-dir"),
    ],
)
def test_what_cannot_be_meant_exits_with_2(telemetry, server, args, words):
    """
    A command that works on files, and a place named twice, are refused; nothing is done.
    """
    where = () if "--url" in args else ("--url", server.url)

    done = telemetry.ask(*where, *args)

    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_tokens_come_from_the_environment_or_a_file(telemetry, tmp_path):
    """
    A service that asks for a token gets it, and a refusal says where it is set.
    """
    token = "a-long-enough-token-for-a-test"
    file = tmp_path / "token"
    file.write_text(f"{token}\n", encoding="utf-8")
    with Server(tmp_path / "guarded", TELEMETRY_API_AUTH_TOKEN=token) as running:
        far = Far(telemetry, running.url)
        refused = far.ask("runs")
        wrong = far.ask("runs", TELEMETRY_API_TOKEN="another-token")
        by_name = far.json("runs", TELEMETRY_API_TOKEN=token)
        by_file = far.json("runs", "--token-file", file)
        missing = far.ask("runs", "--token-file", tmp_path / "none")

    assert (refused.returncode, wrong.returncode) == (4, 4)
    assert "set TELEMETRY_API_TOKEN" in refused.stderr
    assert by_name == by_file == {"runs": [], "has_more": False}
    assert (missing.returncode, "must be a file with the token" in missing.stderr) == (3, True)


def test_messages_name_the_commands_that_ask():
    """
    The commands that can ask a service are those that show --url in their help.
    """
    with click.Context(cli) as context:
        commands = {name: cli.get_command(context, name) for name in COMMANDS}
    asking = {
        name
        for name, command in commands.items()
        for param in command.params
        if param.name == "url" and not getattr(param, "hidden", False)
    }

    assert asking == set(ASKING)


def test_completion_does_not_ask_the_network(telemetry, nobody):
    """
    Completing a run's name asks no service: a key press does not wait for one.
    """
    done = telemetry(
        env={
            "_TELEMETRY_COMPLETE": "bash_complete",
            "COMP_WORDS": f"telemetry show --url {nobody} @",
            "COMP_CWORD": "4",
        }
    )

    assert "@last" in done.stdout
    assert done.returncode == 0
