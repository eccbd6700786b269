"""
A run in progress, as the code inside it sees it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional

from telemetry.runtime.context import current_context, leave, set_context
from telemetry.runtime.handing import handed_down

if TYPE_CHECKING:
    from types import TracebackType

    from telemetry.client import TelemetryClient
    from telemetry.runtime.openruns import OpenRun


class RunContext:
    """
    A run in progress, as ``with client.track_run(...) as run`` and `current_run` give it.

    Usable from any thread. As a context manager it starts the run on entry and ends it on exit,
    whatever leaves the block; the same exception goes on.
    """

    __slots__ = ("_agent", "_client", "_fields", "_job", "_outer", "_own_id", "_run", "_trigger")

    def __init__(  # noqa: PLR0913, PLR0917 (what a start says)
        self,
        client: TelemetryClient,
        agent_name: str,
        job_type: str,
        trigger_type: str,
        fields: Mapping[str, Any],
        run_id: Optional[str] = None,
    ) -> None:
        self._client = client
        self._agent = agent_name
        self._job = job_type
        self._trigger = trigger_type
        self._fields = fields
        self._own_id = run_id
        #: What the recorder knows the run by; None before the block is entered.
        self._run: Optional[OpenRun] = None
        self._outer: Optional[RunContext] = None

    @property
    def run_id(self) -> str:
        """
        Return the run's readable id; empty before the block is entered.
        """
        return self._run.run_id if self._run else ""

    @property
    def event_id(self) -> str:
        """
        Return the run's key; empty before the block is entered.
        """
        return self._run.event_id if self._run else ""

    @property
    def trace_id(self) -> str:
        """
        Return the W3C trace id that nested runs share; empty before the block is entered.
        """
        return self._run.trace_id if self._run else ""

    def log_event(self, event_type: str, payload: object = None) -> None:
        """
        Record that something happened in the run.

        When it returns, ``kill -9`` cannot undo it. Safe from any thread and signal handler.

        Args:
            event_type: A short name, at most 255 characters.
            payload: Any value; bounded and scrubbed before it is written.
        """
        run = self._run
        if run is None:
            return
        runtime = self._client._runtime  # noqa: SLF001 (one module, one face)
        try:
            # Fetched, then called: Python 3.11 is quick at calling methods, which this is not.
            event = runtime.emitter.event
            event(run.part, event_type, payload)
        except Exception as error:  # noqa: BLE001 (the guarded boundary)
            runtime.contain(error)

    def set_metrics(self, **fields: Any) -> None:
        """
        Set fields of the run to absolute values; each is recorded at once.

        When it returns, ``kill -9`` cannot undo it. Safe from any thread; a value that its field
        cannot hold is left out, with one warning. Names that are no fields are kept under
        ``context_json``, with one warning.
        """
        if self._run is not None:
            runtime = self._client._runtime  # noqa: SLF001
            try:
                runtime.recorder.update(self._run, fields)
            except Exception as error:  # noqa: BLE001 (the guarded boundary)
                runtime.contain(error)

    update_metrics = set_metrics

    def associate_commit(
        self,
        commit_hash: str,
        commit_source: str,
        commit_author: Optional[str] = None,
        commit_timestamp: Optional[str] = None,
    ) -> tuple[bool, str]:
        """
        Link this run to a commit, as `TelemetryClient.associate_commit` does.
        """
        return self._client.associate_commit(
            self.run_id, commit_hash, commit_source, commit_author, commit_timestamp
        )

    def environ(self, base: Optional[Mapping[str, str]] = None) -> dict[str, str]:
        """
        Return an environment for a child process, whose runs will be nested in this one.

        Args:
            base: What to add to; this process's environment if not given.
        """
        env = dict(os.environ if base is None else base)
        if self._run is not None:
            span = self.event_id.replace("-", "")[16:]
            env["TRACEPARENT"] = f"00-{self.trace_id}-{span}-01"
            env["TELEMETRY_PARENT_RUN_ID"] = handed_down(self.run_id)
        return env

    def rest(self) -> None:
        """
        Stop being the current run of this context without ending, as a generator between items.
        """
        leave(self, self._outer)

    def __enter__(self) -> RunContext:  # noqa: PYI034 (Self is not in 3.9's typing)
        try:
            self._run = self._client._lifecycle.start(  # noqa: SLF001
                self._agent, self._job, self._trigger, self._fields, self._own_id
            )
            self._outer = current_context()
            set_context(self)
            return self
        except BaseException as error:  # Ctrl+C in here: the block's end will not be called
            self._close(error)
            raise

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        try:
            self._close(error)
        except RecursionError:  # no room for a call of ours, here neither: the next end does it
            if current_context() is self:
                set_context(self._outer)
            if self._run is not None:
                self._client._lifecycle.unended.append((self._run, error))  # noqa: SLF001
        except Exception:  # under TELEMETRY_STRICT
            raise
        except BaseException:  # Ctrl+C in here: nothing stays half done
            self._close(error)
            raise

    def _close(self, error: Optional[BaseException]) -> None:
        if current_context() is self:  # `leave`, without the call
            set_context(self._outer)
        if self._run is not None:
            self._client._lifecycle.finish(self._run, error)  # noqa: SLF001
        self._outer = None

    async def __aenter__(self) -> RunContext:  # noqa: PYI034
        return self.__enter__()

    async def __aexit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.__exit__(kind, error, trace)
