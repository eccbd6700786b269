"""
The git linker: which repository and branch a run worked in, and which commit came of it.

When a run has started, its repository and branch are looked up where it was started. When it has
ended, a commit whose message names the run, in a line ``Telemetry-Run-ID: <run_id>``, is linked to
it. Both happen behind the journal, on a worker's thread. git is only started where there is a
repository, once in a while for the first and, for the second, if HEAD has moved during the run.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Optional
from urllib.parse import urlsplit

import attrs
import msgspec

from telemetry.commits import naming
from telemetry.git import git, git_directory, head_moved_at
from telemetry.hookspecs import hookimpl
from telemetry.model.records import DECODE_ERRORS, Record
from telemetry.model.run import CommitSource

#: How long what is known of a directory is believed, in seconds.
BELIEVED_S = 30.0
MAX_DIRECTORIES = 256
#: A commit's time has whole seconds, so one made in the run's first second looks older.
_SLACK = timedelta(seconds=1)
#: Commits whose messages are looked at for the whole line.
_MAX_CANDIDATES = 10

Fields = Mapping[str, Any]


class Said(msgspec.Struct, frozen=True, gc=False):
    """
    What a record says about the place and the time of its run.
    """

    work_dir: Optional[str] = None
    host: Optional[str] = None
    start_time: Optional[datetime] = None
    end_time: Optional[datetime] = None
    git_repo: Optional[str] = None
    git_commit_hash: Optional[str] = None
    relayed: bool = False


_HOST = platform.node()
_decode = msgspec.json.Decoder(Said).decode
_NOTHING = Said()


@attrs.frozen
class Look:
    """
    What a look at a directory showed, and when it began by both clocks.
    """

    repository: Optional[Path]
    head_moved_at: float
    at: float
    monotonic: float

    def shows(self, moment: Optional[datetime]) -> bool:
        """
        Return whether this still tells how things stood at a moment, so that no other is needed.
        """
        if moment is None or time.monotonic() - self.monotonic >= BELIEVED_S:
            return False
        return moment.timestamp() < self.at


class GitLinker:
    """
    Answers the two hooks; keeps what it learnt of each directory for a short while.
    """

    def __init__(self) -> None:
        self._looks: dict[str, Look] = {}
        self._known: dict[str, tuple[float, Fields]] = {}

    @hookimpl
    def telemetry_run_started(self, record: Record) -> Optional[Fields]:
        """
        Return the repository and branch of the directory the run was started in.

        What the agent said itself stays.
        """
        said = _read(record)
        if not said.work_dir or said.git_repo:
            return None
        if self._look(said.work_dir, said.start_time).repository is None:
            return None
        return self._place(said.work_dir)

    @hookimpl
    def telemetry_run_ended(self, record: Record) -> Optional[Fields]:
        """
        Return the newest commit whose message names the run.
        """
        said = _read(record)
        if not said.work_dir or said.git_commit_hash or said.start_time is None:
            return None
        look = self._look(said.work_dir, said.end_time)
        since = said.start_time - _SLACK
        if look.repository is None or look.head_moved_at < since.timestamp():
            return None
        found = naming(Path(said.work_dir), record.run_id, since=since, most=_MAX_CANDIDATES)
        # The run wrote its own id into the message, so it was the agent that committed.
        return found[0].fields(CommitSource.LLM) if found else None

    def _look(self, work_dir: str, moment: Optional[datetime]) -> Look:
        """
        Look at a directory, unless that was done after the moment that the question is about.
        """
        look = self._looks.get(work_dir)
        if look is not None and look.shows(moment):
            return look
        at, monotonic = time.time(), time.monotonic()
        repository = git_directory(Path(work_dir))
        moved_at = head_moved_at(repository) if repository else 0.0
        if len(self._looks) >= MAX_DIRECTORIES:
            self._looks.clear()
        look = self._looks[work_dir] = Look(repository, moved_at, at, monotonic)
        return look

    def _place(self, work_dir: str) -> Fields:
        now = time.monotonic()
        known = self._known.get(work_dir)
        if known is not None and now - known[0] < BELIEVED_S:
            return known[1]
        if len(self._known) >= MAX_DIRECTORIES:
            self._known.clear()
        fields = _place_of(Path(work_dir))
        self._known[work_dir] = (now, fields)
        return fields


def _read(record: Record) -> Said:
    """
    Return what a record says; nothing where it is from elsewhere, or no run's record.
    """
    try:
        said = _decode(record.line)
    except DECODE_ERRORS:
        return _NOTHING
    # A service is handed the runs of other machines and base directories: what their directories
    # are called means nothing here, or has been looked up there.
    is_here = said.host in {None, _HOST} and not said.relayed
    return said if is_here else _NOTHING


def _place_of(directory: Path) -> Fields:
    url = git(directory, "config", "--get", "remote.origin.url")
    top = git(directory, "rev-parse", "--show-toplevel")
    name = repository_name(url) if url else Path(top).name if top else None
    branch = git(directory, "symbolic-ref", "--quiet", "--short", "HEAD")
    tag = f"{name}/{branch}" if name and branch else None
    said = {"git_repo": name, "git_branch": branch, "git_run_tag": tag}
    return {field: text for field, text in said.items() if text}


def repository_name(url: str) -> Optional[str]:
    """
    Return the last part of a remote's address, without ``.git``; never a user name or password.
    """
    path = urlsplit(url).path if "://" in url else url.rpartition(":")[2]
    name = path.rstrip("/").rpartition("/")[2].rpartition("@")[2]
    return (name.removesuffix(".git")) or None


_linker = GitLinker()
telemetry_run_started = _linker.telemetry_run_started
telemetry_run_ended = _linker.telemetry_run_ended
