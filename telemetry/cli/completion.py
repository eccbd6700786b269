"""
``telemetry completion SHELL``: the script that makes a shell complete commands, options and runs.
"""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import Optional

import click
from click.shell_completion import ShellComplete, get_completion_class

from telemetry.cli.exits import Exit, fail
from telemetry.cli.session import current, shares_options

SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_TELEMETRY_COMPLETE"


@shares_options
@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS), required=False)
def command(shell: Optional[str]) -> None:
    r"""
    Print the completion script for a shell; for the one in use if none is named.

    \b
    bash:  telemetry completion bash >> ~/.bashrc
    zsh:   telemetry completion zsh >> ~/.zshrc
    fish:  telemetry completion fish > ~/.config/fish/completions/telemetry.fish
    """
    session = current()
    shell = shell or PurePath(os.environ.get("SHELL", "")).name
    kind = get_completion_class(shell) if shell in SHELLS else None
    if kind is None:
        choices = ", ".join(SHELLS)
        fail(f"the shell must be one of {choices} (got {shell!r}); name it", Exit.USAGE)
    root = click.get_current_context().find_root().command
    # The class's own `source` may start the shell to ask for its version.
    script = ShellComplete.source(kind(root, {}, "telemetry", _VARIABLE))
    if session.as_json:
        session.screen.json({"shell": shell, "script": script})
    else:
        session.screen.line(script)
