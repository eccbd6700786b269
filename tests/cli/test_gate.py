from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from datetime import datetime, timedelta, timezone

import pytest

from telemetry import TelemetryConfig
from telemetry.cli.gaterules import gate_from, gates_in
from telemetry.model.errors import UsageError
from telemetry.model.values import time_text
from telemetry.runtime.runtime import Runtime

NOW = datetime.now(timezone.utc)
HASH = "a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4e5f6a1b2"


@pytest.fixture
def record(telemetry):
    """
    Record finished runs that began so long ago.
    """

    def write(*runs):
        runtime = Runtime(
            TelemetryConfig(base_dir=telemetry.base, plugins_disabled=("git_linker",))
        )
        from telemetry.model.records import Change

        for number, fields in enumerate(runs):
            began = NOW - fields.pop("ago", timedelta(minutes=5))
            key = f"key-{number}"
            said = {
                "agent_name": "seo", "job_type": "crawl", "status": "success",
                "start_time": time_text(began), "duration_ms": 100, **fields,
            }  # fmt: skip
            runtime.recorder.change(Change.RECORDED, key, f"run-{number}", said)
        assert runtime.catch_up(20)
        runtime.close(60)

    return write


def verdicts(telemetry, *args):
    done = telemetry.ask("gate", *args, "--json")
    assert done.returncode in {0, 1}, done.stderr
    document = json.loads(done.stdout)
    assert document["passed"] == (done.returncode == 0)
    return {rule["rule"]: rule["outcome"] for gate in document["gates"] for rule in gate["rules"]}


def test_rules_that_are_kept_end_with_0(telemetry, record):
    """
    Each kept rule is a line that says what was measured and what is allowed.
    """
    record({}, {}, {}, {"status": "failed", "items_failed": 2, "duration_ms": 900})
    done = telemetry.ask(
        "gate", "--max-failure-rate", "25%", "--max-p95", "1s", "--max-items-failed", "2"
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "✓ 4 runs, at least 1",
        "✓ the failure rate is 25.0%, at most 25.0%",
        "✓ the 95th percentile of the duration is 900 ms, at most 1,000 ms",
        "✓ the number of failed items is 2, at most 2",
    ]


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["--max-failure-rate", "0.2"], "✗ the failure rate is 50.0%, more than 20.0%"),
        (["--max-p95", "500"], "✗ the 95th percentile of the duration is 900 ms, more than 500 ms"),
        (["--max-items-failed", "1"], "✗ the number of failed items is 2, more than 1"),
        (["--min-runs", "5"], "✗ 4 runs, fewer than 5"),
        (["--agent", "nobody", "--min-runs", "1"], "✗ 0 runs, fewer than 1"),
    ],
)
def test_a_broken_rule_ends_with_1_and_its_reason(telemetry, record, args, reason):
    """
    Each rule that is broken says what was measured and what is allowed.
    """
    record(
        {}, {"status": "timeout"}, {}, {"status": "failed", "items_failed": 2, "duration_ms": 900}
    )
    done = telemetry.ask("gate", *args)

    assert done.returncode == 1
    assert reason in done.stdout.splitlines()


def test_nothing_is_not_good(telemetry, record):
    """
    Without runs no rule is kept, unless the gate says that there need be none.
    """
    record({"status": "running", "duration_ms": None})

    assert verdicts(telemetry, "--agent", "x", "--max-failure-rate", "1") == {
        "min_runs": "failed",
        "max_failure_rate": "failed",
    }
    assert verdicts(telemetry, "--max-p95", "1h") == {"min_runs": "passed", "max_p95_ms": "failed"}
    assert verdicts(telemetry, "--agent", "x", "--max-failure-rate", "1", "--min-runs", "0") == {
        "min_runs": "passed",
        "max_failure_rate": "skipped",
    }


def test_a_window_is_compared_with_what_was_before(telemetry, record):
    """
    A regression is measured against the same work in the time before the window.
    """
    day = timedelta(days=1)
    record(
        {"duration_ms": 150}, {"duration_ms": 150, "status": "failed"},
        {"duration_ms": 100, "ago": 2 * day}, {"duration_ms": 100, "ago": 3 * day},
        {"duration_ms": 9, "ago": 30 * day, "status": "failed"},
        {"duration_ms": 1, "ago": 2 * day, "agent_name": "other"},
    )  # fmt: skip
    window = ["--agent", "seo", "--since", "24h", "--baseline", "7d"]

    def outcome(*rule):
        return verdicts(telemetry, *window, *rule)[rule[0][2:].replace("-", "_")]

    assert outcome("--max-slowdown", "50%") == "passed"
    assert outcome("--max-slowdown", "0.4") == "failed"
    assert outcome("--max-failure-increase", "50%") == "passed"
    assert outcome("--max-failure-increase", "49%") == "failed"
    nothing_before = ["--agent", "seo", "--since", "60d", "--baseline", "7d"]
    assert verdicts(telemetry, *nothing_before, "--max-slowdown", "0") == {
        "min_runs": "passed",
        "max_slowdown": "skipped",
    }


def test_runs_are_chosen_by_commit_and_kind(telemetry, record):
    """
    A gate can be about one commit's runs, and leave tests out.
    """
    record(
        {"git_commit_hash": HASH}, {"git_commit_hash": "b" * 40, "status": "failed"},
        {"job_type": "test", "status": "failed"},
    )  # fmt: skip

    assert verdicts(telemetry, "--max-failure-rate", "0", "--commit", HASH[:7].upper()) == {
        "min_runs": "passed",
        "max_failure_rate": "passed",
    }
    assert (
        verdicts(telemetry, "--max-failure-rate", "0.5", "--exclude-test")["max_failure_rate"]
        == "passed"
    )
    assert verdicts(telemetry, "--max-failure-rate", "0.5")["max_failure_rate"] == "failed"


def test_gates_come_from_a_file(telemetry, record, tmp_path):
    """
    Each table of the file is a gate; what the line says holds where a gate does not.
    """
    record({}, {"agent_name": "mailer", "status": "failed", "git_commit_hash": HASH})
    path = tmp_path / "gates.toml"
    path.write_text(
        '[[gate]]\nname = "crawl"\nagent = "seo"\nmax_failure_rate = "5%"\nsince = "24h"\n'
        '[[gate]]\nname = "mail"\nagent = "mailer"\nmax_failure_rate = 0.5\nmin_runs = 0\n'
    )
    report = tmp_path / "junit.xml"
    done = telemetry.ask("gate", "--file", path, "--junit", report)
    root = ET.parse(report).getroot()

    assert done.returncode == 1
    assert "✗ mail: the failure rate is 100.0%, more than 50.0%" in done.stdout
    assert [suite.get("name") for suite in root] == ["crawl", "mail"]
    assert [suite.get("failures") for suite in root] == ["0", "1"]
    assert root.find(".//failure").get("message") == "the failure rate is 100.0%, more than 50.0%"
    assert telemetry.ask("gate", "-f", path, "--commit", "f" * 40).returncode == 1


def test_a_report_is_xml_whatever_the_names(telemetry, record, tmp_path):
    """
    Names that XML cannot hold are written so that it can.
    """
    record({})
    path = tmp_path / "gates.toml"
    path.write_text('[[gate]]\nname = "a\\u0001<b>&\\u001b"\nmin_runs = 1\n')
    report = tmp_path / "junit.xml"

    assert telemetry.ask("gate", "-f", path, "--junit", report).returncode == 0
    assert ET.parse(report).getroot()[0].get("name") == "a\ufffd<b>&\ufffd"


@pytest.mark.parametrize("option", ["--max-failure-rate", "--min-runs", "--agent", "--since"])
def test_an_empty_option_is_not_passed_over(telemetry, option):
    """
    A variable that is not set must not make a gate that everything passes.
    """
    done = telemetry.ask("gate", "--max-items-failed", "0", option, "")

    assert (done.returncode, done.stdout) == (2, "")
    assert f"{option[2:].replace('-', '_')} of gate 1 must be" in done.stderr


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ({}, "must have a rule"),
        ({"agent": "x"}, "must have a rule"),
        ({"max_failure_rate": 1.5}, "from 0 to 1"),
        ({"max_failure_rate": "150%"}, "from 0 to 1"),
        ({"max_failure_rate": "-1%"}, "a share such as"),
        ({"max_failure_rate": True}, "a share such as"),
        ({"max_failure_rate": "5ms"}, "a share such as"),
        ({"max_p95": "5%"}, "a duration such as"),
        ({"max_p95": "soon"}, "a duration such as"),
        ({"max_p95": "9" * 400}, "a duration that a run can have"),
        ({"max_items_failed": -1}, "a whole number"),
        ({"max_items_failed": 1.0}, "a whole number"),
        ({"min_runs": "many"}, "a whole number"),
        ({"max_slowdown": "20%"}, "must have a baseline"),
        ({"min_runs": 1, "baseline": "7d"}, "must be for a rule"),
        ({"max_slowdown": "20%", "baseline": "7d"}, "say since"),
        ({"max_slowdown": "20%", "baseline": "today", "since": "1d"}, "a length of time"),
        ({"min_runs": 1, "since": "1d", "until": "2d"}, "begin before it ends"),
        ({"min_runs": 1, "since": "sometimes"}, "must be a time"),
        ({"min_runs": 1, "commit": "HEAD"}, "7 to 40 hex digits"),
        ({"min_runs": 1, "agent": ""}, "must be text"),
        ({"min_runs": 1, "exclude_test": "yes"}, "true or false"),
        ({"max_failure_rates": 1}, "did you mean 'max_failure_rate'?"),
        ({"zzz": 1}, "it can be"),
    ],
)
def test_rules_that_make_no_sense_are_refused(said, rule):
    """
    A rule that could never be meant is an error that names the key, the rule and the value.
    """
    with pytest.raises(UsageError, match=rule.replace("?", r"\?")):
        gate_from(said, NOW)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("[[gate]]\nmin_runs = ", "must be TOML"),
        ("", r"tables \[\[gate\]\]"),
        ("gate = 3", r"tables \[\[gate\]\]"),
        ("[gates.a]\nmin_runs = 1", "got 'gates'"),
        ('[[gate]]\nname = "a"\nmin_runs = 1\n[[gate]]\nname = "a"\nmin_runs = 1', "of its own"),
    ],
)
def test_a_file_without_gates_is_refused(tmp_path, text, rule):
    """
    A file that is no TOML or holds no gates is an error that names it.
    """
    path = tmp_path / "gates.toml"
    path.write_text(text)

    with pytest.raises(UsageError, match=rule):
        gates_in(path, {}, NOW)


def test_one_gate_may_stand_alone(tmp_path):
    """
    A single table ``[gate]`` will do, with times as TOML writes them.
    """
    path = tmp_path / "gates.toml"
    path.write_text("[gate]\nmin_runs = 2\nsince = 2026-11-01T10:00:00Z\nmax_p95 = 1500\n")
    (gate,) = gates_in(path, {"agent": "seo"}, NOW)

    assert (gate.min_runs, gate.max_p95_ms, gate.selection.filter.agent) == (2, 1500, "seo")
    assert gate.selection.filter.since == "2026-11-01T10:00:00.000000Z"


def test_what_cannot_be_checked_is_said(telemetry, tmp_path):
    """
    A missing database or file ends with 3, nonsense with 2.
    """
    assert telemetry.ask("gate", "--min-runs", "1").returncode == 3
    assert telemetry.ask("gate", "--file", tmp_path / "none.toml").returncode == 3
    assert telemetry.ask("gate").returncode == 2
