"""
``telemetry measure``: what recording and asking cost on this machine.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from telemetry.cli.counts import Count, Number
from telemetry.cli.exits import Exit, fail
from telemetry.cli.findings import document_of, exit_of, lines_of
from telemetry.cli.session import Session, current, shares_options
from telemetry.cli.table import Cell, TableColumn, draw
from telemetry.cli.text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telemetry.cli.screen import Screen
    from telemetry.config import TelemetryConfig
    from telemetry.health import Result
    from telemetry.health.measuring import Latency, Measured

DEFAULT_RUNS = 1000
DEFAULT_SECONDS = 10.0
_PREFIX = ".telemetry-measure-"
_LEFT_BEHIND_S = 3600
#: A busy machine lets the database wait, which takes about half as many a second as are recorded:
#: it has this and twice the time that recording may take.
_LEAST_PATIENCE_S = 60.0
_COLUMNS = (
    TableColumn(title="CALL", style="name"),
    TableColumn(title="TIMES", right=True),
    TableColumn(title="P50 MS", right=True),
    TableColumn(title="P95 MS", right=True),
    TableColumn(title="P99 MS", right=True),
    TableColumn(title="MOST MS", right=True),
)


@shares_options
@click.command("measure")
@click.option(
    "--runs",
    type=Count(1),
    default=DEFAULT_RUNS,
    show_default=True,
    help="Record so many.",
)
@click.option(
    "--seconds",
    type=Number(0.1, 600),
    default=DEFAULT_SECONDS,
    show_default=True,
    help="Record for at most so long; the database may take twice that and a minute.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 for our own baselines too.")
def command(runs: int, seconds: float, strict: bool) -> Exit:
    """
    Measure what recording and asking cost here, beside what was promised.

    Runs are recorded in a directory made for it beside the base directory's own, and removed; what
    was recorded before is not touched. The figures are those of this moment: of a busy machine they
    say that it is busy.

    Exits with 1 where a baseline of the runbook or the README is missed.
    """
    from telemetry.health.baselines import judged

    session = current()
    with _workplace(session.config) as config:
        measured = _measured(config, runs, seconds)
    results = list(judged(measured))
    if session.as_json:
        session.screen.json(_document(session, measured, results))
    else:
        _tell(session, measured, results)
    return exit_of(results, strict=strict)


@contextlib.contextmanager
def _workplace(config: TelemetryConfig) -> Iterator[TelemetryConfig]:
    """
    Give settings for a directory on the file system of the base directory, and remove it.
    """
    from telemetry.cli.offline import offline

    place = config.base_dir
    while not place.is_dir() and place != place.parent:
        place = place.parent
    _sweep(place)
    try:
        base = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        base.chmod(0o700)  # what a umask left of it
    except OSError as error:
        fail(
            f"{place} must take a directory to be measured in ({error.strerror or error});"
            " free some space, or name another place with --base-dir",
            Exit.UNAVAILABLE,
        )
    try:
        yield attrs.evolve(
            offline(config),
            base_dir=base,
            ndjson_dir=base / "raw",
            db_path=base / "db" / "telemetry.sqlite",
            disabled=False,
            drain="auto",
        )
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _sweep(place: Path) -> None:
    """
    Remove what a killed measurement has left behind.
    """
    for path in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if not path.is_symlink() and time.time() - path.stat().st_mtime > _LEFT_BEHIND_S:
                shutil.rmtree(path, ignore_errors=True)


def _measured(config: TelemetryConfig, runs: int, seconds: float) -> Measured:
    from telemetry.client import TelemetryClient
    from telemetry.health.measuring import measure

    client = TelemetryClient(config)
    try:
        return measure(
            client,
            config.ndjson_dir,
            config.db_path,
            runs=runs,
            seconds=seconds,
            patience_s=_LEAST_PATIENCE_S + 2 * seconds,
        )
    finally:
        # What is still written would come back into a directory that is being removed.
        client.close()


def _tell(session: Session, measured: Measured, results: Sequence[Result]) -> None:
    screen = session.screen
    calls = [("call", name, one) for name, one in measured.calls.items()]
    questions = [("query", name, one) for name, one in measured.questions.items()]
    rows = [_row(f"{kind} {name}", one) for kind, name, one in [*calls, *questions]]
    screen.lines([*draw(screen, _COLUMNS, rows), *_figures(measured)])
    screen.lines([*lines_of(screen, results), _verdict(screen, session, results)])


def _row(name: str, one: Latency) -> list[Cell]:
    times = (one.p50_ms, one.p95_ms, one.p99_ms, one.max_ms)
    return [Cell(name), Cell(f"{one.count:,}"), *(Cell(f"{each:.3f}") for each in times)]


def _figures(measured: Measured) -> list[str]:
    from telemetry.model.words import in_bytes, several

    speed = (
        f"{several(measured.run_count, 'run')}: {measured.writes_per_s:,.0f} writes a second,"
        f" {measured.stored_per_s:,.0f} until they were in the database"
    )
    journal, database = measured.journal_bytes_per_run, measured.database_bytes_per_run
    size = (
        f"a run takes {in_bytes(journal)} in the journal and {in_bytes(database)} in the database;"
        f" a process that ends waits {measured.exit_ms:.0f} ms"
    )
    return [speed, size]


def _verdict(screen: Screen, session: Session, results: Sequence[Result]) -> str:
    """
    Say whether this machine does what was promised, and what to do where it does not.
    """
    missed = [result.name for result in results if result.outcome]
    if not missed:
        mark = screen.mark("✓", "good")
        return f"{mark} recording into {visible(session.config.base_dir)} keeps every baseline"
    mark = screen.mark("✗", "bad")
    return (
        f"{mark} recording into {visible(session.config.base_dir)} misses {', '.join(missed)};"
        " measure again when the machine is idle"
    )


def _document(session: Session, measured: Measured, results: Sequence[Result]) -> dict[str, Any]:
    from telemetry.health import worst_of

    return {
        "base_dir": str(session.config.base_dir),
        "outcome": worst_of(results).word,
        "measured": attrs.asdict(measured),
        "baselines": document_of(results),
    }
