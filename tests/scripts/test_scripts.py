"""
The scripts as the original's users call them: from a checkout, with the original's flags.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_RECORD = (
    "from telemetry import TelemetryClient; c = TelemetryClient()\n"
    "with c.track_run('agent', 'job') as run: run.log_event('step', {'n': 1})\n"
    "c.flush()"
)


class Scripts:
    def __init__(self, base):
        self.base = base
        own = {k: v for k, v in os.environ.items() if not k.startswith(("TELEMETRY_", "AGENT_"))}
        self.env = {**own, "TELEMETRY_BASE_DIR": str(base), "PYTHONPATH": str(ROOT)}

    def __call__(self, name, *args, answer=None):
        return self._run([str(ROOT / "scripts" / f"{name}.py"), *map(str, args)], answer)

    def record(self):
        """
        Record one run.
        """
        self._run(["-c", _RECORD], None).check_returncode()

    def _run(self, args, answer):
        return subprocess.run(
            [sys.executable, *args],
            env=self.env,
            cwd=self.base.parent,
            input=answer,
            stdin=None if answer is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def backups(self):
        return sorted(self.base.glob("backups/*.sqlite"))


@pytest.fixture
def scripts(tmp_path):
    """
    The scripts over a base directory that does not exist yet.
    """
    return Scripts(tmp_path / "base")


def test_storage_and_database_are_set_up(scripts):
    """
    The first two steps of the README make everything, and may be repeated.
    """
    for name in ("setup_storage", "setup_database", "setup_storage", "setup_database"):
        done = scripts(name)
        assert done.returncode == 0, done.stderr
        assert "[OK]" in done.stdout

    made = {path.name for path in scripts.base.iterdir()}
    assert {"raw", "db", "reports", "exports", "config", "logs", "backups", "README.md"} <= made
    assert "CREATE TABLE" in (scripts.base / "config" / "schema.sql").read_text(encoding="utf-8")
    assert scripts("check_db_integrity").returncode == 0


def test_storage_that_cannot_be_made_is_1(scripts):
    """
    A file in the place of the base directory is a failure that says the way out.
    """
    scripts.base.write_text("x")
    done = scripts("setup_storage")

    assert done.returncode == 1
    assert "[FAIL]" in done.stdout
    assert "Traceback" not in done.stderr


def test_backups_are_kept_by_count(scripts):
    """
    --keep N leaves the newest N.
    """
    assert scripts("backup_database").returncode == 1
    scripts.record()
    for _ in range(3):
        done = scripts("backup_database", "--keep", "2")
        assert done.returncode == 0, done.stderr

    assert len(scripts.backups()) == 2
    assert "[OK] the backup is complete and verified" in done.stdout


def test_backups_of_the_original_are_kept_and_rotated_with_ours(scripts):
    """
    --keep N counts the original's names too, oldest first to go.
    """
    old = [f"telemetry.backup.{stamp}.sqlite" for stamp in ("20251210", "20251211_080000")]
    (scripts.base / "backups").mkdir(parents=True)
    for name in old:
        (scripts.base / "backups" / name).write_bytes(b"the original's")
    scripts.record()

    done = scripts("backup_database", "--keep", "2")

    assert done.returncode == 0, done.stderr
    left, new = (path.name for path in scripts.backups())
    assert left == old[1]
    assert re.fullmatch(r"telemetry_backup_\d{8}_\d{6}\.sqlite", new)


def test_restore_asks_for_yes(scripts):
    """
    --restore FILE changes nothing without the word, and with it keeps what was there.
    """
    scripts.record()
    assert scripts("backup_telemetry_db", "--keep-days", "7").returncode == 0
    (backup,) = scripts.backups()
    elsewhere = scripts.base.parent / "copy.sqlite"
    shutil.copy(backup, elsewhere)
    scripts.record()

    refused = scripts("backup_telemetry_db", "--restore", elsewhere, answer="no\n")
    assert refused.returncode == 1
    assert not list(scripts.base.glob("db/*before_restore*"))
    done = scripts("backup_telemetry_db", "--restore", elsewhere, answer="yes\n")
    assert done.returncode == 0, done.stderr
    assert "2 runs back in" in done.stdout
    assert list(scripts.base.glob("db/telemetry_before_restore_*.sqlite"))
    missing = scripts("backup_telemetry_db", "--restore", "missing.sqlite", answer="yes\n")
    assert missing.returncode == 1


def test_a_damaged_database_is_found_and_recovered(scripts):
    """
    The runbook's way: check, recover, check again.
    """
    scripts.record()
    database = scripts.base / "db" / "telemetry.sqlite"
    for path in database.parent.iterdir():
        path.write_bytes(b"no database at all" * 1000)

    assert scripts("check_db_integrity").returncode == 1
    assert scripts("recover_database", "--check-only").returncode == 1
    assert database.read_bytes().startswith(b"no database")
    done = scripts("recover_database")
    assert done.returncode == 0, done.stderr
    assert "1 run back in" in done.stdout
    assert scripts("check_db_integrity").returncode == 0
    assert scripts("recover_database", "--force").returncode == 0
    assert len(list(database.parent.glob("telemetry.corrupted.*.sqlite"))) == 2


@pytest.mark.parametrize(
    "name", ["monitor_telemetry_health", "validate_installation", "diagnose_pragma_settings"]
)
def test_what_looks_is_1_before_set_up_and_0_after(scripts, name):
    """
    The scripts that only look change nothing: without a base directory they fail, and leave none.
    """
    missing = scripts(name)
    assert missing.returncode == 1
    assert "[FAIL]" in missing.stdout
    assert not scripts.base.exists()

    scripts.record()
    done = scripts(name)
    assert done.returncode == 0, done.stdout
    assert "[OK]" in done.stdout


SCRIPTS = sorted(path.stem for path in (ROOT / "scripts").glob("[a-z]*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_is_shown_and_nothing_done(scripts, name):
    """
    --help shows the options and stops there: no verdict, nothing made.
    """
    done = scripts(name, "--help")

    assert done.returncode == 0, done.stderr
    assert "usage: " in done.stdout.lower()
    assert "[OK]" not in done.stdout
    assert not scripts.base.exists()


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_option_that_does_not_exist_is_refused(scripts, name):
    """
    A misspelt option is said; the work is not done without it.
    """
    done = scripts(name, "--kepe")

    assert done.returncode in {1, 2}
    assert "error: " in done.stderr.lower()
    assert not scripts.base.exists()


def test_an_answer_for_programs_stands_alone(scripts):
    """
    What is asked for as JSON, Prometheus' text or one line has no heading and no verdict.
    """
    scripts.record()

    assert json.loads(scripts("monitor_telemetry_health", "--json").stdout)["checks"]
    assert scripts("monitor_telemetry_health", "--summary").stdout.startswith("telemetry ")


@pytest.mark.skipif(os.name != "posix", reason="as POSIX shells do")
@pytest.mark.parametrize("redirection", [">&-", "| true", "> /dev/full", "<&-"])
@pytest.mark.parametrize("name", ["monitor_telemetry_health", "setup_storage", "recover_database"])
def test_closed_and_full_streams_are_no_traceback(scripts, name, redirection):
    """
    What nobody takes is left unsaid; the work is done all the same.
    """
    scripts.record()
    script = shlex.quote(str(ROOT / "scripts" / f"{name}.py"))
    done = subprocess.run(
        ["sh", "-c", f"{shlex.quote(sys.executable)} {script} {redirection}"],
        env=scripts.env,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode in {0, 1}
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_performance_is_measured(scripts):
    """
    Figures, baselines and a verdict; how fast this machine is, is not asked.
    """
    done = scripts("measure_performance", "--runs", "5")

    assert done.returncode in {0, 1}
    assert "write_p95" in done.stdout
    assert "Traceback" not in done.stderr


def test_quality_gate_looks_for_deliverables(scripts, tmp_path):
    """
    The original's flags and exit codes: 0 passed, 1 failed, 2 without a task file.
    """
    task = tmp_path / "task.md"
    task.write_text("**Deliverables**:\n1. **a.md** (10-20 lines)\n", encoding="utf-8")
    config = tmp_path / "config.yaml"
    config.write_text(
        "severity_levels:\n  - LOW\nblocking_severities:\n  - CRITICAL  # must fix\n\n"
        "line_count_rules:\n  tolerance_percentage: 20  # a fifth\n",
        encoding="utf-8",
    )
    args = ("quality_gate", "--task-spec", task, "--agent-id", "abc")
    report = tmp_path / "reports" / "report.json"

    failed = scripts(*args, "--format", "json", "--output", report)
    assert failed.returncode == 1, failed.stderr
    assert "[FAIL] QUALITY GATE FAILED" in failed.stdout
    assert json.loads(report.read_text(encoding="utf-8"))["agent_id"] == "abc"
    assert scripts(*args, "--no-block").returncode == 0
    (tmp_path / "a.md").write_text("x\n" * 8, encoding="utf-8")
    assert scripts(*args).returncode == 1
    assert scripts(*args, "--config", config).returncode == 0
    (tmp_path / "a.md").write_text("x\n", encoding="utf-8")
    lenient = scripts(*args, "--config", config, "--format", "yaml")
    assert lenient.returncode == 0
    assert 'agent_id: "abc"\npassed: true\ntask:\n  name: "task"' in lenient.stdout
    assert scripts(*args, "--dry-run").returncode == 0
    assert scripts("quality_gate", "--task-spec", "none.md").returncode == 2
    assert scripts(*args, "--config", "none.yaml").returncode == 2


def test_commits_are_linked_when_asked_to(scripts, tmp_path):
    """
    Without --auto it only shows; outside of a repository it fails.
    """
    identity = {
        f"GIT_{role}_{part}": "a" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")
    }

    def git(*arguments):
        environ = {**os.environ, **identity, "GIT_CONFIG_GLOBAL": os.devnull}
        subprocess.run(
            ["git", *arguments], cwd=tmp_path, env=environ, check=True, capture_output=True
        )

    assert scripts("setup_storage").returncode == 0
    outside = scripts("associate_commits", "--auto")
    assert outside.returncode == 1
    assert "must lie in a git repository" in outside.stderr
    git("init")
    git("commit", "--allow-empty", "-m", "work\n\nTelemetry-Run-ID: nobody")

    shown = scripts("associate_commits", "--show-commits")
    assert shown.returncode == 0, shown.stderr
    assert "0 runs would be linked; 0 had a commit, 1 named are not known here" in shown.stdout
    assert "0 runs linked" in scripts("associate_commits", "--auto").stdout
    unknown = scripts("associate_commits", "--run-id", "nobody", "--commit-hash", "HEAD")
    assert unknown.returncode == 1
