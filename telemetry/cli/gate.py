"""
``telemetry gate``: whether runs keep the rules, for a CI job that must stop where they do not.
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
def command(path: Optional[Path], junit: Optional[Path], **options: Any) -> Exit:
    """
    Check runs against rules; exit with 1 where one is broken.

    Failed are runs that failed, died or timed out. Without any run no rule is kept, unless
    --min-runs 0 says that there need be none.
    """
    session = current()
    gates = _gates(path, {name: value for name, value in options.items() if value})
    checked = _checked(session, gates)
    has_failed = any(not _is_kept(verdicts) for _, _, verdicts in checked)
    if junit is not None:
        _write_junit(junit, checked)
    if session.as_json:
        session.screen.json(_document(checked, has_failed=has_failed))
    else:
        _tell(session, checked)
    return Exit.FINDINGS if has_failed else Exit.FINE


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


def _write_junit(path: Path, checked: Sequence[Checked]) -> None:
    from telemetry.exchange.junit import Suite, junit_xml
    from telemetry.exchange.target import whole_file

    with whole_file(path, replaces=True) as file:
        file.write(junit_xml([Suite(gate.name, verdicts) for gate, _, verdicts in checked]))


def _tell(session: Session, checked: Sequence[Checked]) -> None:
    screen = session.screen
    lines = []
    for gate, _, verdicts in checked:
        for verdict in verdicts:
            sign, style = _SIGNS[verdict.outcome.value]
            name = f"{visible(gate.name)}: " if len(checked) > 1 else ""
            lines.append(f"{screen.style(screen.sign(sign), style)} {name}{verdict.reason}")
    screen.lines(lines)


def _document(checked: Sequence[Checked], *, has_failed: bool) -> dict[str, Any]:
    import attrs

    return {
        "passed": not has_failed,
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
