"""
`telemetry health` as people, cron and Prometheus meet it.
"""

from __future__ import annotations

import json

import pytest
from prometheus_client.parser import text_string_to_metric_families


def test_a_sound_base_says_so(sound):
    """
    A line for each check, the verdict last, and 0.
    """
    done = sound.ask("health")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == f"✓ {sound.base} is sound"
    assert "every page of the database is whole" in done.stdout


def test_a_finding_is_1_and_names_the_way_out(sound):
    """
    What is wrong, and the next command.
    """
    sound.base.joinpath("db", "telemetry.sqlite").write_bytes(b"no database at all" * 100)

    done = sound.ask("health")
    assert done.returncode == 1
    assert "→ telemetry recover" in done.stdout
    assert "needs attention" in done.stdout.splitlines()[-1]


def test_a_base_that_is_not_there_exits_with_3(telemetry):
    """
    A monitor wants an answer, also where there is nothing; its code is that of every command.
    """
    done = telemetry.ask("health")

    assert done.returncode == 3
    assert "telemetry init" in done.stdout
    assert not telemetry.base.exists()


def test_warnings_count_only_under_strict(sound):
    """
    A warning is 0, and 1 with --strict.
    """
    line = ["health", "--idle-warn", "0s"]

    done = sound.ask(*line)
    assert done.returncode == 0
    assert "is sound, with 1 warning" in done.stdout
    assert sound.ask(*line, "--strict").returncode == 1
    assert sound.ask(*line, "--idle-warn", "off", "--strict").returncode == 0


def test_a_file_sets_limits_and_the_line_wins(sound, tmp_path):
    """
    config/health.toml is read by itself, another file by name, and an option goes before both.
    """
    own = sound.base / "config" / "health.toml"
    own.parent.mkdir()
    own.write_text('[health]\nfree_fail = "1000TB"\n')
    other = tmp_path / "other.toml"
    other.write_text('idle_fail = "0s"\n')

    assert sound.ask("health").returncode == 1
    assert sound.ask("health", "--free-fail", "1KB").returncode == 0
    done = sound.ask("health", "--limits", other, "--summary")
    assert done.returncode == 1
    assert "1 finding: activity: " in done.stdout
    missing = sound.ask("health", "--limits", tmp_path / "missing.toml")
    assert missing.returncode == 3


def test_the_summary_is_one_line(sound):
    """
    For the subject of a mail: state, place, numbers, reasons.
    """
    good = sound.ask("health", "--summary").stdout
    assert good.startswith(f"telemetry OK: {sound.base}: ")
    assert good.count("\n") == 1
    bad = sound.ask("health", "--summary", "--size-fail", "1KB").stdout
    assert bad.startswith("telemetry FINDING: ")
    assert "; " not in bad
    assert "size: the database has " in bad


def test_json_has_everything(sound):
    """
    Each check with its outcome and numbers, and the limits that were used.
    """
    done = sound.ask("health", "--json", "--size-warn", "1KB")
    document = json.loads(done.stdout)

    assert done.returncode == 0
    assert (document["outcome"], document["limits"]["size_warn"]) == ("warning", 1024)
    checks = {check["name"]: check for check in document["checks"]}
    assert checks["size"]["outcome"] == "warning"
    assert checks["size"]["way_out"]
    assert checks["disk"]["numbers"]["disk_free_bytes"] > 0


def test_prometheus_can_read_it(sound):
    """
    The text format, with one value a series.
    """
    done = sound.ask("health", "--prometheus", "--size-fail", "1KB")
    families = {family.name: family for family in text_string_to_metric_families(done.stdout)}

    assert done.returncode == 1
    outcomes = {
        (sample.labels["check"], sample.labels["subject"]): sample.value
        for sample in families["telemetry_health_outcome"].samples
    }
    assert outcomes["size", ""] == 2
    assert outcomes["storage", ""] == 0
    assert families["telemetry_health_database_bytes"].samples[0].value > 1024
    assert ("backlog", "sqlite") in outcomes


@pytest.mark.parametrize(
    ("args", "way_out"),
    [
        (["--json", "--summary"], "must stand alone"),
        (["--free-warn", "much"], "such as 500MB or 5GB"),
        (["--nonsense"], "No such option"),
    ],
)
def test_what_means_nothing_is_refused(telemetry, args, way_out):
    """
    Usage errors are 2, and say what would have worked.
    """
    done = telemetry.ask("health", *args)

    assert done.returncode == 2
    assert way_out in done.stderr
