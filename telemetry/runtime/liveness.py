"""
Who is alive: a record lock for each process with open runs, and the reaper that looks at them.

Each writer locks one byte of ``alive.lock``, the one that its random id names. The kernel
frees it at the moment its process dies, however it dies; a stopped or sleeping process keeps it. So
on one host nobody is ever declared dead by a clock. Runs of other hosts are judged by the age of
their last record, which a heartbeat keeps fresh; those that are shipped here, by how long this
process has heard nothing of them.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Optional

import attrs

from telemetry.model.records import Change
from telemetry.model.run import Status
from telemetry.runtime.alive import lock_offset, lock_path
from telemetry.runtime.locks import RecordLock, locked_by_another
from telemetry.runtime.notices import notice
from telemetry.runtime.places import make_private
from telemetry.runtime.vigil import Vigil
from telemetry.storage.reader import Reader

if TYPE_CHECKING:
    from pathlib import Path

    from telemetry.config import TelemetryConfig
    from telemetry.runtime.emit import Emitter
    from telemetry.runtime.openruns import OpenRuns
    from telemetry.runtime.recorder import Recorder


@attrs.frozen
class Death:
    """
    Why a run is taken for dead, with the time of its last sign of life.
    """

    evidence: str
    last_sign: datetime


class Liveness:
    """
    Shows that this process lives, and finds the runs whose owner does not.

    Args:
        vigil: Waits for words of the runs that are shipped here.
    """

    def __init__(
        self,
        config: TelemetryConfig,
        runs: OpenRuns,
        emitter: Emitter,
        recorder: Recorder,
        vigil: Optional[Vigil] = None,
    ) -> None:
        self._config = config
        self._runs = runs
        self._emitter = emitter
        self._recorder = recorder
        self._vigil = vigil or Vigil()
        self._lock_path: Path = lock_path(config.ndjson_dir)
        self._host = platform.node()
        self._lock: Optional[RecordLock] = None
        #: Whether `hold` has been called in this process.
        self.is_held = False

    def hold(self) -> None:
        """
        Let others see that this process lives, until it ends; free after the first call.
        """
        if self.is_held:
            return
        self.is_held = True
        self._lock = lock = RecordLock(self._lock_path, lock_offset(self._emitter.writer))
        try:
            make_private(self._lock_path.parent)
            lock.try_acquire()
        except OSError as error:
            notice(
                "alive",
                f"{self._lock_path} must be writable ({error.strerror or error}); if this process "
                "is killed, others will not notice",
            )

    def after_fork(self) -> None:
        """
        Forget the parent's lock; the child takes its own with its first run.
        """
        self._lock = None
        self.is_held = False

    def beat(self) -> None:
        """
        Write a heartbeat for each open run that has said nothing for a while.
        """
        now = self._emitter.clock.now_us()
        oldest = now - int(self._config.heartbeat_s * 1_000_000)
        for run in self._runs.all():
            if run.last_us < oldest:
                self._recorder.heartbeat(run)

    def reap(self) -> list[str]:
        """
        Record the death of every run whose owner is gone.

        Returns:
            The run ids, in no order.
        """
        dead = []
        reader = Reader(self._config.db_path)
        rows = reader.open_runs()
        self._vigil.forget_all_but({str(row["event_id"]) for row in rows})
        for row in rows:
            death = self.death_of(row)
            if death is not None:
                self._infer(row, death, _time(reader.last_sign(row)) or death.last_sign)
                dead.append(str(row["run_id"]))
        return dead

    def death_of(self, row: Mapping[str, Any]) -> Optional[Death]:
        """
        Return why a running run is taken for dead; None while it may live.

        Args:
            row: A row of `Reader.open_runs`.
        """
        last_sign = _time(row.get("updated_at")) or _time(row.get("start_time"))
        if last_sign is None:
            return None
        host, owner = row.get("host"), str(row.get("owner") or "")
        if host == self._host and owner:
            with suppress(OSError):  # no locks, or another user's: heartbeats must tell
                return self._death_here(owner, row, last_sign)
        if not row.get("has_heartbeat"):
            return None
        silent_s = self._silent_s(row, last_sign)
        if silent_s < self._config.stale_after_s:
            return None
        return Death(
            f"its process on host {host or 'unknown'} has been silent for {int(silent_s)} s",
            last_sign,
        )

    def _silent_s(self, row: Mapping[str, Any], last_sign: datetime) -> float:
        """
        Return for how long nothing was heard of a process that is looked for nowhere here.
        """
        if row.get("owner"):  # it writes to this very journal
            return (datetime.now(timezone.utc) - last_sign).total_seconds()
        return self._vigil.silent_s(str(row["event_id"]), last_sign.isoformat())

    def _death_here(
        self, owner: str, row: Mapping[str, Any], last_sign: datetime
    ) -> Optional[Death]:
        if owner == self._emitter.writer or locked_by_another(self._lock_path, lock_offset(owner)):
            return None
        pid = row.get("pid")
        return Death(
            f"process {pid if pid is not None else 'unknown'} on {self._host} is gone and did not "
            "end the run: it was killed, crashed, or exited without end_run",
            last_sign,
        )

    def _infer(self, row: Mapping[str, Any], death: Death, last_sign: datetime) -> None:
        begun = _time(row.get("start_time")) or last_sign
        lived = max(last_sign - begun, timedelta(0))
        fields = {
            "status": Status.FAILED.value,
            "end_time": last_sign.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "duration_ms": int(lived / timedelta(milliseconds=1)),
            "error_summary": f"OwnerDied: {death.evidence}"[:500],
        }
        self._recorder.change(Change.INFERRED, str(row["event_id"]), str(row["run_id"]), fields)


def _time(text: object) -> Optional[datetime]:
    """
    Return a column's time; None for anything else.
    """
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
