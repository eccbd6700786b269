"""
Databases in the place of ours that another program made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telemetry.cli.exits import Exit, fail

if TYPE_CHECKING:
    from telemetry.config import TelemetryConfig


def refuse_strangers(config: TelemetryConfig) -> None:
    """
    End the command with 4 where another program's database is in the place of ours.

    What a newer release made can still be read.
    """
    from telemetry.storage.strangers import stranger_at

    stranger = stranger_at(config.db_path)
    if stranger is not None and not stranger.is_newer:
        fail(stranger.refusal(config.db_path), Exit.UNAVAILABLE)
