"""
``telemetry health``: whether this base directory is sound, for people, cron and Prometheus.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional

import attrs
import click

from telemetry.cli.exits import Exit
from telemetry.cli.findings import document_of, exit_at, lines_of, summary_of, verdict_of
from telemetry.cli.session import Session, current, shares_options
from telemetry.health.limits import Limits, limits_from, said_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telemetry.health import Result, Scene

#: Read where it exists and no other file is named.
LIMITS_FILE = "health.toml"


def _limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """
    Add an option for each limit.
    """
    for field in reversed(attrs.fields(Limits)):
        default = _shown(field.default, field.metadata["kind"].value)
        command = click.option(
            f"--{field.name.replace('_', '-')}",
            field.name,
            metavar=field.metadata["kind"].value.upper(),
            help=f"{field.metadata['help']}  [default: {default}]",
        )(command)
    return command


def _shown(default: Optional[float], kind: str) -> str:
    from telemetry.model.words import in_bytes, span

    if default is None:
        return "off"
    return {"bytes": in_bytes, "seconds": span}.get(kind, "{:g}".format)(default)


@shares_options
@click.command("health")
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
@click.option("--summary", is_flag=True, help="One line, such as cron can mail.")
@click.option("--prometheus", is_flag=True, help="Answer in Prometheus' text format.")
@click.option(
    "--limits",
    "limits_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"Limits from this TOML file; config/{LIMITS_FILE} of the base directory if not given.",
)
@_limit_options
def command(
    *,
    strict: bool,
    summary: bool,
    prometheus: bool,
    limits_file: Optional[Path],
    **limits: Optional[str],
) -> Exit:
    """
    Check whether this base directory is sound; it takes no longer for a million runs.

    Directories, free disk, a file written and removed, the database and its size, recent activity,
    failed runs of the last 24 hours, stale runs, how far each sink is behind, what sinks refused,
    and what plugins check. Bytes are written as 500MB, times as 2h, shares as 5%; off is never.

    Exits with 0 where it is sound, warnings included, with 1 where something must be done, with 3
    where there is no base directory.
    """
    session = current()
    if sum((summary, prometheus, session.as_json)) > 1:
        raise click.UsageError("--summary, --prometheus and --json must stand alone")
    scene, results = _looked(session, limits_file, limits)
    if prometheus:
        from telemetry.health.prometheus import as_text

        session.screen.lines([as_text(results, scene.now.timestamp()).rstrip("\n")])
    elif session.as_json:
        session.screen.json(_document(session, scene, results))
    elif summary:
        session.screen.line(summary_of(results, session.config.base_dir))
    else:
        screen = session.screen
        last = verdict_of(screen, results, session.config.base_dir)
        screen.lines([*lines_of(screen, results), last])
    return exit_at(session.config.base_dir, results, strict=strict)


def _looked(
    session: Session, limits_file: Optional[Path], given: dict[str, Optional[str]]
) -> tuple[Scene, list[Result]]:
    from telemetry.health import Scene, perform
    from telemetry.health.standard import HEALTH_CHECKS

    usual = session.config.base_dir / "config" / LIMITS_FILE
    path = limits_file or (usual if usual.is_file() else None)
    said = said_in(path) if path is not None else {}
    on_the_line = {name: text for name, text in given.items() if text is not None}
    scene = Scene(session.config, limits_from(said, on_the_line))
    return scene, perform([*HEALTH_CHECKS, *scene.plugin_checks], scene)


def _document(session: Session, scene: Scene, results: Sequence[Result]) -> dict[str, Any]:
    from telemetry.health import worst_of

    return {
        "base_dir": str(session.config.base_dir),
        "checked_at": scene.now.isoformat(),
        "outcome": worst_of(results).word,
        "checks": document_of(results),
        "limits": attrs.asdict(scene.limits),
    }
