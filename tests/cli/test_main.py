from __future__ import annotations

import contextlib
import os
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from telemetry.cli.catalogue import COMMANDS

HOSTILE = "evil\x1b[31m\x1b]0;title\x07\u202e\x9bname"
TIMEOUT_S = 60

#: Whether it is a directory, and its rights.
_PRIVATE = {(True, "700"), (False, "600")}
posix_only = pytest.mark.skipif(os.name == "nt", reason="needs POSIX descriptors")

#: Every command that answers, with what it needs.
READING = (
    ["runs"],
    ["show", "@last"],
    ["events", "@last"],
    ["tail"],
    ["stats"],
    ["config"],
    ["plugins"],
    ["recover", "--check-only"],
)


def test_help_names_every_command_and_exit_code(telemetry):
    """
    The help page lists the commands and what the exit codes mean, and makes nothing.
    """
    done = telemetry("--help")

    assert done.returncode == 0
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)
    assert "130  interrupted" in done.stdout
    assert not telemetry.base.exists()


@pytest.mark.parametrize("group", [(), ("backup",), ("token",), ("posts",)])
def test_no_command_shows_the_help(telemetry, group):
    """
    Of the whole or of a group of commands, as --help does.
    """
    bare, asked = telemetry.ask(*group), telemetry.ask(*group, "--help")

    assert (bare.returncode, bare.stderr) == (0, "")
    assert bare.stdout == asked.stdout


def test_the_help_page_fits_a_terminal(telemetry):
    """
    Each command has its line, whole and at most 80 columns wide.
    """
    lines = telemetry("--help").stdout.splitlines()

    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line.endswith("...") and "ARGS" not in line] == []
    assert all(
        any(line.split() == [name, *entry.summary.split()] for line in lines)
        for name, entry in COMMANDS.items()
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_the_shared_options(name):
    """
    --base-dir, --json, --utc and --no-color stand before a command or behind it.
    """
    from click.testing import CliRunner

    from telemetry.cli.main import cli

    done = CliRunner().invoke(cli, [name, "--help"])

    assert done.exit_code == 0
    assert all(f"--{option}" in done.output for option in ("base-dir", "json", "utc", "no-color"))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["rnus"], "there is no command 'rnus'; did you mean 'runs'?"),
        (["runs", "--since", "soonish"], "must be a time like 90s"),
        (["runs", "--status", "good"], "must be one of running, success"),
        (["runs", "--watch"], "--watch must have a terminal"),
        (["show"], "RUN must be given"),
        (["run"], "CMD... must be given"),
        (["runs", "--limit", "-1"], "--limit must be at least 0 (got '-1')"),
        (["runs", "--base-dir", ""], "--base-dir must name a directory (got ''); leave it out"),
        (["--base-dir", "", "runs"], "--base-dir must name a directory (got ''); leave it out"),
        (["query", "SELECT 1", "--timeout", "nan"], "--timeout must be a number (got 'nan')"),
        (["measure", "--seconds", "nan"], "--seconds must be a number (got 'nan')"),
        (["backup", "create", "--wait", "nan"], "--wait must be a number (got 'nan')"),
        (["runs", "--limit", "x"], "--limit must be an integer (got 'x')"),
        (["demo", "--seconds", "x"], "--seconds must be a number (got 'x')"),
        (["demo", "/no/such/folder"], "FOLDER must be a directory that exists"),
        (["completion", "tcsh"], "SHELL must be one of 'bash', 'zsh', 'fish' (got 'tcsh')"),
        (["runs", "--status", "faild"], "--status must be one of running, "),
    ],
)
def test_what_is_not_understood_exits_with_2(telemetry, args, words):
    """
    A wrong line is an error that says the rule and the value, and where the help is.
    """
    done = telemetry.ask(*args)

    assert done.returncode == 2
    assert words in done.stderr
    assert "--help" in done.stderr
    assert not done.stdout


def test_the_version_is_said(telemetry):
    """
    --version answers and nothing else happens.
    """
    assert telemetry("--version").stdout.startswith("telemetry ")


@pytest.mark.parametrize("command", ["runs", "tail", "stats"])
def test_a_base_directory_that_is_a_file_exits_with_3(telemetry, tmp_path, command):
    """
    A file in its place is named as one.
    """
    place = tmp_path / "file"
    place.write_text("x")

    done = telemetry(command, "--base-dir", place)

    assert done.returncode == 3
    assert "must be a directory" in done.stderr


def test_a_base_directory_that_is_missing_exits_with_3(telemetry, tmp_path):
    """
    A directory named on the line is not made by looking at it.
    """
    missing = tmp_path / "missing"

    for command in ("runs", "stats", "tail", "recover"):
        done = telemetry(command, "--base-dir", missing)

        assert done.returncode == 3
        assert str(missing) in done.stderr
    assert not missing.exists()


@pytest.mark.parametrize(
    "line",
    [
        ["runs"],
        ["posts", "list"],
        ["posts", "retry", "--all"],
        ["token", "list"],
        ["token", "revoke", "0123456789ab"],
    ],
)
def test_a_missing_base_directory_is_told_in_the_same_words(telemetry, tmp_path, line):
    """
    What is listed, sent again or revoked must be somewhere, as the runs that are shown.
    """
    missing = tmp_path / "missing"

    done = telemetry.ask(*line, "--base-dir", missing)

    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"error: base directory {missing} must exist to be read;"
        " see telemetry config base_dir, or make it with telemetry init\n"
    )
    assert not missing.exists()


def test_a_base_directory_that_is_a_file_exits_with_an_error(telemetry, tmp_path):
    """
    A file in the place of the directory is no traceback.
    """
    place = tmp_path / "file"
    place.write_text("x")

    done = telemetry("init", "--base-dir", place)

    assert done.returncode == 4
    assert str(place) in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_base_directory_has_no_runs(telemetry):
    """
    Before the first run the list is empty, which is fine, and the way on is said.
    """
    done = telemetry("runs")

    assert done.returncode == 0
    assert "telemetry demo" in done.stderr


@pytest.mark.parametrize("args", READING, ids=lambda args: args[0])
def test_every_answer_is_json_on_demand(recorded, args):
    """
    With --json standard output is JSON only: one document, or a line each from tail.
    """
    import json

    done = recorded.ask("--json", *args)

    assert done.returncode == 0
    documents = done.stdout.splitlines() if args[0] == "tail" else [done.stdout]
    assert documents
    assert all(isinstance(json.loads(text), dict) for text in documents)


@pytest.mark.parametrize("args", READING, ids=lambda args: args[0])
def test_nothing_is_coloured_in_a_pipe(recorded, args):
    """
    Output that is piped has no escape sequence, and hostile text none either.
    """
    done = recorded.ask(*args)

    assert done.returncode == 0
    assert not {"\x1b", "\x9b", "\u202e", "\x07"} & set(done.stdout + done.stderr)


def test_hostile_names_are_shown_as_escapes(recorded):
    """
    A name made of escape sequences is readable and harmless, in a table and in JSON.
    """
    table, document = recorded.ask("runs").stdout, recorded.ask("runs", "--json").stdout

    assert "evil\\x1b[31m\\x1b]0;title\\x07\\u202e\\x9bname" in table
    assert "\\u001b[31m" in document
    assert HOSTILE in [run["agent_name"] for run in recorded.json("runs")["runs"]]


def test_force_color_colours_a_pipe_and_no_color_wins(recorded):
    """
    FORCE_COLOR asks for colours, NO_COLOR and --no-color forbid them.
    """
    forced = {"FORCE_COLOR": "1"}

    assert "\x1b[" in recorded.ask("runs", **forced).stdout
    assert "\x1b[" not in recorded.ask("runs", **forced, NO_COLOR="1").stdout
    assert "\x1b[" not in recorded.ask("runs", "--no-color", **forced).stdout


@posix_only
@pytest.mark.parametrize("args", [["runs", "--limit", "0"], ["--help"], ["config"], ["tail", "-f"]])
def test_a_broken_pipe_is_quiet(recorded, args):
    """
    A reader that goes away, as head does, ends the command without a word.
    """
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            recorded.command(*args),
            env=recorded.env(),
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    finally:
        os.close(writer)

    assert done.returncode == 141
    assert not done.stderr


@posix_only
def test_closed_descriptors_are_no_failure(recorded):
    """
    A command started without standard error, or output, still does its work.
    """
    words = shlex.join(recorded.command("runs"))
    for closed in ("2>&-", ">&-"):
        done = subprocess.run(
            ["sh", "-c", f"{words} {closed}"],
            env=recorded.env(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

        assert done.returncode == 0
        assert "Traceback" not in done.stderr


@posix_only
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "line", [["runs"], ["query", "SELECT 1", "--csv"], ["completion", "fish"], ["--version"]]
)
def test_an_output_that_is_full_is_an_error(recorded, line):
    """
    An answer that could not be written is not reported as success.
    """
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = recorded(*line, stdout=full, stderr=subprocess.PIPE, capture_output=False)

    assert done.returncode == 4
    assert done.stderr == (
        "error: standard output must take the answer (No space left on device); write it elsewhere\n"
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_poor_encoding_is_no_failure(recorded, encoding):
    """
    Signs that the encoding lacks are replaced, in a table and in a tree.
    """
    env = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = recorded("runs", env=env, encoding=encoding)

    assert done.returncode == 0
    assert "+ success" in done.stdout


def test_a_plugin_that_cannot_be_read_leaves_help_alone(telemetry, tmp_path):
    """
    A base directory of nonsense does not take the help page away.
    """
    done = telemetry("--base-dir", "http://nowhere", "--help")

    assert done.returncode == 0
    assert "Look after:" in done.stdout


def test_importing_the_frame_loads_no_library():
    """
    The start of the command line imports neither rich nor what records.
    """
    heavy = ("rich", "attrs", "msgspec", "structlog", "pluggy", "sqlalchemy", "telemetry.config")
    code = f"import sys, telemetry.cli.main; print([n for n in {heavy!r} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=TIMEOUT_S
    )

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "line",
    [
        ["runs", "-n"],
        ["show", "@last", "-n"],
        ["events", "@last", "-n"],
        ["tail", "-n"],
        ["query", "SELECT 1", "-n"],
        ["export", "csv", "-o", "-", "-n"],
        ["posts", "list", "--limit"],
        ["backup", "prune", "--dry-run", "--keep"],
        ["backup", "prune", "--dry-run", "--keep-days"],
    ],
)
def test_more_than_there_can_be_is_all(recorded, line):
    """
    A number that no database counts to means all of it.
    """
    assert recorded.ask(*line, "9" * 30).returncode == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["runs", "-n", "-1"], "--limit must be at least 0 (got '-1')"),
        (["posts", "list", "--limit", "0"], "--limit must be at least 1 (got '0')"),
        (["demo", "--files", "0"], "--files must be from 1 to 100000 (got '0')"),
        (["query", "x", "--timeout", "0"], "--timeout must be more than 0 (got '0.0')"),
        (["backup", "prune", "--keep-days", "nan"], "--keep-days must be a number (got 'nan')"),
        (["retention", "--keep-runs", "9" * 30], "keep_runs must be a whole number from 0 on"),
        (["health", "--stale-after", "9" * 30], "stale_after must be at most 100 years"),
    ],
)
def test_a_number_that_will_not_do_is_refused_in_words(recorded, line, said):
    """
    The rule of a number is said as people say it.
    """
    done = recorded.ask(*line)

    assert done.returncode == 2
    assert said in done.stderr


def test_a_base_directory_that_is_a_file_is_refused(telemetry):
    """
    A file in the place of the base directory is said, however that was chosen.
    """
    telemetry.base.write_text("not a directory", encoding="utf-8")
    for words in (["runs"], ["stats"], ["tail"], ["--base-dir", str(telemetry.base), "runs"]):
        done = telemetry.ask(*words)

        assert (done.returncode, done.stdout) == (3, "")
        assert f"base directory {telemetry.base} must be a directory" in done.stderr


@pytest.mark.parametrize(
    "line",
    [
        ["init"],
        ["runs"],
        ["show", "@last"],
        ["stats"],
        ["query", "SELECT 1"],
        ["export", "csv"],
        ["stale"],
        ["backup", "create"],
        ["retention", "--keep-runs", "1"],
    ],
)
def test_the_database_of_another_application_is_refused(telemetry, line):
    """
    No command takes another program's database for an empty or a damaged one of ours.
    """
    path = telemetry.base / "db" / "telemetry.sqlite"
    (telemetry.base / "raw").mkdir(parents=True)
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text)")
    before = path.read_bytes()

    done = telemetry.ask(*line)

    assert (done.returncode, done.stdout) == (4, "")
    assert "must be this library's (got one of another application); move it away" in done.stderr
    assert path.read_bytes() == before


@posix_only
def test_a_directory_that_cannot_be_written_is_not_ready(telemetry, monkeypatch):
    """
    `init` does not call ready what nothing can be recorded into.
    """
    assert telemetry.ask("init").returncode == 0
    really = os.access
    monkeypatch.setattr(
        "os.access", lambda path, mode: Path(path).name != "raw" and really(path, mode)
    )

    done = telemetry.ask("init")

    assert done.returncode == 4
    assert "raw must be writable to record into" in done.stderr


@posix_only
@pytest.mark.parametrize("umask", ["000", "777"])
def test_what_is_made_is_its_owners_alone_whatever_the_umask(telemetry, tmp_path, umask):
    """
    Neither open to others, nor shut to the owner himself.
    """
    script = (
        f"umask {umask}; set -e; "
        '"$@" run -- true; "$@" token create a --scope read; "$@" backup create; "$@" init;'
        ' "$@" export csv -o runs.csv; "$@" export xlsx -o runs.xlsx'
    )
    done = subprocess.run(
        ["sh", "-c", script, "sh", *telemetry.command()],
        # Python's own compiled files would get what is left of their rights too.
        env=telemetry.env(PYTHONDONTWRITEBYTECODE="1"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    modes = {
        str(path): (path.is_dir(), f"{path.stat().st_mode & 0o777:o}")
        for path in tmp_path.rglob("*")
    }

    assert done.returncode == 0, done.stderr
    assert {(tmp_path / "runs.xlsx"), telemetry.base / "db"} <= set(map(Path, modes))
    assert {path: mode for path, mode in modes.items() if mode not in _PRIVATE} == {}


@pytest.mark.parametrize(
    "line",
    [
        ["show", "\udcff"],
        ["events", "\udcff"],
        ["runs", "--agent", "\udcff"],
        ["runs", "--agent", "\udcff", "--url", "http://127.0.0.1:1"],
        ["query", "SELECT '\udcff'"],
        ["export", "csv", "-o", "-", "--agent", "\udcff"],
        ["gate", "--min-runs", "1", "--agent", "\udcff"],
    ],
)
def test_what_is_no_text_is_refused(recorded, line):
    """
    Bytes that the terminal's encoding does not know are what no run can have; no traceback.
    """
    done = recorded.ask(*line)

    assert (done.returncode, done.stdout) == (2, "")
    assert "must be text in the terminal's encoding (got " in done.stderr
    assert "\\udcff" in done.stderr
