"""
Settings for commands that answer from this machine: they send nothing, and wait for no server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from telemetry.config import TelemetryConfig

#: The bundled plugins whose sinks go over the network.
NETWORK_PLUGINS = ("http",)


def offline(config: TelemetryConfig) -> TelemetryConfig:
    """
    Return the settings without the plugins that go over the network.
    """
    return attrs.evolve(config, plugins_disabled=(*config.plugins_disabled, *NETWORK_PLUGINS))
