from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timedelta, timezone

import needs
import pytest

from telemetry.commits import TRAILER
from telemetry.model.codec import decode_line, encode_line, relayed
from telemetry.model.values import time_text
from telemetry_plugins.git_linker import GitLinker, repository_name

needs_git = needs.program("git")
RUN_ID = "20261122T004217Z-a-00000001"


def git(directory, *arguments):
    identity = {
        f"GIT_{role}_{part}": text
        for role in ("AUTHOR", "COMMITTER")
        for part, text in (("NAME", "A"), ("EMAIL", "a@example.com"))
    }
    subprocess.run(
        ["git", *arguments],
        cwd=directory,
        env={**os.environ, **identity, "GIT_CONFIG_GLOBAL": os.devnull},
        check=True,
        capture_output=True,
    )


def record(directory, change="started", **fields):
    now = datetime.now(timezone.utc)
    body = {"work_dir": str(directory), "start_time": time_text(now), **fields}
    line = encode_line(
        "run",
        id="0123456789abcdef-1",
        timestamp=time_text(now),
        event_id="e",
        run_id=RUN_ID,
        change=change,
        body=body,
    )
    return decode_line(line)


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init", "--initial-branch=trunk")
    git(tmp_path, "remote", "add", "origin", "https://user:word@example.com/team/thing.git")
    return tmp_path


@needs_git
def test_a_run_in_a_repository_is_given_its_place(repository):
    """
    A start learns repository and branch, unless the agent named its repository.
    """
    inner = repository / "inner"
    inner.mkdir()
    linker = GitLinker()

    assert linker.telemetry_run_started(record(inner)) == {
        "git_repo": "thing",
        "git_branch": "trunk",
        "git_run_tag": "thing/trunk",
    }
    assert linker.telemetry_run_started(record(inner, git_repo="own")) is None


@needs_git
def test_a_run_from_elsewhere_is_left_alone(repository):
    """
    Its directory's name means nothing here, or its own base directory's linker has looked.
    """
    from_elsewhere = decode_line(relayed(record(repository).line))

    assert GitLinker().telemetry_run_started(from_elsewhere) is None
    assert GitLinker().telemetry_run_started(record(repository, host="elsewhere")) is None
    assert GitLinker().telemetry_run_started(record(repository, host=platform.node()))


@needs_git
def test_a_commit_that_names_the_run_is_linked(repository):
    """
    An end learns the commit that was made during the run, after the start's look at the place.
    """
    linker = GitLinker()
    started = record(repository)
    linker.telemetry_run_started(started)
    git(repository, "commit", "--allow-empty", "-m", f"work\n\n{TRAILER}: {RUN_ID}")
    ended = record(
        repository,
        "ended",
        start_time=started.timestamp,
        end_time=time_text(datetime.now(timezone.utc)),
    )
    found = linker.telemetry_run_ended(ended)

    assert found is not None
    assert found["git_commit_author"] == "A <a@example.com>"
    assert found["git_commit_source"] == "llm"


@needs_git
def test_only_the_whole_line_names_a_run(repository):
    """
    Neither a longer id that begins alike nor a mention in a sentence is a link; an older line is.
    """
    linker = GitLinker()
    started = record(repository)
    for message in (
        f"right\n\n{TRAILER}: {RUN_ID}",
        f"longer\n\n{TRAILER}: {RUN_ID}-duplicate-0a1b2c3d",
        f"it is not '{TRAILER}: {RUN_ID}'",
    ):
        git(repository, "commit", "--allow-empty", "-m", message)
    expected = subprocess.run(
        ["git", "rev-parse", "HEAD~2"], cwd=repository, check=True, capture_output=True, text=True
    ).stdout.strip()

    found = linker.telemetry_run_ended(
        record(
            repository,
            "ended",
            start_time=started.timestamp,
            end_time=time_text(datetime.now(timezone.utc)),
        )
    )

    assert found is not None
    assert found["git_commit_hash"] == expected


@needs_git
def test_a_detached_head_has_no_branch(repository):
    """
    The repository is known all the same.
    """
    git(repository, "commit", "--allow-empty", "-m", "x")
    git(repository, "checkout", "--detach")

    assert GitLinker().telemetry_run_started(record(repository)) == {"git_repo": "thing"}


@needs_git
def test_a_linked_working_tree_is_a_place_of_its_own(repository, tmp_path_factory):
    """
    It has its own branch, and a commit made there is found.
    """
    tree = tmp_path_factory.mktemp("trees") / "tree"
    git(repository, "commit", "--allow-empty", "-m", "x")
    git(repository, "worktree", "add", "-b", "other", str(tree))
    linker = GitLinker()
    started = record(tree)
    said = linker.telemetry_run_started(started)
    git(tree, "commit", "--allow-empty", "-m", f"work\n\n{TRAILER}: {RUN_ID}")
    found = linker.telemetry_run_ended(
        record(
            tree,
            "ended",
            start_time=started.timestamp,
            end_time=time_text(datetime.now(timezone.utc)),
        )
    )

    assert said == {"git_repo": "thing", "git_branch": "other", "git_run_tag": "thing/other"}
    assert found is not None


@needs_git
def test_a_repository_made_during_the_run_is_found(tmp_path):
    """
    That there was none when the run began is nothing to go by when it has ended.
    """
    linker = GitLinker()
    started = record(tmp_path)

    assert linker.telemetry_run_started(started) is None

    git(tmp_path, "init")
    git(tmp_path, "commit", "--allow-empty", "-m", f"{TRAILER}: {RUN_ID}")
    ended = record(
        tmp_path,
        "ended",
        start_time=started.timestamp,
        end_time=time_text(datetime.now(timezone.utc)),
    )

    assert linker.telemetry_run_ended(ended) is not None


def test_runs_that_ended_before_the_look_need_no_other(tmp_path):
    """
    One look tells of all runs before it; a run after it, or one of an unknown time, needs its own.
    """
    linker = GitLinker()
    begun = datetime.now(timezone.utc) - timedelta(seconds=2)
    look = linker._look(str(tmp_path), begun)

    assert linker._look(str(tmp_path), begun) is look
    assert linker._look(str(tmp_path), begun + timedelta(hours=1)) is not look
    assert linker._look(str(tmp_path), None) is not linker._look(str(tmp_path), None)


@pytest.mark.parametrize("fields", [{"work_dir": 1}, {"work_dir": None}, {"start_time": "no time"}])
def test_what_is_no_place_or_time_is_passed_over(tmp_path, fields):
    """
    A record from elsewhere may say anything; then nothing is linked.
    """
    linker = GitLinker()

    assert linker.telemetry_run_started(record(tmp_path, **fields)) is None
    assert linker.telemetry_run_ended(record(tmp_path, "ended", **fields)) is None


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://user:word@example.com/team/thing.git", "thing"),
        ("git@example.com:team/thing.git", "thing"),
        ("/srv/thing/", "thing"),
        ("user:word@example.com", "example.com"),
        ("", None),
    ],
)
def test_a_repository_is_named_by_the_end_of_its_address(url, name):
    """
    The name is the last part, without the suffix; an address's user and password are left out.
    """
    assert repository_name(url) == name
