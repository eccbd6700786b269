"""
Which runtime a process has: the real one, or none to speak of where telemetry is disabled.

A program that has it disabled does not even import what records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from telemetry.config import TelemetryConfig
    from telemetry.runtime.runtime import Runtime
    from telemetry.runtime.silence import SilentRuntime


def runtime_for(
    config: TelemetryConfig, plugins: Sequence[object] = ()
) -> Union[Runtime, SilentRuntime]:
    """
    Return the runtime for these settings; clients of the same settings share one.
    """
    if config.disabled:
        from telemetry.runtime.silence import SilentRuntime

        return SilentRuntime(config)
    from telemetry.runtime.runtime import shared_runtime

    return shared_runtime(config, plugins)
