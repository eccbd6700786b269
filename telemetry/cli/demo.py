"""
``telemetry demo``: an agent at work on real files, and what is left of it afterwards.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional

import attrs
import click

from telemetry.cli.counts import Number
from telemetry.cli.exits import Exit, fail
from telemetry.cli.session import Session, current, same_base, shares_options
from telemetry.cli.text import shorten, visible
from telemetry.model.words import in_bytes

if TYPE_CHECKING:
    from telemetry.cli.demonstration.agent import Survey
    from telemetry.cli.demonstration.sampling import Sample
    from telemetry.cli.trees import Node
    from telemetry.client import TelemetryClient

DEFAULT_FILES = 400
DEFAULT_SECONDS = 6.0
FLUSH_TIMEOUT_S = 10.0
SHOWN_FAILURES = 6
_EXAMPLES = ("git --version", "python3 --version", "python --version")
SHOWN_RUNS = 10


@shares_options
@click.command("demo")
@click.argument(
    "folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option(
    "--files",
    type=click.IntRange(1, 100_000),
    default=DEFAULT_FILES,
    show_default=True,
    help="Read at most so many files.",
)
@click.option(
    "--seconds",
    type=Number(0.1, 600),
    default=DEFAULT_SECONDS,
    show_default=True,
    help="Read for at most so long.",
)
def command(folder: Optional[Path], files: int, seconds: float) -> None:
    """
    Let an agent read the files of FOLDER, record it, and show what was recorded.

    Without FOLDER it reads Python's own library. Each top folder is a nested run; files that do not
    parse or decode are its failures. At the end a child run is killed in the midst of its work.
    The runs go where yours will: see telemetry config base_dir.
    """
    from telemetry.cli.demonstration.sampling import choose
    from telemetry.client import TelemetryClient

    session = current()
    if session.config.disabled:
        fail(
            "telemetry must be switched on to record (got TELEMETRY_DISABLED); unset it", Exit.USAGE
        )
    root = (folder or Path(sysconfig.get_path("stdlib"))).resolve()
    sample = choose(root, files)
    if not sample.chosen_count:
        fail(f"folder {root} must hold files to read (got none); name another", Exit.NOT_FOUND)
    client = TelemetryClient(session.config)
    survey = _survey(session, client, sample, seconds)
    client.flush(FLUSH_TIMEOUT_S)
    client.reap()
    client.catch_up(FLUSH_TIMEOUT_S)
    _report(session, client, sample, survey)


def _survey(session: Session, client: TelemetryClient, sample: Sample, seconds: float) -> Survey:
    from telemetry.cli.demonstration.agent import Agent

    if session.as_json:
        return Agent(client, seconds, lambda folder: None).survey(sample)
    screen = session.screen
    some = f"{sample.chosen_count:,} of the {sample.seen_count:,}{'+' * sample.is_cut} files"
    files = some if sample.chosen_count < sample.seen_count else f"the {sample.seen_count:,} files"
    screen.lines(
        [
            "",
            screen.style("An agent at work", "title"),
            f"It reads {files} below",
            f"  {visible(sample.root)}",
            "",
        ]
    )
    with _progress(session, sample.chosen_count) as tick:
        return Agent(client, seconds, tick).survey(sample)


@contextmanager
def _progress(session: Session, total: int) -> Iterator[Callable[[str], None]]:
    """
    Give a function that moves a bar on, where there is a terminal to draw it on.
    """
    if not session.screen.terminal:
        yield lambda folder: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(40), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    console = Console(no_color=not session.screen.color, highlight=False)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda folder: progress.update(
            task, advance=1, description=shorten(visible(folder), 20)
        )


def _report(session: Session, client: TelemetryClient, sample: Sample, survey: Survey) -> None:
    from telemetry.cli.trees import tree_of
    from telemetry.storage.reader import Reader

    reader = Reader(client.config.db_path)
    row = reader.by_run_id(survey.run_id)
    if row is None:
        fail(
            f"the runs must be in {client.config.db_path} by now and are not;"
            " see telemetry plugins and telemetry recover --check-only",
            Exit.UNAVAILABLE,
        )
    tree = tree_of(reader, row)
    kept = len(reader.events(_dead_of(tree, survey).get("event_id", "")))
    if session.as_json:
        session.screen.json(_document(client, sample, survey, tree, kept))
        return
    from telemetry.cli.trees import draw_tree

    session.screen.lines(
        [
            *draw_tree(session, tree, limit=SHOWN_RUNS),
            "",
            *_found(session, survey),
            "",
            *_failures(session, survey),
            "",
            *_death(session, survey, kept),
            "",
            *_places(session, client, tree),
            "",
            *_next(session, tree),
            "",
        ]
    )


def _found(session: Session, survey: Survey) -> list[str]:
    counts = survey.tally.counts
    text = (
        f"It found {counts.functions:,} functions, {counts.classes:,} classes and"
        f" {counts.imports:,} imports in {counts.lines:,} lines."
    )
    if survey.left_count:
        text += f" Its time was up with {survey.left_count:,} files left."
    return [text]


def _failures(session: Session, survey: Survey) -> list[str]:
    screen = session.screen
    if not survey.failures:
        return ["No file failed: each one parsed or decoded."]
    title = f"{len(survey.failures)} files failed"
    lines = [f"{screen.style(title, 'bad')}, as they would for any agent:"]
    width = min(44, max(len(visible(failure.path)) for failure in survey.failures))
    for failure in survey.failures[:SHOWN_FAILURES]:
        name = shorten(visible(failure.path), width).ljust(width)
        reason = visible(failure.reason)
        if screen.width is not None:
            reason = shorten(reason, screen.width - width - 4)
        lines.append(f"  {name}  {screen.style(reason, 'faint')}")
    left = len(survey.failures) - SHOWN_FAILURES
    return lines if left <= 0 else [*lines, screen.style(f"  and {left} more", "faint")]


def _death(session: Session, survey: Survey, kept: int) -> list[str]:
    screen, killed = session.screen, survey.killed
    if not killed.acknowledged_count:
        return [screen.style("The child that was to be killed did not start.", "warn")]
    word = screen.style("killed", "dead")
    told = killed.acknowledged_count
    lost = "none is lost" if kept >= told else f"{told - kept} are lost"
    return [
        f"Process {killed.pid} was {word} by {killed.means} while it worked.",
        f"  {told} events had been acknowledged to it; {kept} are there, {lost}",
        "  its run is closed as failed: whoever looks next finds the process gone",
    ]


def _places(session: Session, client: TelemetryClient, tree: Node) -> list[str]:
    config, screen = client.config, session.screen
    newest = max(config.ndjson_dir.glob("*.ndjson"), key=lambda path: path.stat().st_mtime)
    source = screen.style(f"({visible(config.sources.get('base_dir', 'argument'))})", "faint")
    sizes = [_size(newest), _size(config.db_path)]
    width = max(map(len, sizes))
    # The sizes come first: a long path then runs over the edge at its own end.
    return [
        f"It all lies in {visible(config.base_dir)} {source}",
        f"  journal   {screen.style(sizes[0].rjust(width), 'faint')}  {visible(newest)}",
        f"  database  {screen.style(sizes[1].rjust(width), 'faint')}  {visible(config.db_path)}",
    ]


def _next(session: Session, tree: Node) -> list[str]:
    from telemetry.cli.ids import short_id

    screen = session.screen
    name = short_id(tree.row["run_id"], tree.row["event_id"])
    commands = {
        f"runs{same_base(session)}": "the newest runs",
        f"show {name}{same_base(session)}": "this one, with everything in it",
        f"run{same_base(session)} -- {_any_command()}": "any command, as a run",
    }
    lines = [f"{_program()} {words}" for words in commands]
    width = max(map(len, lines))
    room = len("  ") + width + len("  ") + max(map(len, commands.values()))
    beside = screen.width is None or room <= screen.width
    shown = [screen.style("Next", "title")]
    for line, what in zip(lines, commands.values()):
        explained = screen.style(what, "faint")
        if beside:
            shown.append(f"{screen.style(f'  {line.ljust(width)}', 'name')}  {explained}")
        else:
            shown += [f"  {explained}", screen.style(f"    {line}", "name")]
    return shown


def _any_command() -> str:
    """
    Return a command that is here, so that the line works as it is printed.
    """
    found = (words for words in _EXAMPLES if shutil.which(words.partition(" ")[0]))
    return next(found, f'"{sys.executable}" --version')


def _program() -> str:
    """
    Return how this program was called, if its name alone would not find it.
    """
    called = sys.argv[0]
    found = shutil.which("telemetry")
    if found and Path(called).exists() and Path(found).samefile(called):
        return "telemetry"
    if Path(called).name == "telemetry" and os.access(called, os.X_OK):
        return called
    return f"{Path(sys.executable).name} -m telemetry"


def _size(path: Path) -> str:
    # What SQLite has not yet moved into the file lies beside it.
    places = (path, path.with_name(f"{path.name}-wal"))
    return in_bytes(sum(place.stat().st_size for place in places if place.exists()))


def _dead_of(tree: Node, survey: Survey) -> dict[str, Any]:
    found = [row for row in tree.rows() if row["run_id"] == survey.killed.run_id]
    return found[0] if found else {}


def _document(
    client: TelemetryClient, sample: Sample, survey: Survey, tree: Node, kept: int
) -> dict[str, Any]:
    from telemetry.cli.runs import plain

    failures = [{"file": str(each.path), "reason": each.reason} for each in survey.failures]
    return {
        "folder": str(sample.root),
        "files_seen": sample.seen_count,
        "files_read": survey.tally.discovered,
        "files_left": survey.left_count,
        "counts": survey.tally.counts.as_dict(),
        "failures": failures,
        "killed": {**attrs.asdict(survey.killed), "events_kept": kept},
        "base_dir": str(client.config.base_dir),
        "journal": str(client.config.ndjson_dir),
        "database": str(client.config.db_path),
        "runs": [plain(row) for row in tree.rows()],
    }
