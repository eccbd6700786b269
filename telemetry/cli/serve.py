"""
``telemetry serve``: the HTTP service.
"""

from __future__ import annotations

from typing import Any, Optional

import attrs
import click

from telemetry.cli.session import current, shares_options


@shares_options
@click.command("serve")
@click.option("--host", metavar="ADDRESS", help="Listen on ADDRESS; 127.0.0.1 by default.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Listen on PORT; 8765 by default, 0 for a free one, which is printed.",
)
@click.option("--wait", is_flag=True, help="Wait until another service here has ended.")
@click.option(
    "--allow-unauthenticated",
    is_flag=True,
    help="Serve other machines without asking for a token.",
)
def command(
    host: Optional[str], port: Optional[int], wait: bool, allow_unauthenticated: bool
) -> int:
    """
    Serve the base directory over HTTP until SIGTERM or Ctrl+C.

    There is one service for a base directory: a second one says who it is and exits with 4.
    """
    from telemetry.service.server import serve

    given: dict[str, Any] = {"api_host": host, "api_port": port}
    changes = {name: value for name, value in given.items() if value is not None}
    if allow_unauthenticated:
        changes["api_allow_unauthenticated"] = True
    return serve(attrs.evolve(current().config, **changes), wait=wait)
