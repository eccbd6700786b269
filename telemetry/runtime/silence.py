"""
The runtime of a process that has telemetry disabled: the same shape, and nothing behind it.

Runs get ids, so that an agent which prints or passes them on does what it always does. No plugin is
loaded, no file is looked at, nothing is remembered and nothing is said, whatever is asked of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Optional

from telemetry.model import ids
from telemetry.runtime.openruns import OpenRun

if TYPE_CHECKING:
    from telemetry.config import TelemetryConfig
    from telemetry.model.outcomes import Outcome

_REFUSED = "telemetry is disabled, so nothing was linked; unset TELEMETRY_DISABLED to record runs"
#: What an empty database would answer.
_NO_STATS: Mapping[str, Any] = MappingProxyType(
    {
        "total_runs": 0,
        "status_counts": {},
        "agents": {},
        "recent_24h": 0,
        "pending_api_posts": 0,
        "mean_duration_ms": None,
        "p95_duration_ms": None,
    }
)


class SilentEmitter:
    """
    Takes events, and forgets them.
    """

    def event(self, run_part: str, event_type: str, payload: object) -> None:
        """
        Do nothing; the payload is not looked at.
        """


class SilentRecorder:
    """
    Names runs, and records nothing of them.
    """

    def __init__(self) -> None:
        self._clock = ids.Clock()

    def start(  # noqa: PLR0913, PLR0917 (the recorder's own signature)
        self,
        agent_name: str,
        job_type: str,
        trigger_type: str,
        fields: Mapping[str, Any],
        run_id: str,
        parent_run_id: str,
        trace_id: str,
    ) -> OpenRun:
        """
        Return a run with ids of the usual form.
        """
        now, _, stamp, _ = self._clock.read()
        event_id, own_trace_id, new_run_id = ids.new_ids(now, stamp, _name(agent_name))
        run_id, trace_id = run_id or new_run_id, trace_id or own_trace_id
        return OpenRun(event_id, run_id, trace_id, "", "", now, 0)

    def update(self, run: OpenRun, fields: Mapping[str, Any]) -> None:
        """
        Do nothing.
        """

    def end(self, run: OpenRun, outcome: Outcome, fields: Mapping[str, Any]) -> None:
        """
        Do nothing.
        """

    def end_elsewhere(
        self, event_id: str, run_id: str, outcome: Outcome, fields: Mapping[str, Any]
    ) -> None:
        """
        Do nothing.
        """


class SilentRuns:
    """
    Remembers no run.
    """

    def add(self, run_id: str, run: OpenRun) -> None:
        """
        Do nothing.
        """

    def find(self, run_id: str) -> Optional[OpenRun]:
        """
        Find nothing.
        """
        return None

    def take(self, run_id: str) -> Optional[OpenRun]:
        """
        Find nothing.
        """
        return None

    def is_open(self, run_id: str) -> bool:
        """
        Tell that it is not.
        """
        return False


class SilentLiveness:
    """
    Shows nobody that this process lives.
    """

    is_held = True

    def hold(self) -> None:
        """
        Do nothing.
        """


class SilentRuntime:
    """
    Stands in for `Runtime` where the settings say ``disabled``.
    """

    #: Nothing is nested in a run of the parent process: this one has no runs.
    run_id = ""
    trace_id = ""

    def __init__(self, config: TelemetryConfig) -> None:
        self.config = config
        self.emitter = SilentEmitter()
        self.recorder = SilentRecorder()
        self.runs = SilentRuns()
        self.liveness = SilentLiveness()

    def part_of(self, run_id: str) -> str:
        """
        Return no keys.
        """
        return ""

    def find(self, run_id: str) -> Optional[str]:
        """
        Return an empty event id: to whom nothing is recorded, every run is as good as known.
        """
        return ""

    def link(self, run_id: str, fields: Mapping[str, Any]) -> tuple[bool, str]:
        """
        Refuse, and say why.
        """
        return False, _REFUSED

    def unrecorded(self, agent_name: str) -> OpenRun:
        """
        Return a run with ids of the usual form.
        """
        return self.recorder.start(agent_name, "", "", {}, "", "", "")

    def notice(self, key: str, message: str) -> None:
        """
        Say nothing.
        """

    def contain(self, error: Exception) -> None:
        """
        Say nothing, under TELEMETRY_STRICT too.
        """

    def flush(self, timeout_s: float) -> bool:
        """
        Tell that all of nothing has arrived.
        """
        return True

    def catch_up(self, timeout_s: float) -> bool:
        """
        Tell that all of nothing has arrived.
        """
        return True

    def reap(self) -> list[str]:
        """
        Find no dead runs.
        """
        return []

    def stats(self) -> dict[str, Any]:
        """
        Return zeros.
        """
        return {
            name: dict(value) if isinstance(value, dict) else value
            for name, value in _NO_STATS.items()
        }

    def close(self, timeout_s: float) -> bool:
        """
        Tell that all of nothing has arrived.
        """
        return True


def _name(agent_name: object) -> str:
    return agent_name if isinstance(agent_name, str) and agent_name else "unnamed"
