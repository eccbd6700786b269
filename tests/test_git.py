"""
The door to git, against real repositories.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from telemetry.git import MAX_OUTPUT_BYTES, git, git_directory, head_moved_at

posix = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for git is a shell script")


@pytest.fixture
def repository(tmp_path):
    """
    A repository with one commit on the branch ``main``.
    """
    place = tmp_path / "repository"
    place.mkdir()
    for arguments in (
        ("init", "--quiet", "--initial-branch=main"),
        ("config", "user.name", "Somebody"),
        ("config", "user.email", "somebody@example.org"),
        ("commit", "--quiet", "--allow-empty", "--message=first"),
    ):
        subprocess.run(["git", *arguments], cwd=place, check=True)
    return place


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """
    Put a script in git's place.
    """

    def install(script):
        place = tmp_path / "bin"
        place.mkdir()
        executable = place / "git"
        executable.write_text(f"#!/bin/sh\n{script}\n")
        executable.chmod(0o755)
        monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")

    return install


def test_a_command_answers_without_its_blanks(repository):
    """
    What git printed, stripped; None where git says no.
    """
    assert git(repository, "symbolic-ref", "--short", "HEAD") == "main"
    assert git(repository, "config", "--get", "no.such") is None
    assert git(repository.parent, "rev-parse", "--show-toplevel") is None
    assert git(repository / "missing", "version") is None


def test_no_git_is_no_answer(repository, monkeypatch, tmp_path):
    """
    Where there is no git in PATH, nothing is raised.
    """
    monkeypatch.setenv("PATH", str(tmp_path))

    assert git(repository, "version") is None


@posix
def test_git_that_cannot_be_run_is_no_answer(repository, stand_in, tmp_path):
    """
    An executable that the system refuses is as good as none.
    """
    stand_in("")
    (tmp_path / "bin" / "git").write_bytes(b"\x7fELF no program")

    assert git(repository, "version") is None


@posix
def test_git_that_hangs_is_killed_with_all_it_started(repository, stand_in, tmp_path):
    """
    A helper that waits for a password dies with it.
    """
    stand_in(f"sleep 600 & echo $! > {tmp_path}/helper; wait")

    assert git(repository, "version", timeout_s=0.3) is None

    helper = int((tmp_path / "helper").read_text())
    with pytest.raises(ProcessLookupError):
        for _ in range(1_000_000):  # its zombie is reaped by whoever adopted it
            os.kill(helper, 0)
            if _is_zombie(helper):
                raise ProcessLookupError


def _is_zombie(pid):
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z"


@posix
def test_git_cannot_ask_and_cannot_be_misled(repository, stand_in, monkeypatch):
    """
    It has no input, no prompts and no pager, and another command's GIT_DIR does not reach it.
    """
    stand_in("env; cat")
    monkeypatch.setenv("GIT_DIR", "/elsewhere")

    answer = git(repository, "version")

    assert answer is not None
    assert "GIT_TERMINAL_PROMPT=0" in answer
    assert "GIT_OPTIONAL_LOCKS=0" in answer
    assert "GIT_DIR" not in answer


@posix
def test_a_long_answer_is_cut(repository, stand_in):
    """
    A log of a gigabyte does not become one here.
    """
    stand_in("head -c 300000 /dev/zero | tr '\\0' x")

    assert git(repository, "log") == "x" * MAX_OUTPUT_BYTES


def test_the_git_directory_is_found_from_below(repository):
    """
    From any directory inside; None outside, and where nothing can be looked at.
    """
    below = repository / "a" / "b"
    below.mkdir(parents=True)

    assert git_directory(below) == repository / ".git"
    assert git_directory(repository.parent) is None
    assert git_directory(Path("/no/such\0place")) is None


def test_a_linked_working_tree_has_its_own_head(repository):
    """
    Its git directory is the one that the file ``.git`` names, and its HEAD moves by itself.
    """
    tree = repository.parent / "tree"
    subprocess.run(
        ["git", "worktree", "add", "--quiet", "-b", "other", str(tree)], cwd=repository, check=True
    )

    found = git_directory(tree)

    assert found is not None
    assert found.name == "tree"
    assert found.parent == repository / ".git" / "worktrees"
    assert head_moved_at(found) > 0
    assert git(tree, "symbolic-ref", "--short", "HEAD") == "other"


def test_a_commit_moves_head(repository):
    """
    HEAD's time is that of its log; of no repository it is the beginning of time.
    """
    log = repository / ".git" / "logs" / "HEAD"
    os.utime(log, (1000, 1000))

    assert head_moved_at(repository / ".git") == 1000
    subprocess.run(
        ["git", "commit", "--quiet", "--allow-empty", "--message=x"], cwd=repository, check=True
    )
    assert head_moved_at(repository / ".git") > 1000
    assert head_moved_at(repository / "nothing") == 0.0
