"""
Which sinks the settings ask for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from telemetry.config.rules import Number
from telemetry.config.setting import Group, setting
from telemetry.hookspecs import hookimpl

if TYPE_CHECKING:
    from telemetry.config import TelemetryConfig
    from telemetry.health import Check
    from telemetry.sinks import Sink


@attrs.frozen(kw_only=True)
class HttpSettings:
    """
    The plugin's own settings: ``TELEMETRY_HTTP_TIMEOUT_S``.
    """

    timeout_s: float = attrs.field(
        default=30.0,
        metadata=setting(
            "TELEMETRY_HTTP_TIMEOUT_S",
            rule=Number(0.1),
            group=Group.PLUGINS,
            unit="s",
            help="Time that one request of a sink may take in all: name look-up, connection, TLS, "
            "sending and the whole answer.",
        ),
    )


@hookimpl
def telemetry_register_sinks(config: TelemetryConfig) -> list[Sink]:
    """
    Return a sink for each address that is set; no HTTP library is imported before its first batch.
    """
    sinks: list[Sink] = []
    if config.sources.get("api_url", "default") != "default":
        from telemetry_plugins.http.records import RecordsSink

        sinks.append(
            RecordsSink(
                config.api_url,
                config.api_token,
                config.state_dir,
                timeout_s=config.section("http", HttpSettings).timeout_s,
            )
        )
    if config.metrics_api_url and config.metrics_api_enabled:
        from telemetry_plugins.http.posts import PostsSink

        sinks.append(
            PostsSink(
                config.metrics_api_url,
                config.metrics_api_token,
                config.state_dir,
                timeout_s=config.section("http", HttpSettings).timeout_s,
            )
        )
    return sinks


@hookimpl
def telemetry_register_health_checks(config: TelemetryConfig) -> list[Check]:
    """
    Return a check of the service that records are shipped to, where there is one.
    """
    if config.sources.get("api_url", "default") == "default":
        return []
    from telemetry_plugins.http.reachable import service_check

    return [service_check(config)]
