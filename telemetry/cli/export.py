"""
``telemetry export``: runs as a file for people, spreadsheets and other programs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Callable, Optional, cast

import click

from telemetry.cli.counts import Count
from telemetry.cli.exits import Exit, fail
from telemetry.cli.filters import chosen, filter_options
from telemetry.cli.screen import is_terminal, taken_by_output
from telemetry.cli.session import Session, current, shares_options
from telemetry.cli.text import visible, visible_json
from telemetry.model.words import several

if TYPE_CHECKING:
    from telemetry.exchange.formats import Format, Order

FORMATS = ("csv", "xlsx", "json", "ndjson", "parquet")
STREAM = "-"
_DIRECTORY = "exports"


@shares_options
@click.command("export")
@click.argument("format_name", metavar="[FORMAT]", required=False, type=click.Choice(FORMATS))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Write here, - for standard output; else a new file in exports/.",
)
@click.option(
    "--columns",
    default="default",
    show_default=True,
    metavar="NAMES",
    help="Columns, with commas between; default and all stand for many.",
)
@filter_options
@click.option("--exclude-test", is_flag=True, help="No runs whose kind of work is test.")
@click.option(
    "-n",
    "--limit",
    type=Count(0),
    default=0,
    help="At most so many, the newest; 0 for all.",
)
@click.option(
    "--raw",
    is_flag=True,
    help="CSV as it is, also what a spreadsheet would take for formulas; for programs.",
)
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
def command(  # noqa: PLR0913 (one argument for each option)
    format_name: Optional[str],
    *,
    output: Optional[str],
    columns: str,
    exclude_test: bool,
    limit: int,
    raw: bool,
    force: bool,
    **options: Any,
) -> None:
    """
    Export runs as csv, xlsx, json, ndjson or parquet, newest first.

    FORMAT may be left out where the file's name ends with it. The runs are those of one moment,
    however long it takes; the file is whole or not there.
    """
    from telemetry.cli.finding import open_reader
    from telemetry.exchange.formats import Format, Order, parse_columns
    from telemetry.storage.selection import Selection

    session = current()
    format_ = Format(_format_of(format_name, output))
    if session.as_json and output == STREAM:
        raise click.UsageError("--json must have standard output to itself; name a file with -o")
    wanted, statuses = chosen(session, options)
    order = Order(
        selection=Selection(
            filter=wanted, statuses=statuses, exclude_test=exclude_test, limit=limit or -1
        ),
        columns=parse_columns(columns),
        guarded=not raw,
    )
    open_reader(session)
    if not session.config.db_path.exists():
        fail(
            f"the database {session.config.db_path} must exist to export from;"
            " record a run, or see telemetry init",
            Exit.NOT_FOUND,
        )
    if output == STREAM:
        _stream(session, format_, order)
    else:
        _file(session, format_, order, _place(session, format_, output), force=force)


def _format_of(name: Optional[str], output: Optional[str]) -> str:
    if name is not None:
        return name
    suffix = Path(output or "").suffix.lower().lstrip(".")
    if suffix not in FORMATS:
        choices = ", ".join(FORMATS)
        raise click.UsageError(f"FORMAT must be one of {choices} (got none); name it")
    return suffix


def _place(session: Session, format_: Format, output: Optional[str]) -> Path:
    """
    Return the file to write: the one that was named, or a new one among the exports.
    """
    if output is not None:
        return Path(output)
    from telemetry.runtime.places import make_private

    directory = session.config.base_dir / _DIRECTORY
    make_private(directory)
    now = datetime.now(timezone.utc)
    stamp = (now if session.utc else now.astimezone()).strftime("%Y%m%d_%H%M%S")
    return directory / f"telemetry_export_{stamp}.{format_.value}"


def _file(session: Session, format_: Format, order: Order, path: Path, *, force: bool) -> None:
    from telemetry.exchange.exporting import export
    from telemetry.exchange.target import whole_file

    try:
        with _progress(session) as progress, whole_file(path, replaces=force) as file:
            count = export(session.config.db_path, file, format_, order, progress)
            size = file.seek(0, 2)
    except OSError as error:
        fail(
            f"file {path} must be writable ({error.strerror or error}); choose another with -o",
            Exit.UNAVAILABLE,
        )
    if session.as_json:
        document = {"file": str(path), "format": format_.value, "runs": count, "bytes": size}
        session.screen.json(document)
        return
    screen = session.screen
    mark = screen.mark("✓", "good")
    screen.line(f"{mark} {several(count, 'run')} in {visible(path)}")


def _stream(session: Session, format_: Format, order: Order) -> None:
    from telemetry.exchange.exporting import export
    from telemetry.exchange.target import through_a_file

    if not format_.is_text and is_terminal(sys.stdout):
        raise click.UsageError(f"{format_.value} is nothing for a terminal; name a file with -o")
    if sys.stdout is None:
        raise click.UsageError("standard output must be open to export to; name a file with -o")
    with ExitStack() as stack:
        progress = stack.enter_context(_progress(session))
        out = cast("BinaryIO", _Shown() if is_terminal(sys.stdout) else _Piped())
        file = out if format_.is_text else stack.enter_context(through_a_file(out))
        export(session.config.db_path, file, format_, order, progress)


class _Shown:
    """
    A terminal, which no hostile character reaches.
    """

    @staticmethod
    def write(data: bytes) -> int:
        """
        Show a piece of text.
        """
        with taken_by_output():
            click.echo(visible_json(data.decode()), nl=False)
        return len(data)


class _Piped:
    """
    Standard output as it is; what it does not take is no failure of the database.
    """

    @staticmethod
    def write(data: bytes) -> int:
        """
        Pass a piece on.
        """
        with taken_by_output():
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        return len(data)


@contextmanager
def _progress(session: Session) -> Iterator[Callable[[int, int], None]]:
    """
    Give a function that moves a bar on, where standard error is a terminal and the answer is not.
    """
    if session.as_json or not is_terminal(sys.stderr):
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True, no_color=session.no_color)
    columns = (BarColumn(40), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
