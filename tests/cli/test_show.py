from __future__ import annotations

import pytest

from telemetry import TelemetryClient
from telemetry.config import TelemetryConfig


def test_show_tells_all_of_a_run(recorded):
    """
    The document has the run, what is nested in it, its events, commits and history.
    """
    run_id = recorded.json("runs", "--job-type", "nightly")["runs"][0]["run_id"]
    document = recorded.json("show", run_id)

    assert document["run"]["run_id"] == run_id
    assert [child["run"]["job_type"] for child in document["runs"]] == ["part"]
    assert document["runs"][0]["runs"] == []
    assert document["events"][0]["event_type"] == "begun"
    assert document["events"][0]["payload"] == {"file": "a.csv"}
    assert document["commits"][0]["commit_hash"] == "a1b2c3d4e5f6"
    assert {"started", "ended"} <= {record["change"] for record in document["history"]}


def test_show_draws_the_tree(recorded):
    """
    The page has the nested runs as a tree, the events and the commit.
    """
    run_id = recorded.json("runs", "--job-type", "nightly")["runs"][0]["run_id"]
    page = recorded.ask("show", run_id).stdout

    assert "importer nightly" in page
    assert "└─ rows" in page
    assert "a1b2c3d4e5f6" in page
    assert '{"file":"a.csv"}' in page


def test_show_tells_an_error_with_its_traceback(recorded):
    """
    A failed run shows what was raised and where.
    """
    page = (
        recorded.ask("show", "@last-failed").stdout + recorded.ask("show", _mailer(recorded)).stdout
    )

    assert "is gone" in page
    assert "OSError: no route" in page
    assert "Traceback (most recent call last)" in page
    assert "inferred" in page


def _mailer(recorded):
    return recorded.json("runs", "--agent", "mailer")["runs"][0]["run_id"]


@pytest.mark.parametrize("cut", [8, 12])
def test_a_run_is_known_by_either_end_of_its_id(recorded, cut):
    """
    The beginning and the end of either id name a run if they name only one.
    """
    run = recorded.json("runs", "--agent", "mailer")["runs"][0]

    ends = (run["run_id"][-cut:], run["run_id"][: -cut + 4], run["event_id"][-cut:])
    for name in (*ends, run["event_id"]):
        assert recorded.json("show", name)["run"]["run_id"] == run["run_id"]


def test_last_is_the_newest(recorded):
    """
    @last and @last-failed spare the typing.
    """
    assert recorded.json("show", "@last")["run"]["agent_name"] == "sleeper"
    assert recorded.json("show", "own-1")["run"]["agent_name"] == "sleeper"


def test_an_ambiguous_name_lists_what_it_may_mean(recorded):
    """
    A name that several runs share exits with 2 and shows their ids.
    """
    year = recorded.json("runs", "--agent", "mailer")["runs"][0]["run_id"][:4]
    done = recorded.ask("show", year)

    assert done.returncode == 2
    assert "must mean one run" in done.stderr
    assert "mailer" in done.stderr
    assert not done.stdout


@pytest.mark.parametrize("command", ["show", "events", "tail"])
@pytest.mark.parametrize("name", ["nobody", "", "%", "\x1b[31m", "x" * 5000])
def test_an_unknown_name_exits_with_3(recorded, command, name):
    """
    A name that no run has is said with the place that was searched; wildcards are letters.
    """
    done = recorded.ask(command, name)

    assert done.returncode == 3
    assert str(recorded.base) in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("name", ["@last", "@last-failed"])
def test_last_of_nothing_exits_with_3(telemetry, name):
    """
    Where nothing is recorded, the newest run is missing.
    """
    done = telemetry("show", name)

    assert done.returncode == 3
    assert "telemetry demo" in done.stderr


def test_events_lists_them_in_order(recorded):
    """
    Events come as they were logged, of one type if asked, the last ones if limited.
    """
    run_id = recorded.json("runs", "--job-type", "part")["runs"][0]["run_id"]

    assert [e["payload"] for e in recorded.json("events", run_id)["events"]] == [{"n": 1}]
    assert recorded.json("events", run_id, "--type", "other")["events"] == []
    assert "row" in recorded.ask("events", run_id, "--limit", "1").stdout


def test_stats_say_nothing_of_durations_that_nobody_knows(telemetry):
    """
    Where no run has ended there is no average, and no line about it.
    """
    client = TelemetryClient(TelemetryConfig.from_env({}, base_dir=telemetry.base))
    client.start_run("importer", "nightly")
    client.flush()
    done = telemetry("stats")
    client.close()

    assert "1 running" in done.stdout
    assert "on average" not in done.stdout


def test_stats_counts_everything(recorded):
    """
    The counts are over all runs, in words and as a document.
    """
    document = recorded.json("stats")

    assert document["total_runs"] == 5
    assert document["status_counts"] == {"failed": 2, "partial": 1, "success": 2}
    assert document["agents"]["importer"]["runs"] == 2
    assert "5 runs" in recorded.ask("stats").stdout
