"""
What tests of agents and of plugins need: fixtures, sinks that misbehave, checks for every sink.

pytest imports this module in every run of every user who has telemetry installed, so it brings the
fixtures alone; the rest is resolved when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from telemetry.testing.fixtures import (
    captured_runs,
    make_telemetry_client,
    telemetry_base,
    telemetry_client,
)

if TYPE_CHECKING:
    from telemetry.testing.captured import CapturedRuns
    from telemetry.testing.checking import check_sink
    from telemetry.testing.conformance import SinkConformance
    from telemetry.testing.doubles import Fault, FaultySink, MemorySink
    from telemetry.testing.samples import batches_of, sample_batches, sample_records

_HOMES = {
    "CapturedRuns": "telemetry.testing.captured",
    "SinkConformance": "telemetry.testing.conformance",
    "check_sink": "telemetry.testing.checking",
    "Fault": "telemetry.testing.doubles",
    "FaultySink": "telemetry.testing.doubles",
    "MemorySink": "telemetry.testing.doubles",
    "batches_of": "telemetry.testing.samples",
    "sample_batches": "telemetry.testing.samples",
    "sample_records": "telemetry.testing.samples",
}

__all__ = [
    "CapturedRuns",
    "Fault",
    "FaultySink",
    "MemorySink",
    "SinkConformance",
    "batches_of",
    "captured_runs",
    "check_sink",
    "make_telemetry_client",
    "sample_batches",
    "sample_records",
    "telemetry_base",
    "telemetry_client",
]


# No __dir__: pytest looks at every name that it lists, which would import them all.
def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(home), name)
