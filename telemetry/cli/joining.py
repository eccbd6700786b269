"""
Commands that plugins bring.

Each plugin is loaded alone, and a broken one is a line on standard error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from telemetry.runtime.plugins import Plugins

if TYPE_CHECKING:
    import click

    from telemetry.cli.session import Session


def plugin_commands(session: Session) -> Mapping[str, click.Command]:
    """
    Return the commands of all installed plugins, by name.
    """
    plugins = Plugins.load(session.config)
    return {str(command.name): command for command in plugins.commands()}
