"""
``telemetry plugins``: which are installed, what they add, and what is wrong with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import click

from telemetry.cli.exits import Exit
from telemetry.cli.session import current, shares_options
from telemetry.cli.table import Cell, TableColumn, draw

if TYPE_CHECKING:
    from telemetry.config import TelemetryConfig
    from telemetry.runtime.plugins import PluginStatus

_COLUMNS = (
    TableColumn(title="PLUGIN", style="name"),
    TableColumn(title="STATE"),
    TableColumn(title="FROM", least=12, leaves=2),
    TableColumn(title="ADDS", least=12, leaves=3),
    TableColumn(title="PROBLEM", least=20, style="bad"),
)
_STYLES = {"loaded": "good", "failed": "bad", "disabled": "faint"}
_HOOK_PREFIXES = ("telemetry_register_", "telemetry_")


@shares_options
@click.command("plugins")
def command() -> Exit:
    """
    List the installed plugins, what each adds, and what is wrong with it.

    Exits with 1 where one is broken.
    """
    session = current()
    statuses = _statuses(session.config)
    if session.as_json:
        session.screen.json({"plugins": [_document(status) for status in statuses]})
    else:
        lines = draw(session.screen, _COLUMNS, [_row(status) for status in statuses])
        session.screen.lines(lines)
    return Exit.FINDINGS if any(status.problem for status in statuses) else Exit.FINE


def _statuses(config: TelemetryConfig) -> tuple[PluginStatus, ...]:
    """
    Load every plugin and ask it what it adds, as a process that records does.
    """
    from telemetry.runtime.plugins import Plugins

    plugins = Plugins.load(config)
    plugins.sinks(config)
    plugins.processors(config)
    plugins.commands()
    plugins.health_checks(config)
    return plugins.statuses


def _row(status: PluginStatus) -> list[Cell]:
    source = f"{status.distribution} {status.version}".strip() or status.module
    return [
        Cell(status.name),
        Cell(status.state.value, _STYLES[status.state.value]),
        Cell(source),
        Cell(", ".join(map(_short, status.hooks))),
        Cell(status.problem),
    ]


def _short(hook: str) -> str:
    for prefix in _HOOK_PREFIXES:
        if hook.startswith(prefix):
            return hook[len(prefix) :].replace("_", " ")
    return hook


def _document(status: PluginStatus) -> dict[str, Any]:
    return {**attrs.asdict(status), "state": status.state.value, "hooks": list(status.hooks)}
