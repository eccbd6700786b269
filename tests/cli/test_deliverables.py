"""
What a task promised, looked for as the original's guide describes it.
"""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ET

import pytest

_TASK = """\
## [TASK-01] Example

**Deliverables**:
1. **docs/a.md** (2-3 lines)
   - with words about it
2. **docs/b.md** (100-200 lines)
{more}
**Acceptance checks**:
```bash
# a comment
test -f docs/a.md
test -f \\
  docs/none.md
```

## Notes
1. **docs/other.md** (1-2 lines)
"""


@pytest.fixture
def task(tmp_path):
    """
    Write a task, and two files of three and ninety-five lines; return how it is asked for.
    """

    def write(more=""):
        (tmp_path / "docs").mkdir(exist_ok=True)
        (tmp_path / "docs" / "a.md").write_text("1\n2\n3", encoding="utf-8")
        (tmp_path / "docs" / "b.md").write_text("x\n" * 95, encoding="utf-8")
        path = tmp_path / "task.md"
        path.write_text(_TASK.format(more=more), encoding="utf-8")
        return ("gate", "--task-spec", path, "--root", tmp_path)

    return write


def outcomes(telemetry, *args):
    document = telemetry.json(*args)
    return {check["rule"]: check["outcome"] for check in document["task"]["checks"]}


def test_what_is_there_passes_and_what_is_short_fails(telemetry, task):
    """
    Each deliverable is looked for and counted; no base directory is needed.
    """
    assert outcomes(telemetry, *task()) == {
        "file_exists:docs/a.md": "passed",
        "line_count:docs/a.md": "passed",
        "file_exists:docs/b.md": "passed",
        "line_count:docs/b.md": "failed",
        "acceptance:test -f docs/a.md": "skipped",
        "acceptance:test -f docs/none.md": "skipped",
    }
    done = telemetry.ask(*task())
    assert done.returncode == 1
    assert "[HIGH] docs/b.md must have 100-200 lines (got 95)" in done.stdout
    assert not telemetry.base.exists()


def test_a_tolerance_and_severities_that_do_not_block(telemetry, task):
    """
    Ten per cent too few pass under a tolerance of ten per cent; what does not block is only told.
    """
    assert telemetry.ask(*task(), "--tolerance", "10%").returncode == 0
    assert telemetry.ask(*task(), "--tolerance", "0.04").returncode == 1
    told = telemetry.ask(*task(), "--blocking", "critical")
    assert told.returncode == 0
    assert "it does not block" in told.stdout


@pytest.mark.parametrize("path", ["docs/none.md", "../task.md", "docs", "/etc/hosts", "a\0b"])
def test_what_is_no_file_of_the_task_fails(telemetry, task, path):
    """
    A missing file, a directory, and a path that leads out of the directory are no deliverables.
    """
    found = outcomes(telemetry, *task(f"3. **{path}**\n"), "--tolerance", "10%")

    assert found[f"file_exists:{path}"] == "failed"


def test_the_checks_of_the_task_run_only_when_asked(telemetry, task):
    """
    The task's commands are run in its directory, and each must end with 0.
    """
    if shutil.which("bash") is None and shutil.which("sh") is None:
        pytest.skip("needs a shell")
    found = outcomes(telemetry, *task(), "--run-checks")

    assert found["acceptance:test -f docs/a.md"] == "passed"
    assert found["acceptance:test -f docs/none.md"] == "failed"


def test_junit_has_a_case_for_each(telemetry, task, tmp_path):
    """
    A CI shows deliverables as it shows rules.
    """
    telemetry.ask(*task(), "--junit", tmp_path / "out.xml")
    (suite,) = ET.parse(tmp_path / "out.xml").getroot()

    assert suite.get("name") == "task"
    assert (suite.get("tests"), suite.get("failures")) == ("6", "1")


def test_rules_about_runs_stand_beside_it(telemetry, task):
    """
    With a rule for runs, runs are checked as well, and there must be a base directory for that.
    """
    assert telemetry.ask(*task(), "--min-runs", "1").returncode == 3
    assert telemetry.ask("init").returncode == 0
    done = telemetry.ask(*task(), "--tolerance", "10%", "--min-runs", "1")
    assert done.returncode == 1
    assert "gate: " in done.stdout
    assert "task: docs/a.md is there" in done.stdout


def test_nonsense_is_refused(telemetry, task, tmp_path):
    """
    A task that lists nothing has shown nothing; what cannot be read is 3, what means nothing 2.
    """
    empty = tmp_path / "empty.md"
    empty.write_text("# A task\n\nNothing to deliver.\n", encoding="utf-8")
    binary = tmp_path / "binary.md"
    binary.write_bytes(b"\xff\xfe**Deliverables**")
    for args, code, words in (
        (("gate", "--task-spec", empty), 2, "got no deliverable"),
        (("gate", "--task-spec", binary), 2, "must be UTF-8 text"),
        (("gate", "--task-spec", tmp_path / "none.md"), 3, "must exist to be checked"),
        ((*task(), "--tolerance", "much"), 2, "must be a share"),
        ((*task(), "--tolerance", "300%"), 2, "must be a share"),
        ((*task(), "--blocking", "SOME"), 2, "must name CRITICAL, HIGH"),
        (("gate", "--run-checks"), 2, "must stand with --task-spec"),
    ):
        done = telemetry.ask(*args)
        assert done.returncode == code, done.stderr
        assert words in done.stderr
