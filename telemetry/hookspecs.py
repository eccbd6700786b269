"""
The hooks of a plugin, declared with pluggy.

A plugin is a module or an object with functions marked `hookimpl`, found by the entry-point group
``telemetry.plugins``. Hooks register; they do not deliver: records reach a sink by following the
journal, because a hook call stops at the first implementation that raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Optional

import pluggy

if TYPE_CHECKING:
    import click

    from telemetry.config import TelemetryConfig
    from telemetry.health import Check
    from telemetry.logs import Processor
    from telemetry.model.records import Record
    from telemetry.model.run import Run
    from telemetry.sinks import Journal, Sink

PROJECT_NAME = "telemetry"
ENTRY_POINT_GROUP = "telemetry.plugins"

hookspec = pluggy.HookspecMarker(PROJECT_NAME)
hookimpl = pluggy.HookimplMarker(PROJECT_NAME)


@hookspec
def telemetry_register_journal(config: TelemetryConfig) -> Optional[Journal]:
    """
    Return the journal that records are written to.

    Called once per process and base directory, before the first record is written. The first
    plugin that returns one is taken, the bundled file journal last. An exception is one warning,
    and the next plugin is asked.

    Args:
        config: Process-wide settings.
    """


@hookspec
def telemetry_register_sinks(config: TelemetryConfig) -> Iterable[Sink]:
    """
    Return the sinks this plugin adds.

    Called once per process and base directory, before the first record is followed. An exception
    is one warning and a line in ``telemetry plugins``; the other plugins are unaffected.

    Args:
        config: Process-wide settings; ``config.section()`` has the plugin's own.

    Returns:
        Sinks not yet opened, in any order; nothing to stay out of this process.
    """


@hookspec
def telemetry_register_processors(config: TelemetryConfig) -> Iterable[Processor]:
    """
    Return processors with structlog's signature, run on each event before it is scrubbed.

    Each is called as ``processor(None, event_type, payload)`` on the caller's thread and returns
    the payload that goes on; raising ``structlog.DropEvent`` drops the event. Any other exception
    is one warning, and the payload goes on as it was.

    Args:
        config: Process-wide settings.
    """


@hookspec
def telemetry_register_commands() -> Iterable[click.Command]:
    """
    Return commands that join the ``telemetry`` command line.

    Called when the command line starts. An exception is one line on standard error.
    """


@hookspec
def telemetry_register_health_checks(config: TelemetryConfig) -> Iterable[Check]:
    """
    Return checks that ``telemetry health`` and ``telemetry doctor`` make besides their own.

    Called when one of the two is. Each check is called alone, reads and changes nothing, and ends
    within a few seconds; one that raises is a finding of its own. An exception here is one warning
    and a line in ``telemetry plugins``.

    Args:
        config: Process-wide settings; ``config.section()`` has the plugin's own.
    """


@hookspec
def telemetry_run_started(run: Run, record: Record) -> Optional[Mapping[str, Any]]:
    """
    Learn that a run has begun.

    Called behind the journal, on a worker's thread, at least once for each run, by whichever
    process drains; implementation by implementation, so that an exception is one warning and
    nothing else.

    Args:
        run: The run as it began. Where no implementation names it, it is not built, which is most
            of what a short run costs here.
        record: The record that tells of it, for those who seldom want the rest of the run;
            `telemetry.model.fold.fold` makes it one.

    Returns:
        Fields of the run that the plugin found out, which are recorded as an update of the agent's;
        nothing to add none.
    """


@hookspec
def telemetry_run_ended(run: Run, record: Record) -> Optional[Mapping[str, Any]]:
    """
    Learn that a run has ended, with the run as it ended.

    Called, and answered, like `telemetry_run_started`.
    """
