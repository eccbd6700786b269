"""
What a shell offers for the name of a run: the newest ones, and the words that stand for one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

from telemetry.cli.ids import LAST, LAST_FAILED, short_ids

if TYPE_CHECKING:
    import click

MAX_OFFERED = 30


def complete_run(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """
    Return the runs whose short id or run id begins with what was typed.
    """
    from telemetry.cli.session import Session
    from telemetry.cli.text import visible
    from telemetry.storage.reader import Reader

    session = ctx.ensure_object(Session)
    # A key press does not wait for the network.
    is_here = session.url is None
    rows = Reader(session.config.db_path).runs(limit=MAX_OFFERED) if is_here else []
    short = short_ids(rows)
    offered = [CompletionItem(word) for word in (LAST, LAST_FAILED) if word.startswith(incomplete)]
    for row in rows:
        names = (short[row["event_id"]], row["run_id"], row["event_id"])
        name = next((name for name in names if name.startswith(incomplete)), None)
        # What cannot be typed as it is shown is not offered.
        if name is not None and visible(name) == name and not set(name) & set(" '\"\\,"):
            told = f"{row['agent_name']} {row['job_type']} {row['status']}"
            offered.append(CompletionItem(name, help=visible(told)))
    return offered
