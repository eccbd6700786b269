"""
How the runs of one client begin and end, whoever calls: its methods, a ``with`` block, a decorator.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional, Union

from telemetry.model import ids
from telemetry.model.errors import UsageError
from telemetry.model.outcomes import OUTCOMES, Outcome, outcome_of
from telemetry.model.run import Status, parse_status
from telemetry.runtime.context import current_context
from telemetry.runtime.openruns import NOTHING

if TYPE_CHECKING:
    from telemetry.runtime.openruns import OpenRun
    from telemetry.runtime.runtime import Runtime
    from telemetry.runtime.silence import SilentRuntime

#: Calls on the stack; the end of a run takes a few dozen, most of them for the text of its error.
_ROOM = 200
_SUCCESS = OUTCOMES[Status.SUCCESS]
#: What a status means that is spelt as it is stored.
_OUTCOMES = {outcome.word: outcome for outcome in OUTCOMES.values()}


class Lifecycle:
    """
    Begins and ends runs; keeps telemetry's own errors from the agent at that.
    """

    def __init__(self, runtime: Union[Runtime, SilentRuntime]) -> None:
        self._runtime = runtime
        #: Runs whose end found no room on the stack, each with what ended it: the next end does it.
        self.unended: list[tuple[OpenRun, Optional[BaseException]]] = []

    def start(
        self,
        agent_name: str,
        job_type: str,
        trigger_type: str,
        fields: Mapping[str, Any],
        run_id: Optional[str] = None,
    ) -> OpenRun:
        """
        Record the start of a run, nested in the one that is current here.

        Returns:
            The run; one that nobody else knows of, where its start could not be recorded.
        """
        runtime = self._runtime
        try:
            own = "" if run_id is None else self._own_run_id(run_id)
            outer = current_context()
            parent = (outer and outer._run) or runtime  # noqa: SLF001
            # Before the start is written: whoever reads it must find its owner alive.
            if not runtime.liveness.is_held:
                runtime.liveness.hold()
            # Fetched, then called: Python 3.11 is quick at calling methods, which these are not.
            start, add = runtime.recorder.start, runtime.runs.add
            run = start(
                agent_name, job_type, trigger_type, fields, own, parent.run_id, parent.trace_id
            )
            add(run.run_id, run)
        except Exception as error:  # noqa: BLE001 (the guarded boundary)
            runtime.contain(error)
            return runtime.unrecorded(str(agent_name))
        return run

    def end(self, run_id: str, status: str, fields: Mapping[str, Any]) -> None:
        """
        End a run by its id, of this process or another.
        """
        runtime = self._runtime
        try:
            known = _OUTCOMES.get(status) if type(status) is str else None
            outcome = known or self._outcome(status)
            run = runtime.runs.take(run_id)
            if run is not None:
                self._end(run, outcome, fields)
            else:
                self._end_elsewhere(run_id, outcome, fields)
        except Exception as error:  # noqa: BLE001 (the guarded boundary)
            runtime.contain(error)

    def finish(self, run: OpenRun, error: Optional[BaseException]) -> None:
        """
        End the run of a ``with`` block. In a forked child, the run is the parent's to end.

        Raises:
            RecursionError: There is no room for it on the stack; the run is open as before.
        """
        runtime = self._runtime
        try:
            outcome = _SUCCESS if error is None else outcome_of(error)
            if run.final_status is not None and outcome.status is Status.SUCCESS:
                outcome = OUTCOMES[run.final_status]
            if runtime.runs.take(run.run_id) is not None:
                self._end(run, outcome, NOTHING)
        except RecursionError:
            raise
        except Exception as broken:  # noqa: BLE001 (the guarded boundary)
            runtime.contain(broken)
        if self.unended:
            self._finish_unended()

    def _finish_unended(self) -> None:
        """
        End the runs that found no room, where there is room now; each is tried once.
        """
        unended = self.unended if _is_stack_roomy() else []
        while unended:
            run, error = unended.pop()
            try:
                self.finish(run, error)
            except RecursionError as broken:
                self._runtime.contain(broken)

    def _end(self, run: OpenRun, outcome: Outcome, fields: Mapping[str, Any]) -> None:
        """
        Record the end of a run that was taken; once more, with the same, if Ctrl+C comes between.

        One that cannot be recorded is open again.
        """
        end = self._runtime.recorder.end
        try:
            end(run, outcome, fields)
        except Exception:
            self._runtime.runs.add(run.run_id, run)
            raise
        except BaseException:
            end(run, outcome, fields)
            raise

    def _end_elsewhere(self, run_id: str, outcome: Outcome, fields: Mapping[str, Any]) -> None:
        runtime = self._runtime
        if runtime.runs.find(run_id) is not None:
            raise UsageError(
                f"a run must be ended once (got {run_id!r} again); nothing was recorded"
            )
        event_id = runtime.find(run_id)
        if event_id is None:
            shown = str(run_id)[:80]
            raise UsageError(
                f"run_id must be that of a recorded run (got {shown!r}); nothing ended"
            )
        runtime.recorder.end_elsewhere(event_id, run_id, outcome, fields)

    def _own_run_id(self, run_id: str) -> str:
        problem = ids.run_id_problem(run_id)
        if problem:
            self._runtime.notice("run_id", f"run_id {problem}; a new one was drawn instead")
            return ""
        if self._runtime.runs.is_open(run_id):
            return f"{run_id}-duplicate-{os.urandom(4).hex()}"
        return run_id

    def _outcome(self, status: object) -> Outcome:
        """
        Return what a caller's status means; one that nobody knows is a failure.
        """
        parsed = parse_status(status)
        if parsed is None:
            choices = ", ".join(member.value for member in Status)
            self._runtime.notice(
                "status", f"status must be one of {choices} (got {str(status)[:80]!r}); took failed"
            )
            parsed = Status.FAILED
        return OUTCOMES[parsed]


def _is_stack_roomy() -> bool:
    """
    Return whether more calls fit on the stack than the end of a run takes.
    """
    try:
        sys._getframe(sys.getrecursionlimit() - _ROOM)  # noqa: SLF001 (asks without a call)
    except ValueError:  # the stack is not as deep
        return True
    return False
