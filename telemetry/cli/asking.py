"""
Asking before something is changed that cannot be changed back at once.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from telemetry.cli.exits import Exit, fail
from telemetry.cli.screen import is_terminal
from telemetry.cli.text import visible

if TYPE_CHECKING:
    from telemetry.cli.session import Session


def require_consent(session: Session, question: str, *, is_given: bool) -> None:
    """
    Go on only if a person at a terminal says yes, or the line has said so.

    Elsewhere the command ends with 2, and says what would let it go on.
    """
    if is_given:
        return
    if session.as_json or not is_terminal(sys.stdin):
        fail(
            f"{question} It must be agreed to, and nobody is at a terminal;"
            " say --yes, or --dry-run to see what would be done",
            Exit.USAGE,
        )
    if not click.confirm(visible(question), default=False, err=True):
        fail("nothing was changed", Exit.INTERRUPTED)
