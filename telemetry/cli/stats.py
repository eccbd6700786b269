"""
``telemetry stats``: counts over everything that is recorded.
"""

from __future__ import annotations

from typing import Any

import click

from telemetry.cli.finding import open_reader
from telemetry.cli.outcomes import look_of
from telemetry.cli.session import Session, asks_service, current, shares_options
from telemetry.cli.table import Cell, TableColumn, draw
from telemetry.cli.times import clock, duration, today_of
from telemetry.model.words import several

_BAR_WIDTH = 16
_COLUMNS = (
    TableColumn(title="AGENT", least=10, style="name"),
    TableColumn(title="RUNS", right=True),
    TableColumn(title="SUCCESS", right=True),
    TableColumn(title="", leaves=1, style="good"),
    TableColumn(title="RUNNING", right=True, leaves=2, style="busy"),
    TableColumn(title="MEAN", right=True, leaves=3),
    TableColumn(title="LAST", leaves=4),
)


@asks_service
@shares_options
@click.command("stats")
def command() -> None:
    """
    Show how many runs there are, how they ended, and how each agent fares.
    """
    session = current()
    stats = open_reader(session).stats()
    if session.as_json:
        session.screen.json(stats)
    else:
        session.screen.lines([*_summary(session, stats), "", *_agents(session, stats)])


def _summary(session: Session, stats: dict[str, Any]) -> list[str]:
    screen = session.screen
    counted = []
    for status, count in sorted(stats["status_counts"].items(), key=_most_first):
        look = look_of({"status": status})
        counted.append(screen.style(f"{screen.sign(look.sign)} {count:,} {look.word}", look.style))
    total = screen.style(several(stats["total_runs"], "run"), "title")
    lines = [f"{total}, {stats['recent_24h']:,} of them in the last 24 hours"]
    if counted:
        lines.append("  ".join(counted))
    if stats["mean_duration_ms"] is not None:
        mean, p95 = duration(stats["mean_duration_ms"]), duration(stats["p95_duration_ms"])
        lines.append(f"took {mean} on average, 95% at most {p95}")
    return lines


def _most_first(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _agents(session: Session, stats: dict[str, Any]) -> list[str]:
    today = today_of(utc=session.utc) if session.screen.terminal else None
    rows = []
    for name, agent in sorted(
        stats["agents"].items(), key=lambda item: (-item[1]["runs"], item[0])
    ):
        ended = agent["runs"] - agent["running"]
        share = agent["successes"] / ended if ended else None
        rows.append(
            [
                Cell(name),
                Cell(f"{agent['runs']:,}"),
                Cell("" if share is None else f"{100 * share:.0f}%"),
                Cell("" if share is None else _bar(session, share)),
                Cell(agent["running"] or ""),
                Cell(duration(agent["mean_duration_ms"])),
                Cell(clock(agent["last_start"], utc=session.utc, today=today)),
            ]
        )
    return draw(session.screen, _COLUMNS, rows)


def _bar(session: Session, share: float) -> str:
    if not session.screen.terminal:
        return ""
    full = round(share * _BAR_WIDTH)
    return session.screen.sign("█") * full + session.screen.sign("░") * (_BAR_WIDTH - full)
