from __future__ import annotations

import gzip
import json
import os
import random
import sqlite3

import originals
import pytest

from telemetry import TelemetryClient, TelemetryConfig
from telemetry.exchange.exporting import export
from telemetry.exchange.formats import Format, Order
from telemetry.exchange.importing import DELETED_HERE, DELETED_THERE, Import
from telemetry.exchange.known import KnownIds
from telemetry.exchange.sources import open_path
from telemetry.model.codec import relayed
from telemetry.model.errors import TransientSinkError, UsageError
from telemetry.model.records import Change
from telemetry.model.run import COLUMNS
from telemetry.runtime.runtime import Runtime
from telemetry.storage.reader import Reader
from telemetry.storage.recovery import differences, rebuild
from telemetry.storage.selection import Selection

ALL = tuple(COLUMNS)
RUN_ID = "20251201T100000Z-seo-aabbccdd"
START, END = "2025-12-01T10:00:00.123456Z", "2025-12-01T10:00:05.654321Z"


class Base:
    """
    A base directory to import into.
    """

    def __init__(self, path, **settings):
        # What that plugin finds out of a run is recorded later, when nobody waits for it.
        settings = {"plugins_disabled": ("git_linker",), **settings}
        self.runtime = Runtime(TelemetryConfig(base_dir=path, **settings))
        self.reader = Reader(self.runtime.config.db_path)

    def take(self, source, *, is_dry=False):
        return Import(self.runtime, is_dry=is_dry).run(open_path(source))

    def rows(self):
        return sorted(self.reader.runs(limit=-1), key=lambda row: row["event_id"])

    def run(self, run_id=RUN_ID):
        return self.reader.by_run_id(run_id)

    def line_count(self):
        files = self.runtime.config.ndjson_dir.glob("*.ndjson")
        return sum(path.read_bytes().count(b"\n") for path in files)

    def rebuild(self):
        self.runtime.close(60)
        rebuild(self.runtime.config.db_path, self.runtime.journal)


@pytest.fixture
def base(tmp_path):
    base = Base(tmp_path / "here")
    yield base
    base.runtime.close(60)


@pytest.fixture
def other(tmp_path):
    """
    Another base directory of ours: a run with events, one that failed, one that is open.
    """
    config = TelemetryConfig(base_dir=tmp_path / "there", plugins_disabled=("git_linker",))
    client = TelemetryClient(config)
    client.start_run("importer", "nightly", run_id="run-a")
    client.log_event("run-a", "begun", {"file": "a.csv"})
    client.end_run("run-a", items_discovered=3)
    client.associate_commit("run-a", "a1b2c3d4e5", "ci")
    client.start_run("mailer", "send", run_id="run-b")
    client.end_run("run-b", "failed", error_summary="OSError: no route")
    client.start_run("sleeper", "wait", run_id="run-c")
    assert client.flush(60)
    client.close(60)
    return tmp_path / "there"


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def what(report):
    return {kind: count for kind, count in report.runs.items() if count}


# Of ours


def test_a_base_directory_comes_whole(base, other):
    """
    Every run, event, commit and record of another base directory is here, by its own id.
    """
    report = base.take(other)
    there = Reader(other / "db" / "telemetry.sqlite")

    assert what(report) == {"new": 3}
    assert report.refused == {}
    for here, row in zip(
        base.rows(), sorted(there.runs(limit=-1), key=lambda row: row["event_id"])
    ):
        assert here == row
    for row in base.rows():
        event_id = row["event_id"]
        assert base.reader.events(event_id) == there.events(event_id)
        assert base.reader.commits(event_id) == there.commits(event_id)
        assert base.reader.records(event_id) == [
            {**record, "body": relayed(record["body"].encode()).decode()}
            if record["change"] == "started"
            else record
            for record in there.records(event_id)
        ]


@pytest.mark.parametrize("is_rebuilt", [False, True])
def test_a_second_import_adds_nothing(base, other, is_rebuilt):
    """
    What was imported is known, also after the database was made anew.
    """
    base.take(other)
    before, count = base.rows(), base.line_count()
    if is_rebuilt:
        base.rebuild()
        base = Base(base.runtime.config.base_dir)
    report = base.take(other)

    assert what(report) == {"known": 3}
    assert report.records["new"] == report.events["new"] == 0
    assert (base.rows(), base.line_count()) == (before, count)
    base.runtime.close(60)


def test_what_was_added_since_is_added(base, other):
    """
    An import that is repeated later brings the end of what was open, and what is new.
    """
    base.take(other)
    client = TelemetryClient(TelemetryConfig(base_dir=other, plugins_disabled=("git_linker",)))
    client.end_run("run-c", items_succeeded=7)
    client.start_run("importer", "nightly", run_id="run-d")
    client.end_run("run-d")
    client.close(60)
    report = base.take(other)

    assert what(report) == {"known": 2, "updated": 1, "new": 1}
    assert (base.run("run-c")["status"], base.run("run-c")["items_succeeded"]) == ("success", 7)


def test_an_interrupted_import_is_ended_by_the_next(base, other):
    """
    An import that could not write everything goes on where it stopped.
    """
    appended = []
    append = base.runtime.journal.append

    def failing(line, second):
        appended.append(line)
        return len(appended) <= 3 and append(line, second)

    base.runtime.journal.append = failing
    with pytest.raises(OSError, match="import again"):
        base.take(other)
    base.runtime.journal.append = append
    report = base.take(other)

    assert report.records["known"] == 3
    there = Reader(other / "db" / "telemetry.sqlite").runs(limit=-1)
    assert base.rows() == sorted(there, key=lambda row: row["event_id"])


def test_a_dry_run_says_the_same_and_writes_nothing(base, other):
    """
    A dry run counts what would come, and leaves no record.
    """
    would = base.take(other, is_dry=True)
    assert base.line_count() == 0

    assert would == base.take(other)


def test_what_was_deleted_does_not_come_back(base, other):
    """
    A run that was deleted here or there is left out; the other runs come.
    """
    there = Runtime(TelemetryConfig(base_dir=other))
    gone = Reader(other / "db" / "telemetry.sqlite").by_run_id("run-b")
    there.recorder.change(Change.DELETED, gone["event_id"], "run-b", {})
    there.catch_up(20)
    there.close(60)
    report = base.take(other)

    assert report.skipped == {DELETED_THERE: 1}
    assert {row["run_id"] for row in base.rows()} == {"run-a", "run-c"}
    kept = base.run("run-a")
    base.runtime.recorder.change(Change.DELETED, kept["event_id"], "run-a", {})
    assert base.take(other).skipped == {DELETED_THERE: 1, DELETED_HERE: 1}
    assert {row["run_id"] for row in base.rows()} == {"run-c"}


def test_a_database_of_ours_is_enough(base, other, tmp_path):
    """
    Where only the database is left, its runs, events and history come; a compressed journal too.
    """
    copy = tmp_path / "copy.sqlite"
    with sqlite3.connect(other / "db" / "telemetry.sqlite") as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    connection.close()
    report = base.take(copy)
    there = Reader(copy)

    assert what(report) == {"new": 3}
    ignored = {"updated_at", "created_at"}
    assert [{k: v for k, v in row.items() if k not in ignored} for row in base.rows()] == [
        {k: v for k, v in row.items() if k not in ignored}
        for row in sorted(there.runs(limit=-1), key=lambda row: row["event_id"])
    ]
    assert len(base.reader.events(base.run("run-a")["event_id"])) == 1
    packed = tmp_path / "packed" / "events_20261122.ndjson.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(next((other / "raw").iterdir()).read_bytes()))
    assert base.take(packed.parent).events == {"known": 1}
    assert what(base.take(packed.parent)) == {"known": 3}


@pytest.mark.parametrize(
    ("format_", "guarded"),
    [(Format.NDJSON, True), (Format.JSON, True), (Format.CSV, True), (Format.CSV, False)],
)
def test_an_export_can_be_taken_back(base, record, tmp_path, format_, guarded):
    """
    A whole export brings back every column of every run; a second time it is known.
    """
    runs = [
        {"metrics_json": {"a": [1, {"b": None}]}, "items_failed": 3, "error_summary": "=1+1; -2"},
        {"status": "failed", "error_details": "line\n  - two\n\tthree", "duration_ms": 12},
        {"status": "running", "website": "a,b", "api_posted": True, "trigger_type": "web"},
    ]
    if not guarded:
        runs[0]["error_summary"] = "plain"
    db = record(*runs, base=tmp_path / "there")
    out = tmp_path / f"out.{format_.value}"
    with out.open("wb") as file:
        export(db, file, format_, Order(selection=Selection(), columns=ALL, guarded=guarded))
    report = base.take(out)

    assert what(report) == {"new": 3}
    expected = sorted(Reader(db).runs(limit=-1), key=lambda row: row["event_id"])
    ignored = {"updated_at"}
    assert [{k: v for k, v in row.items() if k not in ignored} for row in base.rows()] == [
        {k: v for k, v in row.items() if k not in ignored} for row in expected
    ]
    assert what(base.take(out)) == {"known": 3}


def test_an_export_of_this_base_is_known(base, other, tmp_path):
    """
    What was exported from here says nothing new here, whatever its columns.
    """
    base.take(other)
    count = base.line_count()
    for number, columns in enumerate((ALL, ("run_id", "agent_name", "status", "start_time"))):
        out = tmp_path / f"{number}.csv"
        with out.open("wb") as file:
            order = Order(selection=Selection(), columns=columns)
            export(base.runtime.config.db_path, file, Format.CSV, order)

        assert what(base.take(out)) == {"known": 3}
    assert base.line_count() == count


def test_a_source_with_few_columns_takes_nothing_away(base, other, tmp_path):
    """
    What an export leaves out stays as it is here, also where it is the newest word on the run.
    """
    base.take(other)
    before = base.run("run-b")
    out = tmp_path / "few.csv"
    out.write_text(
        "event_id,status,updated_at,items_failed\n"
        f"{before['event_id']},failed,2100-01-01T00:00:00Z,7\n"
    )
    report = base.take(out)

    changed = {name for name, value in base.run("run-b").items() if value != before[name]}
    assert what(report) == {"updated": 1}
    assert changed == {"items_failed", "updated_at"}
    assert what(base.take(out)) == {"known": 1}


# Of the original system


@pytest.mark.parametrize("schema", originals.SCHEMAS)
def test_a_database_of_every_schema_comes_whole(base, tmp_path, schema):
    """
    Each schema of the original is read: its columns, its statuses, its times, its missing keys.
    """
    failed = originals.failed_word(schema)
    rows = [
        {
            "run_id": f"run-{number}",
            "event_id": f"key-{number}",
            "agent_name": "seo",
            "job_type": "crawl",
            "trigger_type": "scheduler",
            "start_time": originals.START,
            "end_time": None if status == "running" else originals.END,
            "status": status,
            "items_succeeded": number,
            "duration_ms": None if status == "running" else 5530,
            "metrics_json": '{"pages": 3}',
            "insight_id": "insight",
            "website": "example.org",
            "git_commit_hash": "a1b2c3d",
            "created_at": "2025-12-01 10:00:00",
            "updated_at": "2025-12-01 10:00:06",
        }
        for number, status in enumerate(["running", "success", failed, "partial", "cancelled"])
    ]
    path = originals.make_database(tmp_path / "old.sqlite", schema, rows)
    report = base.take(path)
    found = {row["run_id"]: row for row in base.rows()}

    assert what(report) == {"new": 5}
    assert report.refused == {}
    assert [found[f"run-{n}"]["status"] for n in range(5)] == [
        "running", "success", "failed", "partial", "cancelled",
    ]  # fmt: skip
    run = found["run-1"]
    assert (run["start_time"], run["end_time"]) == (START, END)
    assert run["created_at"] == "2025-12-01T10:00:00.000000Z"
    assert json.loads(run["metrics_json"]) == {"pages": 3}
    has = originals.columns_of(schema)
    assert run["event_id"] == "key-1" if "event_id" in has else len(run["event_id"]) == 36
    for name in ("insight_id", "website", "git_commit_hash"):
        assert (run[name] is not None) == (name in has)
    assert what(base.take(path)) == {"known": 5}


def test_a_base_directory_of_the_original_comes_whole(base, tmp_path):
    """
    A run's lines and its row are one run: what either says is in it, and events find it.
    """
    there = tmp_path / "old"
    key = "11111111-2222-3333-4444-555555555555"
    write(
        there / "raw" / "events_20251201.ndjson",
        originals.run_line("running", event_id=key, host="box"),
        originals.event_line(RUN_ID, "step", {"n": 1}),
        originals.event_line(RUN_ID, "step"),
        originals.run_line(
            "failure", start=False, event_id=key, items_discovered=10, error_summary="OSError: x",
            metrics_json='{"a": 1}',
        ),
    )  # fmt: skip
    originals.make_database(
        there / "db" / "telemetry.sqlite",
        "service-6",
        [
            {
                "event_id": key, "run_id": RUN_ID, "created_at": originals.START,
                "start_time": originals.START, "agent_name": "seo", "job_type": "crawl",
                "status": "running", "output_summary": "known to the table alone",
            }
        ],
    )  # fmt: skip
    report = base.take(there)
    run = base.run()

    assert what(report) == {"new": 1}
    assert report.events == {"new": 2}
    assert (run["event_id"], run["status"], run["items_discovered"]) == (key, "failed", 10)
    assert (run["host"], run["output_summary"]) == ("box", "known to the table alone")
    assert (run["start_time"], run["end_time"], run["created_at"]) == (START, END, START)
    assert run["error_summary"] == "OSError: x"
    events = base.reader.events(key)
    assert {json.loads(event["payload_json"]) and 1 for event in events} == {1, None}
    before, count = base.rows(), base.line_count()
    again = base.take(there)
    assert (what(again), again.events) == ({"known": 1}, {"known": 2})
    assert (base.rows(), base.line_count()) == (before, count)


def test_a_rebuild_gives_what_was_imported(base, tmp_path):
    """
    Everything came through the journal: the database can be made from it alone.
    """
    lines = [originals.run_line("success", start=False, run_id=f"run-{n}") for n in range(20)]
    lines += [originals.event_line(f"run-{n}", "step", {"n": n}) for n in range(20)]
    source = write(tmp_path / "events_20251201.ndjson", *lines)
    base.take(source)
    config = base.runtime.config

    assert len(base.rows()) == 20
    assert differences(config.db_path, base.runtime.journal) == []
    before = base.rows()
    base.rebuild()
    assert base.rows() == before


def test_the_order_of_lines_does_not_matter(tmp_path):
    """
    An event before its run, an end before its start: the result is the same.
    """
    lines = [
        originals.run_line("running"),
        originals.run_line("success", start=False, items_succeeded=4),
        originals.event_line(RUN_ID, "a", {"n": 1}),
        originals.event_line(RUN_ID, "b", {"n": 2}, originals.END),
    ]
    results = []
    for number in range(4):
        random.Random(number).shuffle(lines)
        base = Base(tmp_path / f"base-{number}")
        base.take(write(tmp_path / f"{number}.ndjson", *lines))
        run = base.run()
        events = [(e["event_type"], e["payload_json"]) for e in base.reader.events(run["event_id"])]
        results.append((base.rows(), events))
        base.runtime.close(60)

    assert all(result == results[0] for result in results)
    assert len(results[0][1]) == 2


def test_what_fits_no_column_is_kept(base, tmp_path):
    """
    Values that a column cannot hold and names that are none are kept beside the run.
    """
    source = write(
        tmp_path / "old.ndjson",
        originals.run_line(
            "success", start=False, trigger_type="cron", items_failed=-3, mood="fine",
            start_time="yesterday", context_json='{"x": 1}',
        ),
    )  # fmt: skip
    base.take(source)
    run = base.run()

    assert json.loads(run["context_json"]) == {
        "x": 1,
        "imported": {
            "trigger_type": "cron",
            "items_failed": -3,
            "mood": "fine",
            "start_time": "yesterday",
        },
    }
    assert (run["trigger_type"], run["items_failed"], run["start_time"]) == (None, 0, None)


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        ("2025-12-01 10:00:00", "2025-12-01T10:00:00.000000Z"),
        ("2025-12-01T10:00:00", "2025-12-01T10:00:00.000000Z"),
        ("2025-12-01T10:00:00Z", "2025-12-01T10:00:00.000000Z"),
        ("2025-12-01T12:00:00.5+02:00", "2025-12-01T10:00:00.500000Z"),
        ("2025-12-01T05:00:00-0500", "2025-12-01T10:00:00.000000Z"),
        ("2025-12-01", "2025-12-01T00:00:00.000000Z"),
    ],
)
def test_times_of_any_form_are_utc(base, tmp_path, said, stored):
    """
    A time without a zone is UTC, as SQLite writes it; offsets are counted in.
    """
    base.take(write(tmp_path / "old.ndjson", originals.run_line("running", start_time=said)))

    assert base.run()["start_time"] == stored


def test_a_run_at_work_is_not_taken_for_dead_here(base, tmp_path):
    """
    The lock that shows that its process lives is in the directory it was imported from.
    """
    there = TelemetryClient(base_dir=tmp_path / "there")
    run_id = there.start_run("seo", "crawl")
    assert there.flush(60)

    base.take(tmp_path / "there")

    assert base.runtime.reap() == []
    assert base.run(run_id)["status"] == "running"
    there.end_run(run_id)
    there.close(60)


def test_secrets_do_not_come_in(base, other, tmp_path):
    """
    What is imported is scrubbed as what agents record, in runs, events and records of ours.
    """
    secret = "ghp_" + "a1B2" * 9
    there = TelemetryClient(TelemetryConfig(base_dir=tmp_path / "open", scrub=False))
    there.start_run("seo", "crawl", input_summary=secret, metrics_json={"t": secret})
    there.close(60)
    source = write(
        tmp_path / "old.ndjson",
        originals.run_line(
            "success",
            output_summary=f"used {secret}",
            metrics_json=json.dumps({"password": secret}),
        ),
        originals.event_line(RUN_ID, "step", {"token": secret, "text": f"Bearer {secret}"}),
    )
    base.take(source)
    report = base.take(tmp_path / "open")

    assert what(report) == {"new": 1}
    whole = b"".join(
        path.read_bytes() for path in base.runtime.config.base_dir.rglob("*") if path.is_file()
    )
    assert secret.encode() not in whole
    assert what(base.take(tmp_path / "open")) == {"known": 1}


def test_what_cannot_be_read_is_counted_with_its_place(base, tmp_path):
    """
    Garbage between good lines costs only itself, and each kind of it is named.
    """
    good = [originals.run_line("success", run_id=f"run-{n}") for n in range(3)]
    torn = originals.run_line("success", run_id="torn")[:100]
    source = write(
        tmp_path / "old.ndjson",
        good[0],
        torn,
        "[1, 2]",
        json.dumps({"record_type": "run", "agent_name": "nobody"}),
        json.dumps({"record_type": "weather"}),
        json.dumps({"record_type": "event", "run_id": "x", "event_type": "y"}),
        originals.run_line(
            "success", run_id="no-time", start_time="soon", created_at=None, updated_at=None
        ),
        originals.run_line("success", run_id="x" * 300),
        "",
        *good[1:],
    )
    report = base.take(source)

    assert what(report) == {"new": 3}
    assert report.damaged_count == 2
    assert {reason: count for reason, (count, _) in report.refused.items()} == {
        "a line must be a JSON object": 2,
        "it must name a run, by run_id or event_id": 1,
        "its record_type must be run or event": 1,
        "an event must have its timestamp": 1,
        "it must have a time that can be read, such as start_time": 1,
        "run_id must have at most 255 characters": 1,
    }
    assert report.refused["a line must be a JSON object"][1] == "old.ndjson, line 2"


def test_a_damaged_database_gives_what_can_be_read(base, tmp_path):
    """
    Where a database breaks off, the runs before come and the damage is said.
    """
    rows = [
        {"run_id": f"run-{n}", "agent_name": "seo", "job_type": "x" * 500, "start_time": originals.START,
         "status": "success"}
        for n in range(200)
    ]  # fmt: skip
    path = originals.make_database(tmp_path / "old.sqlite", "library-5", rows)
    content = bytearray(path.read_bytes())
    middle = len(content) // 4096 // 2 * 4096
    content[middle : middle + 8192] = b"\xaa" * 8192
    path.write_bytes(content)
    report = base.take(path)

    assert 0 < report.runs["new"] < 200
    assert report.damaged_count == 1
    assert ".recover" in next(iter(report.refused))


def test_numbers_that_are_no_json_come_as_words(base, tmp_path):
    """
    The original wrote NaN and infinities; they are words here, as an agent's are.
    """
    line = originals.run_line("success", metrics_json='{"loss": NaN, "best": Infinity}')
    base.take(
        write(
            tmp_path / "old.ndjson",
            line,
            originals.event_line(RUN_ID, "e", {"x": 1}).replace("1}", "NaN}"),
        )
    )

    assert json.loads(base.run()["metrics_json"]) == {"loss": "NaN", "best": "Infinity"}


# Sources


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("a.csv", b"a,b\n1,2\n", "none that is known"),
        ("a.csv", b"", "empty"),
        ("a.xlsx", b"PK\x03\x04....", "got Excel"),
        ("a.parquet", b"PAR1....", "got Parquet"),
        ("a.json", b'{"runs":\n 7}', "JSON array"),
        ("a.bin", b"\x00\x01\x02", "none that is known"),
        ("a.sqlite", None, "must have the table agent_runs"),
    ],
)
def test_what_is_no_source_is_refused(base, tmp_path, name, content, rule):
    """
    A file that holds no runs is refused with what would be one.
    """
    path = tmp_path / name
    if content is None:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE other (a)")
        connection.close()
    else:
        path.write_bytes(content)

    with pytest.raises(UsageError, match=rule):
        base.take(path)


def test_places_that_are_none_are_refused(base, tmp_path):
    """
    A path that is not there, and a directory without a journal or a database, are said.
    """
    with pytest.raises(FileNotFoundError):
        base.take(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="got neither"):
        base.take(tmp_path / "empty")


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_segment_that_cannot_be_read_is_named_before_anything_comes(base, other):
    """
    Nothing is brought in of a base directory of which a part would be missing.
    """
    count = base.line_count()
    (other / "raw" / "events_20200101.ndjson").symlink_to(other / "elsewhere")

    with pytest.raises(OSError, match=r"events_20200101\.ndjson must be readable"):
        base.take(other)
    assert base.line_count() == count


@pytest.mark.parametrize("layout", ["array", "lines", "runs", "one line"])
def test_json_of_any_layout_is_read(base, tmp_path, layout):
    """
    An array, whole or a record a line, and what the commands answer, are all read.
    """
    runs = [json.loads(originals.run_line("success", run_id=f"run-{n}")) for n in range(3)]
    text = {
        "array": json.dumps(runs, indent=2),
        "lines": "[\n" + ",\n".join(map(json.dumps, runs)) + "\n]\n",
        "runs": json.dumps({"runs": runs, "has_more": False}, indent=2),
        "one line": json.dumps({"runs": runs}, separators=(",", ":")),
    }[layout]
    path = tmp_path / "runs.json"
    path.write_text(text, encoding="utf-8")

    assert what(base.take(path)) == {"new": 3}


def test_a_database_that_takes_nothing_ends_an_import(base, other, monkeypatch):
    """
    Where the database never comes up to the journal, an import ends and says so.

    The tries of its sink do not count as going on.
    """
    monkeypatch.setattr("telemetry.exchange.importing.CATCH_UP_S", 0.1)
    base.runtime.config.db_path.mkdir(parents=True)

    with pytest.raises(TransientSinkError, match=r"telemetry\.sqlite must"):
        base.take(other)


def test_known_ids_are_ranges():
    """
    Ids are known in any order of adding, and only those that were added.
    """
    for seed in range(20):
        chosen = random.Random(seed).sample(range(1, 60), 30)
        known = KnownIds()
        for number in chosen:
            known.add(f"00000000000000aa-{number}")

        found = [n for n in range(70) if f"00000000000000aa-{n}" in known]
        assert found == sorted(chosen)
        assert "00000000000000bb-1" not in known


def test_a_csv_file_with_a_mark_and_gaps_is_read(base, tmp_path):
    """
    A byte order mark is passed over, an empty cell is nothing, a short line is refused.
    """
    path = tmp_path / "runs.csv"
    path.write_bytes(
        "\ufeffrun_id,agent_name,start_time,items_failed\nrun-1,seo,2025-12-01,\nrun-2\n".encode()
    )
    report = base.take(path)

    assert what(report) == {"new": 1}
    assert base.run("run-1")["items_failed"] == 0
    assert list(report.refused) == ["a line must have 4 cells"]
