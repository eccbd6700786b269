"""
Decorated functions: wrapt's transparent wrapper, and a driver for each kind of function.

A driver is of the same kind as what it drives, and passes everything through: values sent,
exceptions thrown, closing, cancellation, garbage collection. While a generator rests, its run is
not the current one: it is entered and left around each step.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import AsyncGenerator, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Callable, Optional

import attrs
import wrapt

from telemetry.client import default_client
from telemetry.run_context import RunContext
from telemetry.runtime.context import enter, leave

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from telemetry.client import TelemetryClient

#: How far up cloudpickle is looked for among the callers of a reduction.
_FRAMES_TO_CLOUDPICKLE = 4


@attrs.frozen(kw_only=True)
class Tracking:
    """
    What `tracked_run` was told; travels with a decorated function when it is pickled.
    """

    agent_name: str
    job_type: str
    trigger_type: str = "cli"
    capture_arguments: bool = False
    capture_result: bool = False
    fields: Mapping[str, Any] = attrs.field(factory=dict)
    client: Optional[TelemetryClient] = None

    @property
    def captures(self) -> bool:
        """
        Tell whether anything of a call is recorded beyond that it was made.
        """
        return self.capture_arguments or self.capture_result

    def record_call(self, run: RunContext, call: Call) -> None:
        """
        Record the arguments of a call, if that was asked for.

        They are recorded under the parameters' names: by its name a secret is known as one.
        """
        if call is not None and self.capture_arguments:
            function, args, kwargs = call
            run.log_event("call", _named_arguments(function, args, kwargs))

    def record_result(self, run: RunContext, result: object) -> None:
        """
        Record what a call returned, if that was asked for.
        """
        if self.capture_result:
            run.log_event("result", result)

    def run(self) -> RunContext:
        """
        Return a run, not yet begun.
        """
        client = self.client if self.client is not None else default_client()
        return RunContext(client, self.agent_name, self.job_type, self.trigger_type, self.fields)

    def __getstate__(self) -> dict[str, Any]:
        # A client is a process's own; where the function arrives, the default one takes over.
        return {**attrs.asdict(self, recurse=False), "client": None}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)


def wrap(function: Any, tracking: Tracking) -> Any:
    """
    Return a function that records each of its calls as a run.
    """
    return TrackedFunction(function, tracking)


class _BoundTrackedFunction(wrapt.BoundFunctionWrapper):  # type: ignore[type-arg]
    """
    A tracked method, bound: pickles as its object and its name.

    A static method, and a method got from the class, are bound to nothing and found by name.
    """

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self._self_instance is None:
            return _resolve, (self.__wrapped__.__module__, self.__wrapped__.__qualname__)
        return getattr, (self._self_instance, self.__wrapped__.__name__)


class TrackedFunction(wrapt.FunctionWrapper):  # type: ignore[type-arg]
    """
    A tracked function; to its users, the function itself.

    Pickles by reference where its name leads to it, and by value for cloudpickle.
    """

    __bound_function_wrapper__ = _BoundTrackedFunction

    def __init__(self, function: Any, tracking: Tracking) -> None:
        super().__init__(function, _driver_of(function, tracking))
        self._self_tracking = tracking

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        # cloudpickle takes whatever calls itself a function apart by its code object, and would
        # pickle the bare function. To it alone, this is an object with a reduction of its own.
        if _is_cloudpickle(sys._getframe(1)):  # noqa: SLF001 (the one way to know the caller)
            return TrackedFunction
        return type(self.__wrapped__)

    def __reduce_ex__(self, protocol: Any) -> Any:
        module, name = self.__wrapped__.__module__, self.__wrapped__.__qualname__
        by_value = _called_from_cloudpickle() and (
            module == "__main__" or _resolve_or_none(module, name) is not self
        )
        if by_value:
            return TrackedFunction, (self.__wrapped__, self._self_tracking)
        return _resolve, (module, name)


def _is_cloudpickle(frame: Optional[FrameType]) -> bool:
    return frame is not None and str(frame.f_globals.get("__name__", "")).startswith("cloudpickle")


def _called_from_cloudpickle() -> bool:
    frame: Optional[FrameType] = sys._getframe(2)  # noqa: SLF001
    for _ in range(_FRAMES_TO_CLOUDPICKLE):
        if _is_cloudpickle(frame):
            return True
        frame = frame.f_back if frame is not None else None
    return False


def _resolve(module: str, qualified_name: str) -> Any:
    found: Any = importlib.import_module(module)
    for name in qualified_name.split("."):
        found = getattr(found, name)
    return found


def _resolve_or_none(module: str, qualified_name: str) -> Any:
    try:
        return _resolve(module, qualified_name)
    except (ImportError, AttributeError):
        return None


#: What was called, and with what; None where nobody wants to know.
Call = Optional[tuple[Any, tuple[Any, ...], dict[str, Any]]]


def _named_arguments(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    try:
        return dict(inspect.signature(function).bind(*args, **kwargs).arguments)
    except Exception:  # noqa: BLE001 (no signature, or one of the user's making)
        return {"args": args, "kwargs": kwargs}


def _driver_of(function: Any, tracking: Tracking) -> Callable[..., Any]:
    """
    Return the driver for a function's kind.
    """
    inner = getattr(function, "__func__", function)
    while isinstance(inner, functools.partial):
        inner = inner.func
    if not (inspect.isroutine(inner) or inspect.isclass(inner)):
        inner = getattr(inner, "__call__", inner)  # noqa: B004 (the method itself is wanted)
    if inspect.isasyncgenfunction(inner):
        return functools.partial(_drive, _drive_async_generator, tracking)
    if inspect.iscoroutinefunction(inner):
        return functools.partial(_drive, _drive_coroutine, tracking)
    if inspect.isgeneratorfunction(inner):
        return functools.partial(_drive, _drive_generator, tracking)
    if tracking.captures:
        return functools.partial(_call_capturing, tracking)
    return _calling(tracking)


def _calling(tracking: Tracking) -> Callable[..., Any]:
    """
    Return the driver of a plain function: ``with tracking.run()``, written out.

    Python calls its own methods by name for half of what a ``with`` costs.
    """
    client, fields = tracking.client, tracking.fields
    agent, job, trigger = tracking.agent_name, tracking.job_type, tracking.trigger_type

    def call(wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        own = default_client() if client is None else client
        run = RunContext(own, agent, job, trigger, fields)
        run.__enter__()
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            run.__exit__(type(error), error, error.__traceback__)
            raise
        run.__exit__(None, None, None)
        return result

    return call


def _call_capturing(
    tracking: Tracking, wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    with tracking.run() as run:
        tracking.record_call(run, (wrapped, args, kwargs))
        result = wrapped(*args, **kwargs)
        tracking.record_result(run, result)
    return result


class _Unstarted:
    """
    Holds what a call made until its driver starts; closed in silence if that never comes.

    The call itself is made at once, as without a decorator, so wrong arguments fail where they
    should; but only the driver may warn that it was never awaited.
    """

    __slots__ = ("_made",)

    def __init__(self, made: Any) -> None:
        self._made = made

    def take(self) -> Any:
        """
        Hand over what was made.
        """
        made, self._made = self._made, None
        return made

    def __del__(self) -> None:
        if inspect.iscoroutine(self._made):
            self._made.close()


def _drive(
    driver: Callable[..., Any],
    tracking: Tracking,
    wrapped: Any,
    _: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """
    Make the call, and return a driver around what it made, under the same name.
    """
    made = wrapped(*args, **kwargs)
    # The arguments are only held on to where they are wanted: they may be large, or be watched.
    call = (wrapped, args, kwargs) if tracking.captures else None
    driven = driver(tracking, _Unstarted(made), call)
    for attribute in ("__name__", "__qualname__"):
        name = getattr(made, attribute, None)
        if isinstance(name, str):
            setattr(driven, attribute, name)
    return driven


async def _drive_coroutine(tracking: Tracking, unstarted: _Unstarted, call: Call) -> Any:
    made = unstarted.take()
    with tracking.run() as run:
        tracking.record_call(run, call)
        result = await made
        tracking.record_result(run, result)
    return result


def _drive_generator(
    tracking: Tracking, unstarted: _Unstarted, call: Call
) -> Generator[Any, Any, Any]:
    made = unstarted.take()
    with tracking.run() as run:
        tracking.record_call(run, call)
        run.rest()
        step: Callable[[Any], Any] = made.send
        given: Any = None
        while True:
            outer = enter(run)
            try:
                item = step(given)
            except StopIteration as stop:
                tracking.record_result(run, stop.value)
                return stop.value
            finally:
                leave(run, outer)
                given = None
            try:
                given = yield item
                step = made.send
            except BaseException as error:  # noqa: BLE001 (goes into the generator)
                step, given = made.throw, error


async def _drive_async_generator(
    tracking: Tracking, unstarted: _Unstarted, call: Call
) -> AsyncGenerator[Any, Any]:
    made = unstarted.take()
    with tracking.run() as run:
        tracking.record_call(run, call)
        run.rest()
        step: Callable[[Any], Coroutine[Any, Any, Any]] = made.asend
        given: Any = None
        while True:
            outer = enter(run)
            try:
                item = await step(given)
            except StopAsyncIteration:
                return
            finally:
                leave(run, outer)
                given = None
            try:
                given = yield item
                step = made.asend
            except BaseException as error:  # noqa: BLE001 (goes into the generator)
                step, given = made.athrow, error
