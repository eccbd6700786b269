"""
What commands use that record from this machine: they send nothing, and wait for no server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from telemetry.cli.exits import Exit, fail

if TYPE_CHECKING:
    from telemetry.cli.session import Session
    from telemetry.client import TelemetryClient
    from telemetry.config import TelemetryConfig

#: The bundled plugins whose sinks go over the network.
NETWORK_PLUGINS = ("http",)
#: How long a command waits for the database to have what the journal has, in seconds.
CATCH_UP_TIMEOUT_S = 30.0


def offline(config: TelemetryConfig) -> TelemetryConfig:
    """
    Return the settings without the plugins that go over the network.
    """
    return attrs.evolve(config, plugins_disabled=(*config.plugins_disabled, *NETWORK_PLUGINS))


def offline_client(session: Session, purpose: str) -> TelemetryClient:
    """
    Return a client of the base directory; ends the command where there is none.

    Args:
        purpose: What it is for, as a verb.
    """
    config = session.config
    if config.disabled:
        fail(
            f"telemetry must be switched on to {purpose} (got TELEMETRY_DISABLED); unset it",
            Exit.USAGE,
        )
    if not config.base_dir.is_dir():
        fail(
            f"base directory {config.base_dir} must exist to be read;"
            " see telemetry config base_dir, or make it with telemetry init",
            Exit.NOT_FOUND,
        )
    from telemetry.cli.strangers import refuse_strangers
    from telemetry.client import TelemetryClient

    refuse_strangers(config)
    return TelemetryClient(offline(config))
