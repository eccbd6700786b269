from __future__ import annotations

import io
import json
import os
import re
import subprocess
import zipfile
from pathlib import Path

import pytest


def runs_in(path):
    return [json.loads(line)["run_id"] for line in path.read_text(encoding="utf-8").splitlines()]


def test_an_export_has_a_name_of_its_time(recorded):
    """
    Without a name the file is a new one among the exports, named after the moment.
    """
    document = recorded.json("export", "ndjson")

    assert re.search(r"exports.telemetry_export_\d{8}_\d{6}\.ndjson$", document["file"])
    assert (document["format"], document["runs"]) == ("ndjson", 5)


def test_the_format_may_stand_in_the_name(recorded, tmp_path):
    """
    The suffix of the file's name is a format; without either the formats are named.
    """
    path = tmp_path / "out.NDJSON"

    assert recorded.ask("export", "-o", path).returncode == 0
    assert len(runs_in(path)) == 5
    done = recorded.ask("export", "-o", tmp_path / "out.doc")
    assert done.returncode == 2
    assert "csv, xlsx, json, ndjson, parquet" in done.stderr


@pytest.mark.parametrize(
    "filters",
    [
        ["--agent", "importer"],
        ["--failed"],
        ["--status", "partial", "--status", "failed"],
        ["--parent", "@last"],
        ["--search", "NO ROUTE"],
        ["--until", "1h"],
        ["--limit", "2"],
    ],
)
def test_an_export_is_filtered_as_a_list_is(recorded, tmp_path, filters):
    """
    The same options choose the same runs, in the same order, as `telemetry runs`.
    """
    path = tmp_path / "out.ndjson"

    assert recorded.ask("export", "-o", path, *filters).returncode == 0
    listed = recorded.json("runs", *filters)["runs"]
    assert runs_in(path) == [run["run_id"] for run in listed]


def test_a_stream_can_be_read_on(recorded):
    """
    A dash writes to standard output, binary formats too, and nothing else stands there.
    """
    text = recorded(
        "export", "csv", "-o", "-", "--columns", "run_id,agent_name", "--agent", "mailer"
    )
    book = subprocess.run(
        recorded.command("export", "xlsx", "-o", "-"),
        env=recorded.env(),
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )

    assert text.stdout.splitlines()[0] == "run_id,agent_name"
    assert text.stdout.splitlines()[1].endswith(",mailer")
    assert book.stdout[:2] == b"PK"
    assert zipfile.ZipFile(io.BytesIO(book.stdout)).testzip() is None


def test_a_file_is_replaced_on_demand(recorded, tmp_path):
    """
    A file that is there is kept, unless --force says otherwise.
    """
    path = tmp_path / "out.csv"
    path.write_text("mine")

    done = recorded.ask("export", "-o", path)
    assert done.returncode == 2
    assert "--force" in done.stderr
    assert path.read_text() == "mine"
    assert recorded.ask("export", "-o", path, "--force").returncode == 0
    assert path.read_text().startswith("event_id,")


@pytest.mark.parametrize(
    ("args", "code", "way_out"),
    [
        (["csv", "--columns", "agent"], 2, "did you mean 'agent_name'?"),
        (["csv", "-o", "no/where/out.csv"], 2, "must exist"),
        (["csv", "-o", "-", "--json"], 2, "-o"),
        (["doc"], 2, "csv"),
        (["csv", "--status", "sideways"], 2, "must be one of"),
    ],
)
def test_what_cannot_be_exported_is_said(recorded, args, code, way_out):
    """
    Each refusal is one line that names the way out.
    """
    done = recorded.ask("export", *args)

    assert done.returncode == code
    assert way_out in done.stderr


def test_without_a_database_there_is_nothing_to_export(telemetry):
    """
    A base directory without a database ends with 3.
    """
    done = telemetry.ask("export", "csv", "-o", "-")

    assert (done.returncode, done.stdout) == (3, "")


@pytest.mark.skipif(os.name != "posix", reason="as POSIX shells do")
@pytest.mark.parametrize("format_", ["csv", "json", "ndjson"])
def test_a_reader_may_go_away(recorded, format_):
    """
    A closed pipe ends the command quietly, as it ends other programs; the database is not blamed.
    """
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = recorded(
            "export",
            format_,
            "-o",
            "-",
            stdout=writer,
            stderr=subprocess.PIPE,
            capture_output=False,
        )
    finally:
        os.close(writer)

    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_stream_that_takes_nothing_is_named(recorded):
    """
    What standard output does not take is said of it, and not of the database.
    """
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = recorded(
            "export", "csv", "-o", "-", stdout=full, stderr=subprocess.PIPE, capture_output=False
        )

    assert done.returncode == 4
    assert done.stderr.startswith("error: standard output must take the answer (No space left")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="as POSIX shells do")
def test_a_stream_must_be_there(recorded):
    """
    Where standard output was closed there is nothing to export to.
    """
    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *recorded.command("export", "csv", "-o", "-")],
        env=recorded.env(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert "standard output must be open" in done.stderr


def test_no_hostile_text_reaches_a_terminal(recorded):
    """
    On a terminal control characters are shown, not obeyed, and binary formats are refused.
    """
    pty = pytest.importorskip("pty")

    def on_terminal(*args):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execvpe(recorded.command()[0], recorded.command(*args), recorded.env())
        shown = b""
        try:
            while piece := os.read(terminal, 65536):
                shown += piece
        except OSError:  # the other end is closed
            pass
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()

    code, shown = on_terminal("export", "csv", "-o", "-", "--columns", "agent_name", "--no-color")
    # The bar is drawn with sequences of its own.
    assert code == 0
    assert "\x1b[31m" not in shown
    assert "\x1b]0" not in shown
    assert "\\u001b]0;title" in shown
    code, shown = on_terminal("export", "xlsx", "-o", "-")
    assert code == 2
    assert "nothing for a terminal" in shown
