"""
The HTTP sinks: records to a telemetry service, finished runs to any webhook.

Nothing here is imported, and no thread, socket or packet exists, in a process that sets neither
``TELEMETRY_API_URL`` nor ``METRICS_API_URL``.
"""

from telemetry_plugins.http.plugin import (
    telemetry_register_health_checks,
    telemetry_register_sinks,
)

__all__ = ["telemetry_register_health_checks", "telemetry_register_sinks"]
