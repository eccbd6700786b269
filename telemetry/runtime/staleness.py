"""
Runs that are open although their owner is gone or has long said nothing, and how to close them.

Closing one is a conclusion, not an end: it is recorded as inferred, so that the real end of a run
that was only asleep still stands, whenever it comes.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import TYPE_CHECKING, Any, Optional

import attrs

from telemetry.model.records import Change
from telemetry.model.run import COLUMNS, Status
from telemetry.model.values import cut, time_text
from telemetry.model.words import span
from telemetry.runtime.alive import LOCK_NAME, lock_offset, lock_path
from telemetry.runtime.locks import locked_by_another
from telemetry.storage.reader import Reader

if TYPE_CHECKING:
    from pathlib import Path

    from telemetry.config import TelemetryConfig
    from telemetry.runtime.recorder import Recorder

_MAX_SUMMARY_CHARS = COLUMNS["error_summary"].max_length or 500


class Finding(str, Enum):
    """
    What is wrong with an open run.
    """

    #: Its process is known to be gone.
    DEAD = "dead"
    #: Nothing was heard of it for too long.
    SILENT = "silent"


@attrs.frozen(kw_only=True)
class StaleRun:
    """
    An open run that will hardly end by itself, and why.
    """

    row: Mapping[str, Any]
    finding: Finding
    evidence: str
    last_sign: datetime


class Examiner:
    """
    Tells stale runs from those that are at work.

    Args:
        older_than: How long a run may be silent where nothing shows that its process is gone.
    """

    def __init__(self, config: TelemetryConfig, older_than: timedelta) -> None:
        self._lock_path: Path = lock_path(config.ndjson_dir)
        self._older_than = older_than
        self._host = platform.node()
        self._now = datetime.now(timezone.utc)
        self._reader = Reader(config.db_path)

    def stale(self, rows: Iterable[Mapping[str, Any]]) -> list[StaleRun]:
        """
        Return those of the open runs that are stale.

        Args:
            rows: As `Reader.open_runs` returns them.
        """
        found = (self._examine(row) for row in rows)
        return [run for run in found if run is not None]

    def _examine(self, row: Mapping[str, Any]) -> Optional[StaleRun]:
        last_sign = _moment(row.get("updated_at")) or _moment(row.get("start_time")) or self._now
        silent = max(self._now - last_sign, timedelta(0))
        finding, words = self._owner(row)
        if finding is Finding.SILENT and silent < self._older_than:
            return None
        if finding is Finding.DEAD:
            last_sign = _moment(self._reader.last_sign(row)) or last_sign
            silent = max(self._now - last_sign, timedelta(0))
        evidence = f"{words}; it was last heard of {span(silent.total_seconds())} ago"
        return StaleRun(row=row, finding=finding, evidence=evidence, last_sign=last_sign)

    def _owner(self, row: Mapping[str, Any]) -> tuple[Finding, str]:
        """
        Return what is known of a run's process; silent where it may live.
        """
        host, owner, pid = row.get("host"), str(row.get("owner") or ""), row.get("pid")
        process = f"process {pid if pid is not None else 'unknown'} on {host or 'an unknown host'}"
        if not owner:
            return Finding.SILENT, "its process is not known, the run was recorded from elsewhere"
        if host != self._host:
            return Finding.SILENT, f"whether {process} lives cannot be seen from here"
        try:
            lives = locked_by_another(self._lock_path, lock_offset(owner))
        except (OSError, ValueError) as error:
            return Finding.SILENT, f"whether {process} lives cannot be seen ({error})"
        if lives:
            return Finding.SILENT, f"{process} still holds its lock, but hangs, waits or is stopped"
        return Finding.DEAD, f"{process} is gone: it no longer holds its lock in {LOCK_NAME}"


def close_runs(recorder: Recorder, runs: Iterable[StaleRun], status: Status) -> None:
    """
    Record that runs came to an end at their last sign of life.
    """
    for run in runs:
        begun = _moment(run.row.get("start_time")) or run.last_sign
        lived = max(run.last_sign - begun, timedelta(0))
        is_death = run.finding is Finding.DEAD and status is Status.FAILED
        summary = f"{'OwnerDied' if is_death else 'StaleRun'}: {run.evidence}"
        fields = {
            "status": status.value,
            "end_time": time_text(run.last_sign),
            "duration_ms": int(lived / timedelta(milliseconds=1)),
            "error_summary": cut(summary, _MAX_SUMMARY_CHARS),
        }
        event_id, run_id = str(run.row["event_id"]), str(run.row["run_id"])
        recorder.change(Change.INFERRED, event_id, run_id, fields)


def _moment(text: object) -> Optional[datetime]:
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
