"""
The demo's agent: a run for the whole, a nested run for each top folder, an event for each failure.

All it takes to be recorded is in the lines that speak of ``run``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Callable, Optional

import attrs

from telemetry.cli.demonstration.killing import Killed, kill_a_child
from telemetry.cli.demonstration.reading import Counts, read_file
from telemetry.cli.demonstration.sampling import Sample

if TYPE_CHECKING:
    from pathlib import Path

    from telemetry.client import TelemetryClient
    from telemetry.run_context import RunContext

AGENT = "code-reader"

#: Why a file may not be read: it does not parse, does not decode, or is not to be opened.
_REASONS = (SyntaxError, ValueError, RecursionError, MemoryError, OSError)


@attrs.define
class Tally:
    """
    What has become of the files so far.
    """

    discovered: int = 0
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    counts: Counts = attrs.field(factory=Counts)

    def add(self, other: Tally) -> None:
        """
        Take in what became of other files.
        """
        self.discovered += other.discovered
        self.succeeded += other.succeeded
        self.failed += other.failed
        self.skipped += other.skipped
        self.counts += other.counts


@attrs.frozen(kw_only=True)
class Failure:
    """
    A file that could not be read, and why.
    """

    path: Path
    reason: str


@attrs.frozen(kw_only=True)
class Survey:
    """
    What the agent did.
    """

    run_id: str
    tally: Tally
    failures: tuple[Failure, ...]
    killed: Killed
    #: Files that there was no time for.
    left_count: int


class Agent:
    """
    Reads a sample of files, within a time, and records it.

    Args:
        tick: Called after each file with the folder that it lies in.
    """

    def __init__(
        self, client: TelemetryClient, seconds: float, tick: Callable[[str], None]
    ) -> None:
        self._client = client
        self._deadline = time.monotonic() + seconds
        self._tick = tick
        self._failures: list[Failure] = []

    def survey(self, sample: Sample) -> Survey:
        """
        Read the files, then start a child run and kill its process.
        """
        total = Tally()
        where = str(sample.root)
        with self._client.track_run(AGENT, "read-files", input_summary=where) as run:
            run.log_event(
                "sampled", {"files": sample.chosen_count, "of": sample.seen_count, "below": where}
            )
            for folder, files in sample.folders.items():
                if time.monotonic() < self._deadline:
                    total.add(self._read_folder(folder, files, sample.root))
            killed = kill_a_child(run, self._client.config, _some(sample))
            run.log_event("child_killed", attrs.asdict(killed))
            report(run, total)
        return Survey(
            run_id=run.run_id,
            tally=total,
            failures=tuple(self._failures),
            killed=killed,
            left_count=sample.chosen_count - total.discovered,
        )

    def _read_folder(self, folder: str, files: tuple[Path, ...], root: Path) -> Tally:
        tally = Tally()
        with self._client.track_run(AGENT, "read-folder", item_name=folder) as run:
            for path in files:
                if time.monotonic() > self._deadline:
                    run.log_event("out_of_time", {"files_left": len(files) - tally.discovered})
                    break
                self._read(path, root, tally, run)
                self._tick(folder)
            report(run, tally)
        return tally

    def _read(self, path: Path, root: Path, tally: Tally, run: RunContext) -> None:
        tally.discovered += 1
        try:
            counts: Optional[Counts] = read_file(path)
        except _REASONS as error:
            tally.failed += 1
            failure = Failure(path=path.relative_to(root), reason=_reason(error))
            self._failures.append(failure)
            run.log_event("file_failed", {"file": str(failure.path), "reason": failure.reason})
        else:
            tally.succeeded += counts is not None
            tally.skipped += counts is None
            tally.counts += counts or Counts()


def report(run: RunContext, tally: Tally) -> None:
    """
    Record what became of a run's files.
    """
    run.set_metrics(
        items_discovered=tally.discovered,
        items_succeeded=tally.succeeded,
        items_failed=tally.failed,
        items_skipped=tally.skipped,
        metrics_json=tally.counts.as_dict(),
        output_summary="{lines:,} lines, {functions:,} functions, {classes:,} classes, "
        "{imports:,} imports".format(**tally.counts.as_dict()),
    )
    if tally.failed:
        files = f"{tally.failed} of {tally.discovered} files"
        run.set_metrics(
            status="partial" if tally.succeeded else "failed",
            error_summary=f"{files} could not be read",
        )


def _reason(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _some(sample: Sample) -> tuple[Path, ...]:
    """
    Return a few files for the child to read.
    """
    return tuple(path for files in sample.folders.values() for path in files)[:20]
