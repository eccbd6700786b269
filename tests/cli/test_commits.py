from __future__ import annotations

import os
import subprocess

import needs
import pytest

from telemetry import TelemetryClient
from telemetry.commits import TRAILER
from telemetry.config import TelemetryConfig

pytestmark = needs.program("git")
AUTHOR = "Ann <ann@example.org>"


class Repository:
    """
    A repository, and commits to it.
    """

    def __init__(self, path):
        self.path = path
        path.mkdir()
        self("init", "--initial-branch=trunk")

    def __call__(self, *arguments):
        people = {
            f"GIT_{role}_{part}": text
            for role in ("AUTHOR", "COMMITTER")
            for part, text in (("NAME", "Ann"), ("EMAIL", "ann@example.org"))
        }
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env={**os.environ, **people, "GIT_CONFIG_GLOBAL": os.devnull},
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def commit(self, *messages):
        self("commit", "--allow-empty", "-m", "\n\n".join(messages))
        return self("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path / "repository")


@pytest.fixture
def runs(telemetry):
    """
    Record runs of these names, by run id.
    """
    client = TelemetryClient(
        TelemetryConfig(base_dir=telemetry.base, plugins_disabled=("git_linker",))
    )
    for name in ("first", "second", "third"):
        client.end_run(client.start_run(f"agent-{name}", "job", run_id=name))
    client.close()


def commit_of(telemetry, run):
    """
    Return what a run says of its commit.
    """
    row = telemetry.json("show", run)["run"]
    names = ("git_commit_hash", "git_commit_source", "git_commit_author")
    return tuple(row[name] for name in names)


def test_commits_made_later_are_linked(telemetry, runs, repository):
    """
    The newest that names a run is its commit; a run that has one keeps it, unknown names are told.
    """
    repository.commit("old", f"{TRAILER}: first")
    new = repository.commit("new", f"{TRAILER}: first\n{TRAILER}: second")
    repository.commit("a stranger's", f"{TRAILER}: nobody")
    repository.commit("mentions Telemetry-Run-ID: third in a sentence")

    told = telemetry.json("commits", repository.path)

    assert [(each["run_id"], each["commit_hash"]) for each in told["linked"]] == [
        ("first", new),
        ("second", new),
    ]
    assert (told["had_a_commit"], told["unknown"]) == (0, 1)
    assert commit_of(telemetry, "second") == (new, "llm", AUTHOR)
    assert commit_of(telemetry, "third") == (None, None, None)
    repository.commit("newer", f"{TRAILER}: first")
    again = telemetry("commits", repository.path)
    assert "0 runs linked; 2 had a commit, 1 named are not known here" in again.stdout
    assert commit_of(telemetry, "first")[0] == new


def test_a_dry_run_links_nothing(telemetry, runs, repository):
    """
    It shows what would be linked, and only runs of the agent that was asked for.
    """
    repository.commit("work", f"{TRAILER}: first\n{TRAILER}: second")

    told = telemetry("commits", repository.path, "--dry-run", "--agent", "agent-first")

    assert "agent-first" in told.stdout
    assert "agent-second" not in told.stdout
    assert "1 run would be linked" in told.stdout
    assert commit_of(telemetry, "first") == (None, None, None)


def test_a_run_is_linked_by_hand(telemetry, runs, repository):
    """
    To the commit that a name means, whatever its message says.
    """
    commit = repository.commit("work")
    done = telemetry("commits", repository.path, "--run", "third", "--commit", "trunk")

    assert done.returncode == 0, done.stderr
    assert commit_of(telemetry, "third") == (commit, "manual", AUTHOR)


@pytest.mark.parametrize(
    ("arguments", "code", "rule"),
    [
        (("--run", "first"), 2, "--run and --commit must be given together"),
        (("--run", "first", "--commit", "nothing"), 3, "got 'nothing'"),
        (("--run", "first", "--commit", "--all"), 3, "got '--all'"),
        (("--run", "nobody", "--commit", "trunk"), 3, "'nobody'"),
        (("--since", "soon"), 2, "soon"),
    ],
)
def test_what_cannot_be_linked_is_said(telemetry, runs, repository, arguments, code, rule):
    """
    The thing, the rule and the value are named; an option's value is never git's option.
    """
    repository.commit("work")
    done = telemetry("commits", repository.path, *arguments)

    assert done.returncode == code, done.stderr
    assert rule in done.stderr


def test_without_a_repository(telemetry, runs, tmp_path):
    """
    A directory outside of any is told from one whose commits name no run.
    """
    done = telemetry("commits", tmp_path)

    assert done.returncode == 3
    assert "must lie in a git repository" in done.stderr
