from __future__ import annotations

import csv
import io
import json
import os
import stat
import xml.etree.ElementTree as ET
import zipfile
from datetime import datetime, timezone

import openpyxl
import pytest
from examples import share_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telemetry.exchange import excel
from telemetry.exchange.cells import guarded
from telemetry.exchange.exporting import export
from telemetry.exchange.formats import DEFAULT_COLUMNS, Format, Order, parse_columns
from telemetry.exchange.target import whole_file
from telemetry.model.errors import UsageError
from telemetry.model.run import COLUMNS
from telemetry.storage.reader import Reader, RunFilter
from telemetry.storage.selection import TOTALS, Selection

HOSTILE = [
    "=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "\uff1d1", '=HYPERLINK("http://x")',
    "http://example.org", "{=1+1}", "_x0041_", "\x0b\x1f", "\ufffe\uffff", "a;=1", "", " ", "00123",
]  # fmt: skip
ALL = tuple(COLUMNS)


def exported(db, format_, selection=None, columns=DEFAULT_COLUMNS, **order):
    file = io.BytesIO()
    count = export(
        db, file, format_, Order(selection=selection or Selection(), columns=columns, **order)
    )
    return count, file


def sheets_of(file):
    book = openpyxl.load_workbook(file)
    return {name: [list(row) for row in book[name].iter_rows()] for name in book.sheetnames}


def values_of(rows):
    return [[cell.value for cell in row] for row in rows]


def test_the_default_columns_are_the_dashboards():
    """
    An export that names no columns has thirteen.
    """
    assert len(DEFAULT_COLUMNS) == 13
    assert DEFAULT_COLUMNS[:5] == ("event_id", "run_id", "agent_name", "job_type", "status")


def test_csv_has_a_heading_and_a_line_for_each_run(record):
    """
    CSV is newest first, null is an empty cell, numbers are plain.
    """
    db = record({"items_failed": 2}, {"error_summary": 'a "b", c\nd'})
    count, file = exported(db, Format.CSV)
    rows = list(csv.DictReader(io.StringIO(file.getvalue().decode(), newline="")))

    assert count == 2
    assert tuple(rows[0]) == DEFAULT_COLUMNS
    assert [row["run_id"] for row in rows] == ["run-2", "run-1"]
    assert rows[0]["error_summary"] == 'a "b", c\nd'
    assert (rows[1]["error_summary"], rows[1]["items_failed"]) == ("", "2")


@pytest.mark.parametrize("format_", [Format.JSON, Format.NDJSON])
def test_json_holds_values_not_texts(record, format_):
    """
    JSON columns are values and flags booleans, as in `telemetry runs --json`.
    """
    db = record({"metrics_json": {"a": [1, None]}, "api_posted": True}, {"context_json": "text"})
    _, file = exported(db, format_, columns=ALL)
    text = file.getvalue().decode()
    rows = json.loads(text) if format_ is Format.JSON else list(map(json.loads, text.splitlines()))

    assert [row["metrics_json"] for row in rows] == [None, {"a": [1, None]}]
    assert [row["api_posted"] for row in rows] == [False, True]
    assert [tuple(row) for row in rows] == [ALL, ALL]


@pytest.mark.parametrize("format_", list(Format))
def test_an_export_of_nothing_is_whole(record, format_):
    """
    With no run to export the file is still one of its format.
    """
    db = record({})
    count, file = exported(db, format_, Selection(filter=RunFilter(agent="nobody")))

    assert count == 0
    if format_ is Format.JSON:
        assert json.loads(file.getvalue()) == []
    elif format_ is Format.XLSX:
        assert len(sheets_of(file)["Runs"]) == 1
    else:
        assert len(file.getvalue().splitlines()) <= 1 or format_ is Format.PARQUET


def test_excel_has_three_sheets(record):
    """
    The workbook has runs, summary and breakdown, also without the columns these are made of.
    """
    db = record(
        {"items_succeeded": 3, "duration_ms": 100},
        {"status": "failed", "agent_name": "mailer", "duration_ms": 300},
        {"status": "running"},
    )
    sheets = {
        name: values_of(rows)
        for name, rows in sheets_of(exported(db, Format.XLSX, columns=("run_id",))[1]).items()
    }
    summary = dict(sheets["Summary"])
    agents = [dict(zip(sheets["Agent Breakdown"][0], row)) for row in sheets["Agent Breakdown"][1:]]

    assert tuple(sheets) == excel.SHEETS
    assert sheets["Runs"] == [["run_id"], ["run-3"], ["run-2"], ["run-1"]]
    assert (summary["runs"], summary["success_rate"], summary["mean_duration_ms"]) == (3, 0.5, 200)
    assert [(a["agent_name"], a["runs"], a["items_succeeded"]) for a in agents] == [
        ("mailer", 1, 0),
        ("seo", 2, 3),
    ]
    assert tuple(agents[0]) == ("agent_name", *TOTALS)


def test_excel_takes_no_text_for_anything_else(record):
    """
    Whatever a text looks like, it is a text in the workbook: no formula, link or number.
    """
    db = record(*({"agent_name": text or "x", "output_summary": text} for text in HOSTILE))
    _, file = exported(db, Format.XLSX, columns=("agent_name", "output_summary"))
    cells = [cell for row in sheets_of(file)["Runs"][1:] for cell in row]

    assert {cell.data_type for cell in cells if cell.value is not None} == {"s"}
    assert "=1+1" in {cell.value for cell in cells}
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            tags = {
                element.tag.rpartition("}")[2]
                for element in ET.fromstring(archive.read(name)).iter()
            }
            assert not tags & {"f", "hyperlink", "hyperlinks"}, name


@settings(
    max_examples=share_of(15),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(texts=st.lists(st.text(max_size=15) | st.sampled_from(HOSTILE), min_size=1, max_size=5))
def test_any_text_makes_a_sound_workbook(record, tmp_path_factory, texts):
    """
    Any text an agent may record can be written, read again, and is a text.
    """
    db = record(
        *({"output_summary": text} for text in texts), base=tmp_path_factory.mktemp("any") / "base"
    )
    _, file = exported(db, Format.XLSX, columns=("output_summary",))

    types = {cell.data_type for row in sheets_of(file)["Runs"] for cell in row if cell.value}
    assert types == {"s"}


def test_excel_holds_times_and_numbers_as_such(record):
    """
    A time is a date of Excel in UTC, a number one; what Excel would round is a text.
    """
    db = record({"duration_ms": 5, "items_failed": 2**60, "error_details": "x" * 50_000})
    columns = ("start_time", "duration_ms", "items_failed", "error_details")
    row = values_of(sheets_of(exported(db, Format.XLSX, columns=columns)[1])["Runs"])[1]

    assert row[:3] == [datetime(2026, 11, 22, 12, 0, 1), 5, str(2**60)]  # noqa: DTZ001 (Excel's)
    assert len(row[3]) <= excel.MAX_CELL_CHARS


def test_excel_refuses_more_runs_than_a_sheet_holds(record, monkeypatch):
    """
    Where a sheet would be full the export is refused before it begins, with the ways out.
    """
    monkeypatch.setattr(excel, "MAX_RUNS", 2)
    db = record({}, {}, {})

    with pytest.raises(UsageError, match="--limit, or export csv"):
        exported(db, Format.XLSX)
    assert exported(db, Format.XLSX, Selection(limit=2))[0] == 2


def test_parquet_is_typed(record):
    """
    Parquet has integers, booleans, times in UTC and text, and null where there is nothing.
    """
    import pyarrow.parquet  # not for each worker

    db = record({"duration_ms": 5, "metrics_json": {"a": 1}}, {"api_posted": True})
    _, file = exported(db, Format.PARQUET, columns=ALL)
    table = pyarrow.parquet.read_table(file)
    rows = table.to_pylist()

    assert table.column_names == list(ALL)
    assert rows[1]["start_time"] == datetime(2026, 11, 22, 12, 0, 1, tzinfo=timezone.utc)
    assert (rows[1]["duration_ms"], rows[0]["duration_ms"]) == (5, None)
    assert [row["api_posted"] for row in rows] == [True, False]
    assert rows[1]["metrics_json"] == '{"a":1}'


def test_a_missing_library_is_said_with_its_installation(record, monkeypatch):
    """
    Where a format's library is not installed the message has the line that installs it.
    """
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    monkeypatch.delitem(__import__("sys").modules, "telemetry.exchange.parquet", raising=False)

    with pytest.raises(UsageError, match=r"pip install 'telemetry\[parquet\]'"):
        exported(record({}), Format.PARQUET)


@pytest.mark.parametrize(
    ("selection", "runs"),
    [
        (Selection(statuses=("failed", "timeout")), ["run-4", "run-2"]),
        (Selection(exclude_test=True), ["run-4", "run-2", "run-1"]),
        (Selection(limit=1), ["run-4"]),
        (Selection(commit="ABC1234"), ["run-1"]),
        (Selection(filter=RunFilter(agent="mailer"), statuses=("failed",)), ["run-2"]),
        (Selection(filter=RunFilter(since="2026-11-22T12:00:03.000000Z")), ["run-4", "run-3"]),
    ],
)
def test_what_is_chosen_is_exported(record, selection, runs):
    """
    Filters, statuses, commits, tests and limits choose together, in each of the queries alike.
    """
    db = record(
        {"git_commit_hash": "abc1234def"},
        {"status": "failed", "agent_name": "mailer"},
        {"job_type": "test"},
        {"status": "timeout"},
    )
    count, file = exported(db, Format.NDJSON, selection)

    assert [json.loads(line)["run_id"] for line in file.getvalue().splitlines()] == runs
    assert count == len(runs)
    summary = dict(values_of(sheets_of(exported(db, Format.XLSX, selection)[1])["Summary"])[1:])
    assert summary["runs"] == len(runs)


def test_an_export_is_of_one_moment(record):
    """
    Runs that are recorded while an export is written are not in it, nor in its sums.
    """
    db = record(*[{}] * 3)

    class Meddling(io.BytesIO):
        is_first = True

        def write(self, data):
            if Meddling.is_first:
                Meddling.is_first = False
                record(*({"event_id": f"late-{n}"} for n in range(5)))
            return super().write(data)

    file = Meddling()
    count = export(db, file, Format.CSV, Order(selection=Selection()))

    assert count == 3
    assert len(file.getvalue().splitlines()) == 4
    assert len(Reader(db).runs()) == 8


def test_columns_are_named_or_meant():
    """
    Columns are named with commas between; groups of them have names; an unknown one is corrected.
    """
    assert parse_columns("run_id, STATUS,run_id") == ("run_id", "status")
    assert parse_columns("all") == ALL
    assert parse_columns("host,default") == ("host", *DEFAULT_COLUMNS)
    with pytest.raises(UsageError, match="did you mean 'agent_name'"):
        parse_columns("agent")
    with pytest.raises(UsageError, match="must be a column"):
        parse_columns(" , ")


def test_csv_for_programs_is_as_it_is(record):
    """
    Unguarded CSV has the texts as they were recorded; guarded it has none that is a formula.
    """
    db = record({"error_summary": "=1+1"})

    for is_guarded, text in ((False, "=1+1"), (True, guarded("=1+1"))):
        _, file = exported(db, Format.CSV, columns=("error_summary",), guarded=is_guarded)
        assert file.getvalue().decode().splitlines()[1] == text


def test_a_file_is_whole_or_not_there(tmp_path):
    """
    A file takes its name when it is complete; where writing fails, what was there stays.
    """
    path = tmp_path / "out.csv"
    umask = os.umask(0)
    try:
        with whole_file(path, replaces=False) as file:
            file.write(b"one")
            assert not path.exists()
    finally:
        os.umask(umask)
    with pytest.raises(ZeroDivisionError), whole_file(path, replaces=True) as file:
        file.write(b"two")
        raise ZeroDivisionError

    assert path.read_bytes() == b"one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.csv"]
    if os.name != "nt":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_is_only_replaced_on_demand(tmp_path):
    """
    A file that is there, a directory, a link and a missing directory are refused.
    """
    path = tmp_path / "out.csv"
    path.write_bytes(b"mine")
    (tmp_path / "link").symlink_to(path)

    for place, replaces in (
        (path, False),
        (tmp_path, True),
        (tmp_path / "link", True),
        (tmp_path / "no" / "out.csv", False),
    ):
        with pytest.raises(UsageError), whole_file(place, replaces=replaces):
            pass
    assert path.read_bytes() == b"mine"


def test_an_excel_export_that_fails_leaves_no_files(record, tmp_path, monkeypatch):
    """
    What the Excel library writes on the way is removed, whether the export ends well or not.
    """
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    db = record({}, {})

    exported(db, Format.XLSX)
    assert list(scratch.iterdir()) == []
    with pytest.raises(ZeroDivisionError):
        export(
            db, io.BytesIO(), Format.XLSX, Order(selection=Selection()), lambda done, total: 1 // 0
        )
    assert list(scratch.iterdir()) == []
