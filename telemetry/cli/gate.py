"""
``telemetry gate``: whether runs keep the rules, for a CI job that must stop where they do not.

Or whether what a task promised is there.
"""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import click

from telemetry.cli.exits import Exit, fail
from telemetry.cli.session import Session, current, shares_options
from telemetry.cli.text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telemetry.cli.deliverables import Task
    from telemetry.exchange.junit import Suite
    from telemetry.storage.gates import Gate, Measures, Verdict

    Checked = tuple[Gate, Measures, Sequence[Verdict]]

_SIGNS = {"passed": ("✓", "good"), "failed": ("✗", "bad"), "skipped": ("·", "faint")}


@shares_options
@click.command("gate")
@click.option(
    "-f",
    "--file",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Gates from this TOML file; what the line says holds where a gate does not.",
)
@click.option("--agent", help="Runs of this agent.")
@click.option("--job-type", "--job", help="Runs of this kind of work.")
@click.option("--since", metavar="WHEN", help="Runs begun since: 2h, 3d, today, 2026-11-22T10:30.")
@click.option("--until", metavar="WHEN", help="Runs begun before.")
@click.option("--commit", metavar="HASH", help="Runs whose commit begins so.")
@click.option("--exclude-test", is_flag=True, help="No runs whose kind of work is test.")
@click.option("--min-runs", metavar="N", help="At least so many runs; 1 if not given.")
@click.option("--max-failure-rate", metavar="SHARE", help="Of the finished runs: 0.05 or 5%.")
@click.option("--max-p95", metavar="DURATION", help="95th percentile of the duration: 90s, 2m.")
@click.option("--max-items-failed", metavar="N", help="Failed items of all runs together.")
@click.option("--baseline", metavar="SPAN", help="Compare with so long before --since: 7d.")
@click.option("--max-slowdown", metavar="SHARE", help="How much the 95th percentile may rise: 20%.")
@click.option(
    "--max-failure-increase", metavar="SHARE", help="How many points the failure rate may rise: 5%."
)
@click.option(
    "--junit",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the verdicts as JUnit XML too.",
)
@click.option(
    "--task-spec",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Look for the files that this Markdown lists below Deliverables, and count their lines.",
)
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    show_default=True,
    help="With --task-spec: where its paths begin.",
)
@click.option(
    "--tolerance", metavar="SHARE", help="With --task-spec: so much too few or too many lines: 10%."
)
@click.option(
    "--blocking",
    metavar="SEVERITIES",
    default="CRITICAL,HIGH",
    show_default=True,
    help="With --task-spec: which break the gate. A missing file is CRITICAL, a wrong length HIGH.",
)
@click.option("--run-checks", is_flag=True, help="Run the acceptance checks of the task, too.")
def command(  # noqa: PLR0913 (an option each)
    *,
    path: Optional[Path],
    junit: Optional[Path],
    task_spec: Optional[Path],
    root: Path,
    tolerance: Optional[str],
    blocking: str,
    run_checks: bool,
    **options: Any,
) -> Exit:
    """
    Check runs against rules; exit with 1 where one is broken.

    Failed are runs that failed, died or timed out. Without any run no rule is kept, unless
    --min-runs 0 says that there need be none. With --task-spec the files that a task promised are
    checked; runs are too where there is a rule for them.
    """
    session = current()
    # A rule whose value is empty, as of a variable that is not set, must not pass for none.
    given = {name: value for name, value in options.items() if value not in {None, False}}
    suites: list[Suite] = []
    checked: list[Checked] = []
    if task_spec is not None:
        suites.append(_deliverables(task_spec, root, tolerance, blocking, run_checks=run_checks))
    elif tolerance or run_checks:
        raise click.UsageError("--tolerance and --run-checks must stand with --task-spec")
    if task_spec is None or path is not None or given:
        checked = _checked(session, _gates(path, given))
        suites += _suites(checked)
    has_failed = any(not _is_kept(suite.verdicts) for suite in suites)
    if junit is not None:
        _write_junit(junit, suites)
    if session.as_json:
        task = suites[0] if task_spec is not None else None
        session.screen.json(_document(checked, task, has_failed=has_failed))
    else:
        _tell(session, suites)
    return Exit.FINDINGS if has_failed else Exit.FINE


def _deliverables(
    path: Path, root: Path, tolerance: Optional[str], blocking: str, *, run_checks: bool
) -> Suite:
    from telemetry.cli.deliverables import leniency_from, task_in, verdicts_on
    from telemetry.exchange.junit import Suite

    leniency = leniency_from(tolerance, blocking)
    task: Task = task_in(path)
    return Suite(task.name, list(verdicts_on(task, root, leniency, runs_checks=run_checks)))


def _suites(checked: Sequence[Checked]) -> list[Suite]:
    from telemetry.exchange.junit import Suite

    return [Suite(gate.name, verdicts) for gate, _, verdicts in checked]


def _gates(path: Optional[Path], given: dict[str, Any]) -> Sequence[Gate]:
    from telemetry.cli.gaterules import gate_from, gates_in

    now = datetime.now(timezone.utc).astimezone()
    if path is None:
        return [gate_from(given, now)]
    return gates_in(path, given, now)


def _checked(session: Session, gates: Sequence[Gate]) -> list[Checked]:
    from telemetry.cli.finding import open_reader
    from telemetry.storage.gates import check
    from telemetry.storage.selection import snapshot

    open_reader(session)
    path = session.config.db_path
    if not path.exists():
        fail(
            f"the database {path} must exist to be checked; record a run, or see telemetry init",
            Exit.NOT_FOUND,
        )
    with snapshot(path) as database:
        return [(gate, *check(database, gate)) for gate in gates]


def _is_kept(verdicts: Sequence[Verdict]) -> bool:
    return all(verdict.outcome.value != "failed" for verdict in verdicts)


def _write_junit(path: Path, suites: Sequence[Suite]) -> None:
    from telemetry.exchange.junit import junit_xml
    from telemetry.exchange.target import whole_file

    with whole_file(path, replaces=True) as file:
        file.write(junit_xml(suites))


def _tell(session: Session, suites: Sequence[Suite]) -> None:
    screen = session.screen
    lines = []
    for suite in suites:
        for verdict in suite.verdicts:
            sign, style = _SIGNS[verdict.outcome.value]
            name = f"{visible(suite.name)}: " if len(suites) > 1 else ""
            mark = screen.mark(sign, style)
            lines.append(f"{mark} {name}{visible(verdict.reason)}")
    screen.lines(lines)


def _document(
    checked: Sequence[Checked], task: Optional[Suite], *, has_failed: bool
) -> dict[str, Any]:
    import attrs

    return {
        "passed": not has_failed,
        "task": None
        if task is None
        else {
            "name": task.name,
            "passed": _is_kept(task.verdicts),
            "checks": [
                {**attrs.asdict(verdict), "outcome": verdict.outcome.value}
                for verdict in task.verdicts
            ],
        },
        "gates": [
            {
                "name": gate.name,
                "passed": _is_kept(verdicts),
                "measured": {**attrs.asdict(measures), "failure_rate": measures.failure_rate},
                "rules": [
                    {**attrs.asdict(verdict), "outcome": verdict.outcome.value}
                    for verdict in verdicts
                ],
            }
            for gate, measures, verdicts in checked
        ],
    }
