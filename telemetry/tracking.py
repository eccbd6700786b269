"""
`tracked_run`, `current_run` and `in_context`: recording without a client in hand.
"""

from __future__ import annotations

import contextvars
import functools
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar, Union, overload

from telemetry.runtime.context import current_context

if TYPE_CHECKING:
    from telemetry.client import TelemetryClient
    from telemetry.run_context import RunContext

F = TypeVar("F", bound=Callable[..., Any])
_DISABLED_VALUES = frozenset({"1", "true", "yes", "on"})


@overload
def tracked_run(agent_name: F, /) -> F: ...


@overload
def tracked_run(
    agent_name: Optional[str] = None,
    job_type: Optional[str] = None,
    trigger_type: str = "cli",
    *,
    client: Optional[TelemetryClient] = None,
    capture_arguments: bool = False,
    capture_result: bool = False,
    **fields: Any,
) -> Callable[[F], F]: ...


def tracked_run(  # noqa: PLR0913 (what a run can be told)
    agent_name: Union[F, str, None] = None,
    job_type: Optional[str] = None,
    trigger_type: str = "cli",
    *,
    client: Optional[TelemetryClient] = None,
    capture_arguments: bool = False,
    capture_result: bool = False,
    **fields: Any,
) -> Any:
    """
    Record each call of a function as a run.

    Works bare or with arguments, over functions, coroutines, generators, async generators, methods,
    class and static methods (on either side of their decorators) and callable objects. The run of
    a generator begins with its first item and ends when it is exhausted or closed. What the caller
    sees is what it saw before: results, exceptions, signature, type. Runs begun inside are nested
    in it.

    With TELEMETRY_DISABLED set when the function is decorated, it is returned as it is.

    Args:
        agent_name: The agent; the module's name, or the script's, if not given.
        job_type: The work; the function's qualified name if not given.
        trigger_type: What set it off: cli, web, scheduler, mcp or manual.
        client: Where to record; the process's own client if not given.
        capture_arguments: Record the call's arguments, by name, as an event ``call``, bounded and
            scrubbed.
        capture_result: Record what it returns as an event ``result``, bounded and scrubbed.
        fields: Any other fields of the run.
    """

    def decorate(function: Any) -> Any:
        if os.environ.get("TELEMETRY_DISABLED", "").strip().lower() in _DISABLED_VALUES:
            return function
        # Only programs that record pay for what records.
        from telemetry.wrapping import Tracking, wrap

        named = agent_name if isinstance(agent_name, str) else None
        tracking = Tracking(
            agent_name=named or _agent_of(function),
            job_type=job_type or _job_of(function),
            trigger_type=trigger_type,
            capture_arguments=capture_arguments,
            capture_result=capture_result,
            fields=fields,
            client=client,
        )
        return wrap(function, tracking)

    if agent_name is None or isinstance(agent_name, str):
        return decorate
    return decorate(agent_name)


def _underlying(function: Any) -> Any:
    """
    Return the function inside a class or static method, or a partial.
    """
    for name in ("__func__", "func"):
        function = getattr(function, name, function)
    return function


def _agent_of(function: Any) -> str:
    module = getattr(_underlying(function), "__module__", None) or "unknown"
    if module != "__main__":
        return str(module).rpartition(".")[2]
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if not script:
        return "interactive"
    # os.path, because a program that has telemetry disabled need not pay for pathlib.
    return os.path.splitext(os.path.basename(str(script)))[0]  # noqa: PTH119, PTH122


def _job_of(function: Any) -> str:
    inner = _underlying(function)
    name = getattr(inner, "__qualname__", None) or type(inner).__qualname__
    return str(name).replace("<locals>.", "")


class NoRun:
    """
    What `current_run` returns outside of any run: the same methods, doing nothing.
    """

    run_id = ""
    event_id = ""
    trace_id = ""

    def log_event(self, event_type: str, payload: object = None) -> None:
        """
        Do nothing.
        """

    def set_metrics(self, **fields: Any) -> None:
        """
        Do nothing.
        """

    update_metrics = set_metrics

    def associate_commit(
        self,
        commit_hash: str,
        commit_source: str,
        commit_author: Optional[str] = None,
        commit_timestamp: Optional[str] = None,
    ) -> tuple[bool, str]:
        """
        Do nothing, and say so.
        """
        return False, "there is no current run to link a commit to"

    def environ(self, base: Optional[Mapping[str, str]] = None) -> dict[str, str]:
        """
        Return the environment as it is.
        """
        return dict(os.environ if base is None else base)

    def __bool__(self) -> bool:
        return False


NO_RUN = NoRun()


def current_run() -> Union[RunContext, NoRun]:
    """
    Return the innermost run of this thread or task; outside of any, an object that does nothing.
    """
    return current_context() or NO_RUN


def in_context(function: F) -> F:
    """
    Return the function bound to the present context, for another thread or executor.

    Runs begun inside it, and `current_run`, then see the run that was current here. Each call has a
    copy of the context, so one bound function may run in many threads at once.
    """
    context = contextvars.copy_context()

    def bound(*args: Any, **kwargs: Any) -> Any:
        return context.copy().run(function, *args, **kwargs)

    return functools.wraps(function)(bound)  # type: ignore[return-value]
