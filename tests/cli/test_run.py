from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from telemetry.cli.children.endings import Ending
from telemetry.cli.run import agent_name
from telemetry.model.run import Status

TIMEOUT_S = 60
posix_only = pytest.mark.skipif(os.name == "nt", reason="signals and sh are POSIX's")


def _recorded(telemetry):
    """
    Return the run that was recorded, its events, and what was measured.
    """
    document = telemetry.json("show", "@last")
    return document["run"], document["events"], document["run"]["metrics_json"]


def _python(code):
    return ["--", sys.executable, "-c", code]


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_the_exit_code_is_passed_on(telemetry, code):
    """
    The command's exit code is ours, and the run says how it ended.
    """
    done = telemetry("run", "--agent", "me", *_python(f"raise SystemExit({code})"))
    run, _, metrics = _recorded(telemetry)

    assert done.returncode == code
    assert run["status"] == ("success" if code == 0 else "failed")
    assert run["error_summary"] == (None if code == 0 else f"ExitCode: exited with {code}")
    assert metrics["exit_code"] == code
    assert (run["agent_name"], run["job_type"]) == ("me", "command")


@posix_only
@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGTERM"])
def test_a_signal_is_128_and_its_number(telemetry, name):
    """
    A command that a signal ends is reported as shells do, and the signal is named.
    """
    number = getattr(signal, name)
    done = telemetry("run", "--", "sh", "-c", f"kill -{number.value} $$")
    run, _, metrics = _recorded(telemetry)

    assert done.returncode == 128 + number
    assert run["error_summary"] == f"Signal: killed by {name} ({number.value})"
    assert metrics["signal"] == f"{name} ({number.value})"


@posix_only
def test_output_passes_through_unchanged(telemetry):
    """
    Every byte arrives, on its own stream, also bytes that are no text.
    """
    code = (
        "import sys; sys.stdout.buffer.write(bytes(range(256)) * 1000);"
        "sys.stderr.buffer.write(b'\\xff\\x00err')"
    )
    done = telemetry("run", *_python(code), text=False, encoding=None)
    run, events, _ = _recorded(telemetry)

    assert done.stdout == bytes(range(256)) * 1000
    assert done.stderr == b"\xff\x00err"
    assert events[0]["payload"]["stdout_bytes"] == 256_000
    assert run["status"] == "success"


@posix_only
def test_output_passes_through_at_once(telemetry):
    """
    A line is there before the command goes on: nothing is held back.
    """
    code = "import sys; print('first', flush=True); sys.stdin.readline(); print('second')"
    with subprocess.Popen(
        telemetry.command("run", *_python(code)),
        env=telemetry.env(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        first = process.stdout.readline()
        rest, _ = process.communicate(b"go\n", timeout=TIMEOUT_S)

    assert (first, rest) == (b"first\n", b"second\n")


@posix_only
def test_one_stream_for_both_keeps_their_order(telemetry):
    """
    Where standard output and error are one file, what was written first stands first.
    """
    script = "for i in 1 2 3 4 5; do echo out$i; echo err$i >&2; done"
    done = telemetry("run", "--", "sh", "-c", script, capture_output=False,
                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip

    assert done.stdout.split() == [f"{name}{i}" for i in range(1, 6) for name in ("out", "err")]


@posix_only
def test_what_the_shell_hands_down_reaches_the_command(telemetry):
    """
    Further descriptors, such as those of <(...), are the command's.
    """
    reader, writer = os.pipe()
    os.write(writer, b"handed down")
    os.close(writer)
    done = telemetry("run", "--", "sh", "-c", f"cat /dev/fd/{reader}", pass_fds=[reader])
    os.close(reader)

    assert done.stdout == "handed down"


def test_the_end_of_the_output_is_kept(telemetry):
    """
    A bounded end of each stream is an event, its last line the summary, the errors the details.
    """
    code = "import sys; [print(n) for n in range(5000)]; print('bad', file=sys.stderr); sys.exit(1)"
    telemetry("run", "--tail", "100", *_python(code))
    run, events, _ = _recorded(telemetry)
    kept = events[0]["payload"]["stdout"].split()

    assert kept == [str(n) for n in range(5000 - len(kept), 5000)]
    assert 15 <= len(kept) <= 20
    assert run["output_summary"] == "4999"
    assert run["error_details"].strip() == "bad"


def test_nothing_is_kept_if_that_is_asked_for(telemetry):
    """
    --tail 0 passes everything through and keeps nothing of it.
    """
    done = telemetry("run", "--tail", "0", *_python("print('private')"))
    run, events, _ = _recorded(telemetry)

    assert done.stdout == "private\n"
    assert events == []
    assert run["output_summary"] is None


def test_secrets_do_not_reach_the_journal(telemetry):
    """
    What the command printed, and its own line, are scrubbed like everything else.
    """
    secret = "ghp_" + "a1B2" * 9
    telemetry("run", *_python(f"print('token={secret}')"), "--token", secret)
    journal = b"".join(path.read_bytes() for path in (telemetry.base / "raw").iterdir())

    assert b"token" in journal
    assert secret.encode() not in journal


@posix_only
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_handed_down(telemetry, number):
    """
    A signal sent to us reaches the command, which answers as it likes.
    """
    script = f"trap 'echo got; exit 9' {number.value}; echo up; while :; do sleep 0.05; done"
    with subprocess.Popen(
        telemetry.command("run", "--", "sh", "-c", script),
        env=telemetry.env(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        process.stdout.readline()
        os.kill(process.pid, number)
        rest, _ = process.communicate(timeout=TIMEOUT_S)
    run, _, _ = _recorded(telemetry)

    assert rest == b"got\n"
    assert process.returncode == 9
    stopped = number != signal.SIGUSR1
    assert run["status"] == ("cancelled" if stopped else "failed")


@posix_only
def test_a_reader_that_goes_ends_the_command_as_without_us(telemetry):
    """
    The command gets SIGPIPE, and we report it.
    """
    words = shlex.join(telemetry.command("run", "--", "yes"))
    done = subprocess.run(
        ["bash", "-c", f"{words} | head -1; exit ${{PIPESTATUS[0]}}"],
        env=telemetry.env(LC_ALL="C"),  # bash complains of a locale that is not installed
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )

    assert done.stdout == "y\n"
    assert done.returncode == 141
    assert not done.stderr


@pytest.mark.parametrize(
    ("command", "code", "error", "told"),
    [
        ("no-such-command-here", 127, "FileNotFoundError", "got no-such-command-here: No such"),
        ("no such command", 127, "FileNotFoundError", "got 'no such command': No such file"),
        ("", 127, "FileNotFoundError", "got '': it is empty); check the name and PATH"),
        ("/", 126, "PermissionError", "got /: "),
    ],
)
@posix_only
def test_a_command_that_cannot_start_is_a_failed_run(telemetry, command, code, error, told):
    """
    127 and 126 as in a shell, one line that says why, and a run that says it too.
    """
    done = telemetry("run", "--", command)
    run, _, _ = _recorded(telemetry)

    assert done.returncode == code
    assert done.stderr.startswith(
        f"telemetry run: the command must be one that can be started ({told}"
    )
    assert done.stderr.count("\n") == 1
    assert run["status"] == "failed"
    assert run["error_summary"].startswith(error)


def test_runs_of_the_command_are_nested(telemetry):
    """
    The command's environment names its parent run and trace, so what it records is nested.
    """
    code = (
        "import os; from telemetry import TelemetryClient\n"
        "with TelemetryClient().track_run('inner', 'job') as run: print(run.trace_id)\n"
        "print(os.environ['TELEMETRY_PARENT_RUN_ID'], os.environ['TRACEPARENT'])"
    )
    done = telemetry("run", "--agent", "outer", *_python(code))
    trace_id, parent, traceparent = done.stdout.split()
    document = telemetry.json("show", parent)

    assert document["run"]["agent_name"] == "outer"
    assert [child["run"]["agent_name"] for child in document["runs"]] == ["inner"]
    assert trace_id == document["run"]["trace_id"] == traceparent.split("-")[1]


def test_options_behind_the_command_are_its_own(telemetry):
    """
    What follows the command's name is never ours, with or without the two dashes.
    """
    code = "import sys; print(sys.argv[1:])"
    done = telemetry("run", sys.executable, "-c", code, "--json", "-v", "--tail", "5")

    assert done.stdout == "['--json', '-v', '--tail', '5']\n"
    assert not done.stderr


def test_json_is_one_line_on_standard_error(telemetry):
    """
    --json tells the run without touching the command's output; -v tells it in words.
    """
    done = telemetry("run", "--json", *_python("print('out')"))
    document = json.loads(done.stderr)
    words = telemetry("run", "-v", *_python("")).stderr

    assert done.stdout == "out\n"
    assert document["status"] == "success"
    assert document["run_id"] == telemetry.json("runs")["runs"][1]["run_id"]
    assert ": success in " in words


@posix_only
def test_a_command_uses_memory_and_time(telemetry):
    """
    Peak memory and CPU time are measured; a peak below our own is said as a bound.
    """
    telemetry("run", *_python("x = bytearray(200_000_000); x[::4096] = b'x' * len(x[::4096])"))
    _, _, large = _recorded(telemetry)
    telemetry("run", "--", "true")
    _, _, small = _recorded(telemetry)

    # Where this test's own process is larger than that, only a bound is known.
    peak_bytes = large.get("peak_memory_bytes") or large["peak_memory_below_bytes"]
    assert peak_bytes > 200_000_000
    assert large["cpu_user_s"] + large["cpu_system_s"] > 0
    assert {"peak_memory_bytes", "peak_memory_below_bytes"} & set(small)


@posix_only
def test_a_base_directory_that_cannot_be_used_does_not_stop_the_command(telemetry, tmp_path):
    """
    The command runs and its exit code is passed on, whatever becomes of the recording.
    """
    place = tmp_path / "file"
    place.write_text("in the way")
    env = {"TELEMETRY_BASE_DIR": str(place), "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    done = telemetry("run", "--", "sh", "-c", "echo works; exit 7", env=env)

    assert (done.returncode, done.stdout) == (7, "works\n")
    assert "Traceback" not in done.stderr


def test_nothing_is_recorded_while_switched_off(telemetry):
    """
    TELEMETRY_DISABLED=1 leaves the command alone, and makes no file.
    """
    done = telemetry("run", *_python("print(1)"), env={"TELEMETRY_DISABLED": "1"})

    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
    assert not telemetry.base.exists()


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (("/usr/bin/make", "test"), "make"),
        (("python3.11", "jobs/nightly.py"), "nightly"),
        (("python", "-m", "http"), "python"),
        (("C:\\x\\tool.EXE",), "C:\\x\\tool" if os.name != "nt" else "tool"),
        (("bash",), "bash"),
    ],
)
def test_the_agent_is_named_after_the_command(command, name):
    """
    A script's interpreter does not name the agent; the script does.
    """
    assert agent_name(command) == name


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (Ending(exit_code=0), Status.SUCCESS),
        (Ending(exit_code=2), Status.FAILED),
        (Ending(exit_code=130, signal=2), Status.CANCELLED),
        (Ending(exit_code=143, signal=15), Status.FAILED),
        (Ending(exit_code=143, signal=15, was_stopped=True), Status.CANCELLED),
        (Ending(exit_code=0, was_stopped=True), Status.SUCCESS),
    ],
)
def test_an_ending_is_a_status(ending, status):
    """
    What a person stopped is cancelled; what ended well in spite of it is a success.
    """
    assert ending.status is status


@posix_only
def test_a_name_that_the_locale_lacks_is_no_hindrance(telemetry):
    """
    Where the locale knows ASCII alone, a command runs all the same, and what it records is nested.
    """
    inner = "from telemetry import TelemetryClient as T; T().start_run('inner', 'job', run_id='in')"
    poor = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

    done = telemetry("run", "--agent", "gr\u00f6\u00dfe", *_python(inner), env=poor)

    assert (done.returncode, done.stderr) == (0, "")
    runs = {run["job_type"]: run for run in telemetry.json("runs")["runs"]}
    assert runs["job"]["parent_run_id"] == runs["command"]["run_id"]


@posix_only
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_finds_no_room_is_said(telemetry):
    """
    What a full disk does not take is said on standard error.
    """
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = telemetry(
            "run", *_python("print('x')"), stdout=full, stderr=subprocess.PIPE, capture_output=False
        )

    assert "the output must find room where it goes (No space left" in done.stderr
