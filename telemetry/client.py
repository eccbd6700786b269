"""
`TelemetryClient`: the face of the library.

A thin one: it guards the call, and leaves the work to the runtime. No method raises an error of
telemetry's own into the agent (unless TELEMETRY_STRICT is set), prints, or waits, but for `flush`,
`catch_up` and `close`, which are told how long.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar, Union, cast

from telemetry.config import TelemetryConfig
from telemetry.model.run import CommitSource
from telemetry.run_context import RunContext
from telemetry.runtime.choice import runtime_for
from telemetry.runtime.lifecycle import Lifecycle

if TYPE_CHECKING:
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
        self._lifecycle = Lifecycle(self._runtime)

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
        return self._lifecycle.start(agent_name, job_type, trigger_type, fields, run_id).run_id

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
        self._lifecycle.end(run_id, status, fields)

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


_default: Optional[TelemetryClient] = None


def default_client() -> TelemetryClient:
    """
    Return the process's own client, made from the environment at the first call.
    """
    global _default  # noqa: PLW0603 (one per process; two threads at once make the same)
    if _default is None:
        _default = TelemetryClient()
    return _default
