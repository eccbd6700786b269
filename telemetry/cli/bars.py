"""
A bar for what takes a while, where there is a terminal to draw it on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Callable, Optional

from telemetry.model.words import in_bytes

if TYPE_CHECKING:
    from telemetry.cli.session import Session

Progress = Callable[[int, int], None]


@contextmanager
def progress_bar(
    session: Session, title: str = "", *, counts: str = "bytes"
) -> Iterator[Optional[Progress]]:
    """
    Give a function that moves a bar on; None where nobody would see it.

    Args:
        counts: What the bar shows: sizes for "bytes", else plain numbers.
    """
    if session.as_json or not session.screen.terminal:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(no_color=not session.screen.color, highlight=False)
    columns = (
        *([TextColumn("{task.description}", markup=False)] if title else []),
        BarColumn(40),
        TextColumn("{task.fields[amount]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None, amount="")

        def move(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, amount=_amount(done, total, counts))

        yield move


@contextmanager
def waiting(session: Session, title: str) -> Iterator[None]:
    """
    Say what is going on while nobody can tell how far it is; nothing where nobody would see it.
    """
    if session.as_json or not session.screen.terminal:
        yield
        return
    from rich.console import Console

    console = Console(no_color=not session.screen.color, highlight=False)
    with console.status(title):
        yield


def _amount(done: int, total: int, counts: str) -> str:
    if counts == "bytes":
        return f"{in_bytes(done)} of {in_bytes(total)}"
    return f"{done:,} of {total:,}"
