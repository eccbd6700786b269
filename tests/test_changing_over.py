"""
What the page for users of the original system says holds.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import click
import httpx
import originals
import pytest
from badserver import BadServer
from needs import program
from servers import ROOT, Server, clean_env

from telemetry.cli.main import cli
from telemetry.client import TelemetryClient
from telemetry.config.names import RETIRED
from telemetry.config.process import TelemetryConfig
from telemetry.config.reading import table_of
from telemetry.model.run import COLUMNS, SCHEMA_VERSION, STATUS_ALIASES, Status

pytestmark = pytest.mark.once

PAGE = (ROOT / "docs" / "getting-started" / "changing-over.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
CODE = re.compile(r"`([^`\n]+)`")
RUN_ID = "20251201T100000Z-seo-aabbccdd"
AGENT = """
from telemetry import TelemetryClient
client = TelemetryClient()
with client.track_run("new", "job") as run:
    run.log_event("step")
print(client.flush(60))
"""


def tables(section):
    """
    Return the rows of each table of a section, as lists of cells, without the heads.
    """
    found = re.findall(r"(?:^\|.*\n)+", SECTIONS[section], re.MULTILINE)
    split = [[re.split(r" ?\| ?", line.strip("|")) for line in t.splitlines()] for t in found]
    return [[[cell.strip() for cell in row] for row in rows[2:]] for rows in split]


def names(text):
    return CODE.findall(text)


class Place:
    """
    A base directory with what the original recorded, and the commands over it.
    """

    def __init__(self, base, schema):
        self.base = base
        (base / "raw").mkdir(parents=True)
        lines = [
            originals.run_line("running"),
            originals.event_line(RUN_ID, "step", {"n": 1}),
            originals.run_line("success", start=False, items_discovered=5),
        ]
        text = "".join(f"{line}\n" for line in lines)
        (base / "raw" / "events_20251201.ndjson").write_text(text, encoding="utf-8")
        self.database = base / "db" / "telemetry.sqlite"
        shared = {
            "agent_name": "seo",
            "job_type": "crawl",
            "start_time": originals.START,
            "created_at": originals.START,
        }
        originals.make_database(
            self.database,
            schema,
            [
                {"event_id": "e-1", "run_id": RUN_ID, "status": "success", **shared},
                {
                    "event_id": "e-2",
                    "run_id": "two",
                    "status": originals.failed_word(schema),
                    **shared,
                },
            ],
        )
        self.env = clean_env(
            base, PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        )

    def __call__(self, *command, **settings):
        return subprocess.run(
            command,
            cwd=self.base.parent,
            env={**self.env, **settings},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=100,
            check=False,
        )

    def change_over(self):
        """
        Do what the page says.
        """
        (steps,) = re.findall(r"```sh\n(.*?)```", SECTIONS["Take the data along"], re.DOTALL)
        done = self("sh", "-e", "-c", steps)
        assert done.returncode == 0, done.stderr

    def imported(self, path):
        done = self("telemetry", "import", str(path), "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["runs"]

    def record(self, **settings):
        return self(sys.executable, "-c", AGENT, **settings)

    def runs(self):
        answer = json.loads(self("telemetry", "runs", "--json").stdout)
        return sorted((run["agent_name"], run["status"]) for run in answer["runs"])


OLD = [("seo", "failed"), ("seo", "success")]


@program("sh")
@pytest.mark.parametrize("schema", ["library-6", "service-7"])
def test_what_was_recorded_comes_along(schema, tmp_path):
    """
    The steps of the page end with every run of the original, and its files are as they were.
    """
    place = Place(tmp_path / "base", schema)
    before = place.database.read_bytes()

    place.change_over()

    assert place.runs() == OLD
    assert (place.base / "original" / "db" / "telemetry.sqlite").read_bytes() == before
    assert place("telemetry", "check").returncode == 0
    with closing(sqlite3.connect(place.database)) as connection:
        query = "SELECT items_discovered FROM agent_runs WHERE run_id = ?"
        assert connection.execute(query, [RUN_ID]).fetchall() == [(5,)]
        assert connection.execute("SELECT payload_json FROM run_events").fetchall() == [
            ('{"n":1}',)
        ]


@program("sh")
def test_who_forgets_to_move_the_database_loses_nothing(tmp_path):
    """
    It is left alone with a warning that says what to do; the runs wait, and come along later.
    """
    place = Place(tmp_path / "base", "service-7")
    before = place.database.read_bytes()

    said = place.record()
    assert (said.returncode, said.stdout) == (0, "False\n")
    assert said.stderr.count("telemetry import takes over") == 1
    assert place.database.read_bytes() == before
    place.change_over()

    assert place.runs() == [("new", "success"), *OLD]


def test_the_other_sources_are_taken_too(tmp_path):
    """
    Whatever comes first of service, buffers and NDJSON, a run is one run; no backup is restored.
    """
    old = Place(tmp_path / "old", "service-6")
    place = Place(tmp_path / "base", "library-6")
    place.database.unlink()
    posted = {
        "event_id": "b-1",
        "run_id": "buffered",
        "agent_name": "seo",
        "job_type": "crawl",
        "start_time": originals.START,
        "status": "running",
    }
    buffer = tmp_path / "telemetry_20251201.jsonl.ready"
    ended = {**posted, "status": "failure", "end_time": originals.END}
    buffer.write_text(f"{json.dumps(posted)}\n{json.dumps(ended)}\n", encoding="utf-8")

    assert place.imported(buffer) == {"new": 1, "updated": 0, "known": 0}
    assert place.imported(old.database)["new"] == 2
    assert place.imported(old.base / "raw")["new"] == 0
    assert place.imported(old.base) == {"new": 0, "updated": 0, "known": 2}
    assert place.runs() == [("seo", "failed"), *OLD]
    refused = place("telemetry", "backup", "restore", str(old.database), "--anywhere", "--yes")
    assert refused.returncode != 0


def test_what_is_imported_before_the_agents_start_is_not_posted(tmp_path):
    """
    Posting begins with the first agent; only what comes later is posted.
    """
    place, old = (Place(tmp_path / name, "library-6") for name in ("base", "old"))
    place.database.unlink()
    other = originals.make_database(
        tmp_path / "other.sqlite",
        "library-6",
        [
            {
                "event_id": "e-9",
                "run_id": "later",
                "agent_name": "seo",
                "job_type": "crawl",
                "status": "success",
                "start_time": originals.START,
                "end_time": originals.END,
            }
        ],
    )
    with BadServer() as server:
        place.env["METRICS_API_URL"] = server.url
        place.imported(old.base)
        assert place.record().stdout == "True\n"
        assert len(server.kept()) == 1
        place.imported(other)
        assert place.record().stdout == "True\n"
        assert "e-9" in server.kept()


#: Every variable that the original read, but for those of a job that is gone.
VARIABLES = """
TELEMETRY_DB_PATH TELEMETRY_BASE_DIR AGENT_METRICS_DIR TELEMETRY_NDJSON_DIR METRICS_API_URL
METRICS_API_TOKEN METRICS_API_ENABLED AGENT_OWNER TELEMETRY_SKIP_VALIDATION TELEMETRY_TEST_MODE
TELEMETRY_API_URL GOOGLE_SHEETS_API_URL GOOGLE_SHEETS_API_ENABLED METRICS_API_AUTH_REQUIRED
TELEMETRY_RETRY_BACKOFF_FACTOR TELEMETRY_API_HOST TELEMETRY_API_PORT TELEMETRY_API_WORKERS
TELEMETRY_DB_JOURNAL_MODE TELEMETRY_DB_SYNCHRONOUS TELEMETRY_LOCK_FILE TELEMETRY_BUFFER_DIR
TELEMETRY_API_AUTH_ENABLED TELEMETRY_API_AUTH_TOKEN TELEMETRY_RATE_LIMIT_ENABLED
TELEMETRY_RATE_LIMIT_RPM LOG_LEVEL TELEMETRY_LOG_LEVEL TELEMETRY_BUFFER_MAX_SIZE_MB
TELEMETRY_BUFFER_MAX_AGE_HOURS TELEMETRY_SYNC_INTERVAL_SECONDS TELEMETRY_SYNC_BATCH_SIZE
TELEMETRY_LEVEL TELEMETRY_SAMPLING_RATE TELEMETRY_MAX_PAYLOAD_BYTES TELEMETRY_RETENTION_DAYS
TELEMETRY_DRY_RUN_CLEANUP TELEMETRY_DB_BUSY_TIMEOUT_MS TELEMETRY_DB_CONNECT_TIMEOUT_SECONDS
TELEMETRY_DB_MAX_RETRIES TELEMETRY_DB_RETRY_BASE_DELAY_SECONDS
""".split()


def test_each_variable_of_the_original_is_kept_or_explained():
    """
    Kept ones are settings, the others are known as retired; the page names each that it must.
    """
    section = SECTIONS["Environment variables"]
    kept = set(names(section.partition("These mean")[0]))
    changed = {names(row[0])[0] for row in tables("Environment variables")[0]}
    settings = set(table_of(TelemetryConfig).by_variable)

    assert kept | changed == settings & set(VARIABLES)
    assert set(VARIABLES) - settings == RETIRED.keys() & set(VARIABLES)
    assert not kept & changed


def test_what_variables_mean_otherwise_is_so(tmp_path):
    """
    Without variables nothing is sent, and the service listens to this machine alone.
    """
    config = TelemetryConfig.from_env({"TELEMETRY_DB_PATH": str(tmp_path / "db" / "t.sqlite")})

    assert config.base_dir == tmp_path
    assert (config.api_host, config.metrics_api_url) == ("127.0.0.1", None)
    assert config.metrics_api_enabled
    assert TelemetryConfig.from_env({"TELEMETRY_LOCK_FILE": "x"}).problems


def resolve(path):
    """
    Return what a dotted name stands for.
    """
    parts = path.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for name in parts[count:]:
            found = getattr(found, name)
        return found
    raise ModuleNotFoundError(path)


PYTHON = [name for name in names(SECTIONS["Python"]) if re.fullmatch(r"telemetry(\.\w+)+", name)]


@pytest.mark.parametrize("name", PYTHON)
def test_each_python_name_is_there(name):
    """
    What the page says to use now can be imported.
    """
    assert resolve(name) is not None


def test_what_a_run_cannot_hold_is_left_out_or_kept_aside(tmp_path):
    """
    A trigger of one's own is left out, a name that is no field kept; the run is there.
    """
    client = TelemetryClient(base_dir=tmp_path / "base")
    run_id = client.start_run("seo", "crawl", "cron", crawler="fast")
    client.end_run(run_id, status="no such status", pages=3)
    assert client.close(60)

    with closing(sqlite3.connect(client.config.db_path)) as connection:
        query = "SELECT status, trigger_type, context_json FROM agent_runs"
        (row,) = connection.execute(query).fetchall()
    assert row == ("failed", None, '{"crawler":"fast","pages":3}')


def test_the_version_of_the_schema_is_told():
    """
    The number on the page is the number in the code.
    """
    assert f"`telemetry.SCHEMA_VERSION`; it is {SCHEMA_VERSION} " in SECTIONS["Python"]


SPANS = [name for name in names(PAGE) if name.startswith("telemetry ")]
LINES = re.findall(r"^telemetry .+$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("line", sorted({*SPANS, *LINES}))
def test_each_command_is_there(line):
    """
    What the page says to call exists, with the options that it shows.
    """
    command, context = cli, click.Context(cli, info_name="telemetry")
    words = shlex.split(line)[1:]
    while isinstance(command, click.Group):
        command = command.get_command(context, words.pop(0))
        assert command is not None
        context = click.Context(command, context)

    known = {option for param in command.get_params(context) for option in param.opts}
    assert {word for word in words if word.startswith("-")} <= known


def test_scripts_are_there_or_gone_as_the_page_says():
    """
    Each script of the first table is in the checkout, and none of the second; none is left out.
    """
    kept, gone = tables("Scripts")
    there = {path.name for path in (ROOT / "scripts").iterdir() if path.name[0] not in "_."}

    assert {name for row in kept for name in names(row[0])} >= there - {"dashboard.py"}
    assert {name for row in kept for name in names(row[0]) if "." in name} <= there
    assert not {name for row in gone for name in names(row[0])} & there


@pytest.fixture(scope="module")
def http(tmp_path_factory):
    base = tmp_path_factory.mktemp("service") / "base"
    with Server(base) as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        for number in range(9):
            client.post("/api/v1/runs", json=a_run(f"known-{number}")).raise_for_status()
        client.patch("/api/v1/runs/known-1", json={"status": "success"}).raise_for_status()
        client.patch("/api/v1/runs/known-2", json={"error_summary": "x"}).raise_for_status()
        yield client


def a_run(event_id, **fields):
    return {
        "event_id": event_id,
        "run_id": event_id,
        "agent_name": "seo",
        "job_type": "crawl",
        "start_time": "2025-12-01T10:00:00+00:00",
        **fields,
    }


def posted(event_id, **fields):
    return "POST", "/api/v1/runs", {"json": a_run(event_id, **fields)}


def edited(event_id, **fields):
    return "PATCH", f"/api/v1/runs/{event_id}", {"json": fields}


def listed(query):
    return "GET", f"/api/v1/runs?{query}", {}


#: The requests of the page's table.
REQUESTS = {
    "`POST` with an unknown status, or a negative number": posted("new", items_failed=-1),
    "`POST` with `failure` as its status": posted("failed", status="failure"),
    "`POST` with a time that has no zone": posted("new", start_time="2025-12-01T10:00:00"),
    "`POST` with a text beyond its limit": posted("new", error_summary="x" * 501),
    "`POST` with a `trigger_type` of one's own": posted("new", trigger_type="cron"),
    "`POST` with `metrics_json` as text": posted("text", metrics_json='{"pages": 3}'),
    "`POST` again, with the end of a running run": posted("known-0", status="success"),
    "batch with one bad item": (
        "POST",
        "/api/v1/runs/batch",
        {"json": [a_run("batch"), a_run("bad", status="x")]},
    ),
    "`GET` with a status or time that means nothing": listed("status=x"),
    "`GET` with a time that has no zone": listed("created_before=2025-12-01T10:00:00"),
    "`GET` with a parameter that there is not": listed("agent=seo"),
    "`PATCH` with null": edited("known-2", error_summary=None),
    "`PATCH` of an ended run to `running`": edited("known-1", status="running"),
    "`PATCH` of `git_commit_author` and the like": edited("known-3", git_commit_author="me"),
    "body of type `text/plain`": (
        "POST",
        "/api/v1/runs",
        {"content": json.dumps(a_run("new")), "headers": {"Content-Type": "text/plain"}},
    ),
    "`Host` that is not the service's": ("GET", "/health", {"headers": {"Host": "example.org"}}),
}
ANSWERS = {row[0]: int(row[2].partition(",")[0]) for row in tables("HTTP")[0]}
NEEDS_TOKEN = "`GET` without a token, where one is needed"


@pytest.mark.parametrize("what", [what for what in ANSWERS if what != NEEDS_TOKEN])
def test_requests_are_answered_as_the_page_says(what, http):
    """
    Each row of the table has a request, and its status is the one that comes.
    """
    method, path, sent = REQUESTS[what]

    assert http.request(method, path, **sent).status_code == ANSWERS[what]


def test_what_was_taken_is_stored_as_the_page_says(http):
    """
    The end of a repeated run, a cleared field, one spelling, null for no duration yet.
    """
    for what in ANSWERS:
        if what != NEEDS_TOKEN:
            method, path, sent = REQUESTS[what]
            http.request(method, path, **sent)
    found = {run["event_id"]: run for run in http.get("/api/v1/runs?limit=1000").json()}

    assert found["known-0"]["status"] == "success"
    assert found["known-2"]["error_summary"] is None
    assert found["failed"]["status"] == "failed"
    assert found["text"]["metrics_json"] == {"pages": 3}
    assert {"batch"} == found.keys() & {"batch", "bad", "new"}
    running = found["known-4"]
    assert (running["duration_ms"], "id" in running) == (None, False)
    assert running["start_time"] == "2025-12-01T10:00:00.000000Z"
    assert http.get("/health").json()["db_path"] == "telemetry.sqlite"
    assert http.get("/api/v1/metadata").json().keys() == {"agent_names", "job_types", "counts"}
    assert http.get("/api/v1/runs?status=x").json()["detail"].startswith("status must be")


def test_reading_needs_a_token_where_one_is_asked_for(tmp_path):
    """
    The original's own variable closes the service to readers, too.
    """
    with Server(tmp_path / "base", TELEMETRY_API_AUTH_TOKEN="a-long-and-random-text") as server:
        for path in ("/api/v1/runs", "/metrics"):
            answer = httpx.get(f"{server.url}{path}", trust_env=False)
            assert answer.status_code == ANSWERS[NEEDS_TOKEN]


def test_statuses_are_understood_as_the_page_says():
    """
    The table has every status and every other spelling.
    """
    rows = tables("Statuses")[0]
    shown = {word: names(row[0])[0] for row in rows for word in names(row[1])}

    assert [names(row[0])[0] for row in rows] == [status.value for status in Status]
    assert shown == {word: status.value for word, status in STATUS_ALIASES.items()}


@pytest.mark.parametrize("schema", ["library-7", "service-7"])
def test_the_original_has_no_column_that_is_gone_but_id(schema, tmp_path):
    """
    Queries of the original's tables find their columns here.
    """
    path = originals.make_database(tmp_path / "old.sqlite", schema, [])
    with closing(sqlite3.connect(path)) as connection:
        old = {row[1] for row in connection.execute("PRAGMA table_info(agent_runs)")}

    assert old - set(COLUMNS) <= {"id"}


def test_files_are_as_the_page_says(tmp_path):
    """
    Lines have a change, their own id and only what has a value; letters are UTF-8.
    """
    place = Place(tmp_path / "base", "library-6")
    place.database.unlink()
    (old,) = (place.base / "raw").iterdir()
    old.unlink()
    agent = AGENT.replace('log_event("step")', 'log_event("Schritt für Schritt", {"n": 1})')
    assert place(sys.executable, "-X", "utf8", "-c", agent).stdout == "True\n"
    (path,) = (place.base / "raw").glob("events_*.ndjson")
    text = path.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]

    assert "Schritt für Schritt" in text
    assert [line.get("change") for line in lines] == [None, "started", None, "ended"]
    assert lines[2]["payload"] == {"n": 1}
    assert all(line["id"] and list(line)[-1] == "crc" for line in lines)
    assert not any(value is None for line in lines for value in line.values())
    with closing(sqlite3.connect(place.database)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT payload_json FROM run_events").fetchone() == ('{"n":1}',)
