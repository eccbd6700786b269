from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest


def _names(recorded, *args):
    return [run["agent_name"] for run in recorded.json("runs", *args)["runs"]]


def test_runs_are_listed_newest_first(recorded):
    """
    The list begins with the newest run and has every column of a run.
    """
    document = recorded.json("runs")
    starts = [run["start_time"] for run in document["runs"]]

    assert starts == sorted(starts, reverse=True)
    assert len(document["runs"]) == 5
    assert document["has_more"] is False
    assert {"event_id", "run_id", "status", "duration_ms", "metrics_json"} <= set(
        document["runs"][0]
    )


@pytest.mark.parametrize(
    ("args", "names"),
    [
        (["--agent", "mailer"], ["mailer"]),
        (["--agent", "nobody"], []),
        (["--job-type", "part"], ["importer"]),
        (["--status", "partial"], ["importer"]),
        (["--status", "SUCCEEDED", "--agent", "importer"], ["importer"]),
        (["--status", "failed", "--status", "partial"], ["sleeper", "mailer", "importer"]),
        (["--failed"], ["sleeper", "mailer"]),
        (["--failed", "--limit", "1"], ["sleeper"]),
        (["--search", "NO ROUTE"], ["mailer"]),
        (["--since", "1h", "--agent", "mailer"], ["mailer"]),
        (["--until", "1h"], []),
        (["--parent", "@last"], []),
    ],
)
def test_filters_choose(recorded, args, names):
    """
    Each filter leaves what it names; several statuses are any of them, other filters all of them.
    """
    assert _names(recorded, *args) == names


def test_since_and_until_enclose(recorded):
    """
    Absolute times bound the start, the later one exclusive.
    """
    now = datetime.now(timezone.utc)
    yesterday, tomorrow = (now + timedelta(days=days) for days in (-1, 1))

    assert len(_names(recorded, "--since", yesterday.isoformat())) == 5
    assert _names(recorded, "--since", tomorrow.isoformat()) == []
    assert len(_names(recorded, "--until", tomorrow.isoformat())) == 5


def test_parent_lists_what_is_nested(recorded):
    """
    --parent takes the name of a run in every form and lists the runs in it.
    """
    parent = recorded.json("runs", "--job-type", "nightly")["runs"][0]

    for name in (parent["run_id"], parent["event_id"], parent["run_id"][-8:]):
        assert [run["job_type"] for run in recorded.json("runs", "--parent", name)["runs"]] == [
            "part"
        ]


def test_the_dead_are_named(recorded):
    """
    A run whose process has gone is listed as dead, with its own short id.
    """
    line = next(line for line in recorded.ask("runs").stdout.splitlines() if "sleeper" in line)

    assert line.split()[:4] == ["own-1", "†", "dead", "sleeper"]
    assert "is gone" in line


def test_quiet_lists_ids_alone(recorded):
    """
    -q is for scripts: one whole run id a line.
    """
    done = recorded.ask("runs", "-q", "--agent", "importer")

    runs = recorded.json("runs", "--agent", "importer")["runs"]

    assert done.stdout.splitlines() == [run["run_id"] for run in runs]


def test_a_limit_says_that_there_is_more(recorded):
    """
    A list that was cut says so, and zero means all.
    """
    assert recorded.json("runs", "--limit", "2")["has_more"] is True
    assert len(recorded.json("runs", "--limit", "0")["runs"]) == 5


def test_utc_is_marked(recorded):
    """
    --utc shows UTC with its mark; local time has none.
    """
    env = {"TZ": "Asia/Tokyo"}
    utc, local = (recorded("runs", *args, env=env).stdout for args in (["--utc"], []))
    stored = recorded.json("runs")["runs"][0]["start_time"][:19].replace("T", " ")

    assert f"{stored}Z" in utc
    assert f"{stored}Z" not in local
    assert stored not in local


def test_the_shortest_way_gives_the_same_list(recorded):
    """
    A list found without loading the library is the list that the library gives.
    """
    quick = recorded.ask("runs").stdout
    long = recorded.ask("runs", "--since", "2000-01-01").stdout

    assert quick == long


def test_a_run_in_progress_is_running(telemetry):
    """
    A live process's run is shown as running, with the time it has taken so far.
    """
    import subprocess
    import sys

    code = (
        "import sys; from telemetry import TelemetryClient; c = TelemetryClient();"
        "c.start_run('agent', 'job'); print('up', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=telemetry.env(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        done = telemetry("runs")
        process.kill()
    dead = telemetry("runs")

    assert "● running" in done.stdout
    assert "† dead" in dead.stdout


def test_a_filter_that_nothing_passes_says_so(recorded):
    """
    Where there are runs, but none as asked for, the answer does not speak of an empty directory.
    """
    done = recorded("runs", "--agent", "nobody")

    assert done.returncode == 0
    assert "is as asked for; see telemetry runs" in done.stderr
    assert "telemetry demo" not in done.stderr


def test_an_unknown_name_with_an_at_sign_names_the_known_ones(recorded):
    """
    @lst is neither a run nor a part of one.
    """
    done = recorded("show", "@lst")

    assert done.returncode == 3
    assert "must be @last or @last-failed (got '@lst')" in done.stderr


def test_a_run_without_events_says_which_are_missing(recorded):
    """
    There is no heading over nothing, and the type that was asked for is named.
    """
    done = recorded("events", "@last", "--type", "nothing")

    assert not done.stdout
    assert "has logged no events of type 'nothing'" in done.stderr
