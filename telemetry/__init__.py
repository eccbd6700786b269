"""
Record what agents do: one decorator, a journal that survives ``kill -9``, sinks that follow it.

Every public name is resolved when it is first used, so importing the package costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from telemetry.client import TelemetryClient
    from telemetry.config import TelemetryConfig
    from telemetry.hookspecs import hookimpl
    from telemetry.model.run import SCHEMA_VERSION, Run, Status
    from telemetry.run_context import RunContext
    from telemetry.tracking import current_run, in_context, tracked_run

__version__ = "0.1.0"

_HOMES = {
    "RunContext": "telemetry.run_context",
    "TelemetryClient": "telemetry.client",
    "TelemetryConfig": "telemetry.config",
    "hookimpl": "telemetry.hookspecs",
    "SCHEMA_VERSION": "telemetry.model.run",
    "Run": "telemetry.model.run",
    "Status": "telemetry.model.run",
    "current_run": "telemetry.tracking",
    "in_context": "telemetry.tracking",
    "tracked_run": "telemetry.tracking",
}

__all__ = [
    "SCHEMA_VERSION",
    "Run",
    "RunContext",
    "Status",
    "TelemetryClient",
    "TelemetryConfig",
    "current_run",
    "hookimpl",
    "in_context",
    "tracked_run",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
