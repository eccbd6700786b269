"""
`TelemetryClient`: the face of the library.

A thin one: it finds the run, guards the call, and leaves the work to the recorder. No method raises
an error of telemetry's own into the agent (unless TELEMETRY_STRICT is set), prints, or waits, but
for `flush`, `catch_up` and `close`, which are told how long.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar, Union, cast

from telemetry.config import TelemetryConfig
from telemetry.model import ids
from telemetry.model.errors import UsageError
from telemetry.model.outcomes import OUTCOMES, Outcome, outcome_of
from telemetry.model.run import CommitSource, Status, parse_status
from telemetry.run_context import RunContext
from telemetry.runtime.choice import runtime_for
from telemetry.runtime.context import current_context
from telemetry.runtime.openruns import NOTHING

if TYPE_CHECKING:
    from telemetry.runtime.openruns import OpenRun
    from telemetry.runtime.runtime import Runtime
    from telemetry.runtime.silence import SilentRuntime

Method = TypeVar("Method", bound=Callable[..., Any])


def _contained(otherwise: Any = None) -> Callable[[Method], Method]:
    """
    Keep a method's own errors from the agent; it then returns ``otherwise``.
    """

    def decorate(method: Method) -> Method:
        @functools.wraps(method)
        def call(self: TelemetryClient, *args: Any, **kwargs: Any) -> Any:
            try:
                return method(self, *args, **kwargs)
            except Exception as error:  # noqa: BLE001 (the guarded boundary)
                self._runtime.contain(error)
                return otherwise() if callable(otherwise) else otherwise

        return cast("Method", call)

    return decorate


_COMMIT_HASH = re.compile(r"[0-9a-fA-F]{7,40}")
_COMMIT_SOURCES = tuple(source.value for source in CommitSource)
FLUSH_TIMEOUT_S = 5.0
#: Calls on the stack; the end of a run takes a few dozen, most of them for the text of its error.
_ROOM = 200
_SUCCESS = OUTCOMES[Status.SUCCESS]
#: What a status means that is spelt as it is stored.
_OUTCOMES = {outcome.word: outcome for outcome in OUTCOMES.values()}


class TelemetryClient:
    """
    Records runs into one base directory.

    Clients of the same directory share one writer, so making many costs nothing. Making one opens
    no file and starts no thread; the first record does.

    Safe from any thread, and in a forked child. No call raises an error of telemetry's own: it is
    one warning in its log, unless TELEMETRY_STRICT is set.

    Args:
        config: Settings; from the environment if not given.
        base_dir: Base directory, before what the environment says.
        plugins: Plugin objects to register beside the installed ones.
    """

    def __init__(
        self,
        config: Optional[TelemetryConfig] = None,
        *,
        base_dir: Optional[os.PathLike[str] | str] = None,
        plugins: Sequence[object] = (),
    ) -> None:
        if config is None:
            config = TelemetryConfig.from_env(base_dir=base_dir)
        self._runtime: Union[Runtime, SilentRuntime] = runtime_for(config, tuple(plugins))
        #: Runs whose end found no room on the stack, each with what ended it.
        self._unended: list[tuple[OpenRun, Optional[BaseException]]] = []

    @classmethod
    def from_env(cls) -> TelemetryClient:
        """
        Make a client from the environment; the same as ``TelemetryClient()``.
        """
        return cls()

    @property
    def config(self) -> TelemetryConfig:
        """
        Return the settings in force.
        """
        return self._runtime.config

    def start_run(
        self,
        agent_name: str,
        job_type: str,
        trigger_type: str = "cli",
        *,
        run_id: Optional[str] = None,
        **fields: Any,
    ) -> str:
        """
        Record the start of a run; it has to be ended, by any process.

        When it returns, ``kill -9`` cannot undo it.

        Args:
            agent_name: At most 255 characters; a longer one is cut.
            job_type: The kind of work, of the same length.
            trigger_type: ``cli``, ``web``, ``scheduler``, ``mcp`` or ``manual``.
            run_id: An id of the caller's own: at most 255 characters, no slash, backslash or
                control character; a bad one is replaced, with one warning.
            fields: Any other fields of the run.

        Returns:
            The run's id; also where nothing could be recorded.
        """
        return self._start(agent_name, job_type, trigger_type, fields, run_id).run_id

    def log_event(self, run_id: str, event_type: str, payload: object = None) -> None:
        """
        Record that something happened in a run, of this process or another.

        When it returns, ``kill -9`` cannot undo it. Safe from any thread and signal handler.
        """
        runtime = self._runtime
        try:
            event = runtime.emitter.event
            event(runtime.part_of(run_id), event_type, payload)
        except Exception as error:  # noqa: BLE001 (the guarded boundary)
            runtime.contain(error)

    def end_run(self, run_id: str, status: str = "success", **fields: Any) -> None:
        """
        Record the end of a run, of this process or another.

        A second end of the same run is one warning. An unknown status is recorded as ``failed``.
        When it returns, ``kill -9`` cannot undo it.

        Args:
            status: One of `Status`, or a word that is understood as one, such as ``completed``.
            fields: Any other fields of the run; those set before stay.
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

    def track_run(
        self,
        agent_name: str,
        job_type: str,
        trigger_type: str = "cli",
        *,
        run_id: Optional[str] = None,
        **fields: Any,
    ) -> RunContext:
        """
        Return a context manager, for ``with`` and ``async with``, that records a run.

        An exception ends the run with the status it means and goes on as the same object. The
        arguments are those of `start_run`.
        """
        return RunContext(self, agent_name, job_type, trigger_type, fields, run_id)

    @_contained((False, "the commit could not be recorded; telemetry's log says why"))
    def associate_commit(
        self,
        run_id: str,
        commit_hash: str,
        commit_source: str,
        commit_author: Optional[str] = None,
        commit_timestamp: Optional[str] = None,
    ) -> tuple[bool, str]:
        """
        Link a run to the commit that came of it.

        The run may be open or finished, of this process or another.

        Args:
            commit_hash: 7 to 40 hex digits.
            commit_source: ``manual``, ``llm`` or ``ci``.
            commit_timestamp: ISO 8601; a `datetime` will do.

        Returns:
            Whether it was recorded, and a sentence that says what happened.
        """
        if not _COMMIT_HASH.fullmatch(str(commit_hash)):
            return False, f"commit_hash must be 7 to 40 hex digits (got {str(commit_hash)[:80]!r})"
        if commit_source not in _COMMIT_SOURCES:
            choices = ", ".join(_COMMIT_SOURCES)
            return (
                False,
                f"commit_source must be one of {choices} (got {str(commit_source)[:80]!r})",
            )
        fields = {
            "git_commit_hash": str(commit_hash).lower(),
            "git_commit_source": commit_source,
            "git_commit_author": commit_author,
            "git_commit_timestamp": commit_timestamp,
        }
        return self._runtime.link(run_id, fields)

    @_contained(lambda: {"error": "the database cannot be read; telemetry's log says why"})
    def get_stats(self) -> dict[str, Any]:
        """
        Return counts over everything recorded in the base directory.

        Reads the database, so it may take some milliseconds; what is not there yet is caught up
        first, for at most a second.

        Returns:
            ``total_runs``, ``status_counts``, ``agents``, ``recent_24h``, ``pending_api_posts``;
            ``error`` where the database cannot be read.
        """
        self._runtime.flush(1.0)
        return self._runtime.stats()

    @_contained(otherwise=False)
    def flush(self, timeout: float = FLUSH_TIMEOUT_S) -> bool:
        """
        Wait until every record acknowledged so far has reached every sink.

        Args:
            timeout: Seconds to wait over all sinks together.

        Returns:
            Whether all of it arrived; what did not stays in the journal for the next follower.
        """
        return self._runtime.flush(timeout)

    @_contained(otherwise=False)
    def catch_up(self, timeout: float = FLUSH_TIMEOUT_S) -> bool:
        """
        Bring the sinks up to everything in the base directory, also of other processes.

        Args:
            timeout: Seconds to wait over all sinks together.

        Returns:
            Whether all of it arrived; what did not stays in the journal for the next follower.
        """
        return self._runtime.catch_up(timeout)

    @_contained(list)
    def reap(self) -> list[str]:
        """
        Record the death of every run whose owner is gone, and return their run ids.
        """
        return self._runtime.reap()

    @_contained(otherwise=False)
    def close(self, timeout: Optional[float] = None) -> bool:
        """
        Flush and release what the client holds; a later call opens it again.

        Args:
            timeout: Seconds to wait over all sinks together; TELEMETRY_EXIT_TIMEOUT_S if not given.

        Returns:
            Whether everything arrived; what did not stays in the journal for the next follower.
        """
        return self._runtime.close(self.config.exit_timeout_s if timeout is None else timeout)

    def _start(
        self,
        agent_name: str,
        job_type: str,
        trigger_type: str,
        fields: Mapping[str, Any],
        run_id: Optional[str] = None,
    ) -> OpenRun:
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

    def _finish(self, run: OpenRun, error: Optional[BaseException]) -> None:
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
        if self._unended:
            self._finish_unended()

    def _finish_unended(self) -> None:
        """
        End the runs that found no room, where there is room now; each is tried once.
        """
        unended = self._unended if _is_stack_roomy() else []
        while unended:
            run, error = unended.pop()
            try:
                self._finish(run, error)
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


_default: Optional[TelemetryClient] = None


def default_client() -> TelemetryClient:
    """
    Return the process's own client, made from the environment at the first call.
    """
    global _default  # noqa: PLW0603 (one per process; two threads at once make the same)
    if _default is None:
        _default = TelemetryClient()
    return _default
