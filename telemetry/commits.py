"""
Commits whose messages name runs, in lines ``Telemetry-Run-ID: <run_id>``.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Optional

import attrs

from telemetry.git import MAX_OUTPUT_BYTES, TIMEOUT_S, git
from telemetry.model.run import CommitSource

TRAILER = "Telemetry-Run-ID"
_UNIT_SEPARATOR = "\x1f"
_RECORD_SEPARATOR = "\x1e"
_FORMAT = "--format=%H%x1f%an <%ae>%x1f%aI%x1f%B%x1e"
#: Hash, author, time and message.
_PART_COUNT = 4


@attrs.frozen
class Commit:
    """
    A commit, and the runs that its message names.
    """

    hash: str
    #: ``Name <address>``.
    author: str
    #: ISO 8601, with its zone.
    timestamp: str
    run_ids: tuple[str, ...]

    def fields(self, source: CommitSource) -> dict[str, Any]:
        """
        Return what a run says of it.
        """
        return {
            "git_commit_hash": self.hash,
            "git_commit_source": source.value,
            "git_commit_author": self.author,
            "git_commit_timestamp": self.timestamp,
        }


def naming(  # noqa: PLR0913 (a search and its bounds)
    directory: Path,
    run_id: str = "",
    *,
    since: datetime,
    most: int,
    timeout_s: float = TIMEOUT_S,
    max_bytes: int = MAX_OUTPUT_BYTES,
) -> Optional[list[Commit]]:
    """
    Return commits of a repository that name a run, the newest first.

    Args:
        run_id: Only those that name this run; empty for any.
        since: Only those committed since then.
        most: How many are looked at.
        timeout_s: Seconds that git may take.
        max_bytes: How much of git's answer is read.

    Returns:
        None where git is missing, fails or takes too long.
    """
    found = git(
        directory,
        "log",
        "--all",
        f"--max-count={most}",
        f"--since={since.isoformat()}",
        "--fixed-strings",
        f"--grep={TRAILER}: {run_id}",
        "--encoding=UTF-8",
        "--no-show-signature",
        _FORMAT,
        timeout_s=timeout_s,
        max_bytes=max_bytes,
    )
    if found is None:
        return None
    # git finds the text anywhere; another run's id may begin with this one's.
    return [
        commit
        for commit in _parsed(found)
        if (run_id in commit.run_ids if run_id else commit.run_ids)
    ]


def named(directory: Path, revision: str) -> Optional[Commit]:
    """
    Return the one commit that a hash, branch or tag means; None where there is none.
    """
    answer = git(directory, "log", "--max-count=1", _FORMAT, "--end-of-options", revision, "--")
    commits = _parsed(answer or "")
    return commits[0] if commits else None


def _parsed(answer: str) -> list[Commit]:
    commits = []
    for candidate in answer.split(_RECORD_SEPARATOR):
        parts = candidate.strip().split(_UNIT_SEPARATOR)
        if len(parts) == _PART_COUNT:
            run_ids = tuple(filter(None, map(_named_run, parts[-1].splitlines())))
            commits.append(Commit(parts[0], parts[1], parts[2], run_ids))
    return commits


def _named_run(line: str) -> str:
    key, _, run_id = line.strip().partition(": ")
    return run_id if key == TRAILER else ""
