"""
A bar for what takes a while, where there is a terminal to draw it on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Callable, Optional

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
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(no_color=not session.screen.color, highlight=False)
    columns = (
        *([TextColumn("{task.description}", markup=False)] if title else []),
        BarColumn(40),
        DownloadColumn() if counts == "bytes" else MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title)
        yield _mover(lambda done, total: bar.update(task, completed=done, total=total))


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


def _mover(move: Callable[[int, int], Any]) -> Progress:
    def progress(done: int, total: int) -> None:
        move(done, total)

    return progress
