"""
``telemetry doctor``: how this installation and its base directory stand, in detail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from telemetry.cli.exits import Exit
from telemetry.cli.findings import document_of, exit_at, lines_of, verdict_of
from telemetry.cli.session import Session, current, shares_options
from telemetry.cli.text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telemetry.health import Check, Result


@shares_options
@click.command("doctor")
@click.option(
    "--only", metavar="CHECK", multiple=True, help="Make only this check; may be repeated."
)
@click.option("--fix", "is_fixing", is_flag=True, help="First repair what is safe to repair.")
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
def command(only: Sequence[str], is_fixing: bool, strict: bool) -> Exit:
    """
    Examine the installation, the settings, the files, the database and who works on them.

    Python and libraries, SQLite and its known defects, each setting with its source, plugins,
    directories, modes and owners, file systems, journal and clock, database and PRAGMAs, locks and
    their holders, sinks, and what plugins check, such as whether a service answers.

    --fix makes missing directories, the database and its indexes, and takes rights from others.
    Exits with 1 where something must be done, with 3 where there is no base directory.
    """
    session = current()
    done = _fixed(session) if is_fixing else []
    results = _looked(session, only)
    if session.as_json:
        session.screen.json(_document(session, results, done))
    else:
        screen = session.screen
        mark = screen.mark("✓", "good")
        screen.lines(
            [
                *(f"{mark} {visible(text)}" for text in done),
                *lines_of(screen, results),
                verdict_of(screen, results, session.config.base_dir),
            ]
        )
    return exit_at(session.config.base_dir, results, strict=strict)


def _fixed(session: Session) -> list[str]:
    from telemetry.cli.fixing import fix

    return list(fix(session.config)) or ["there was nothing to repair"]


def _looked(session: Session, only: Sequence[str]) -> list[Result]:
    from telemetry.health import Scene, perform
    from telemetry.health.diagnosis import DOCTOR_CHECKS

    scene = Scene(session.config)
    checks = [*DOCTOR_CHECKS, *scene.plugin_checks]
    return perform(_chosen(checks, only), scene)


def _chosen(checks: Sequence[Check], only: Sequence[str]) -> Sequence[Check]:
    """
    Return the checks of these names; an unknown one ends the command with 2.
    """
    names = [check.name for check in checks]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise click.UsageError(
            f"--only must name a check (got {unknown[0]!r}); they are {', '.join(names)}"
        )
    return [check for check in checks if not only or check.name in only]


def _document(session: Session, results: Sequence[Result], done: Sequence[str]) -> dict[str, Any]:
    from telemetry.health import worst_of

    return {
        "base_dir": str(session.config.base_dir),
        "outcome": worst_of(results).word,
        "fixed": list(done),
        "checks": document_of(results),
    }
