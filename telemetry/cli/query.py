"""
``telemetry query SQL``: any question to the database, which can only read.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from telemetry.cli.counts import Count, Number
from telemetry.cli.exits import Exit, fail
from telemetry.cli.screen import taken_by_output
from telemetry.cli.session import Session, current, shares_options
from telemetry.cli.table import Cell, TableColumn, draw
from telemetry.model.words import several

if TYPE_CHECKING:
    from telemetry.storage.console import Answer, Step

DEFAULT_LIMIT = 1000
_MAX_SQL_CHARS = 1_000_000
_LEAST_WIDTH = 12


def _parameters(
    ctx: click.Context, param: click.Parameter, value: Sequence[str]
) -> Mapping[str, str]:
    """
    Return the values of named parameters.
    """
    found = {}
    for text in value:
        name, equals, given = text.partition("=")
        if not equals or not name.lstrip(":").isidentifier():
            raise click.BadParameter(f"must be NAME=VALUE (got {text!r})", ctx, param)
        found[name.lstrip(":")] = given
    return found


@shares_options
@click.command("query")
@click.argument("sql")
@click.option("--csv", "as_csv", is_flag=True, help="Answer in CSV.")
@click.option(
    "--raw",
    is_flag=True,
    help="With --csv: cells as they are, also those that a spreadsheet would take for formulas.",
)
@click.option("--explain", is_flag=True, help="Show the plan instead of the answer.")
@click.option(
    "-p",
    "--param",
    "values",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_parameters,
    help="Value of :NAME in the statement; may be given again.",
)
@click.option(
    "-n",
    "--limit",
    type=Count(0),
    default=DEFAULT_LIMIT,
    show_default=True,
    help="At most so many rows; 0 for all.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=Number(0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long it may take.",
)
def command(  # noqa: PLR0913 (one argument for each option)
    sql: str,
    *,
    as_csv: bool,
    raw: bool,
    explain: bool,
    values: Mapping[str, str],
    limit: int,
    timeout_s: float,
) -> None:
    """
    Answer one SELECT in SQL; "-" reads it from standard input.

    The tables are agent_runs, run_events, run_records, commits and others: see
    telemetry query "SELECT name FROM sqlite_master". Nothing can be written this way.
    """
    from telemetry.cli.finding import open_reader
    from telemetry.storage import console

    session = current()
    if as_csv and session.as_json:
        raise click.UsageError("--csv and --json exclude each other; choose one")
    sql = _statement(sql)
    open_reader(session)
    path = session.config.db_path
    if not path.exists():
        fail(
            f"the database {path} must exist to be asked; record a run, or see telemetry init",
            Exit.NOT_FOUND,
        )
    if explain:
        _tell_plan(session, console.explain(path, sql, values))
        return
    try:
        answer = console.ask(path, sql, values, limit=limit or -1, timeout_s=timeout_s)
    except console.TimedOutError as error:
        fail(str(error), Exit.UNAVAILABLE)
    if as_csv:
        _tell_csv(session, answer, raw=raw)
    elif session.as_json:
        session.screen.json(_document(answer))
    else:
        _tell_table(session, answer)
    if answer.has_more:
        session.screen.note(f"the first {several(len(answer.rows), 'row')}; see more with --limit")


def _statement(sql: str) -> str:
    """
    Return the statement without what ends it.
    """
    if sql == "-":
        if sys.stdin is None:
            fail("standard input must be open to read the statement from", Exit.USAGE)
        sql = sys.stdin.read(_MAX_SQL_CHARS + 1)
    if len(sql) > _MAX_SQL_CHARS:
        fail(f"a statement must have at most {_MAX_SQL_CHARS:,} characters", Exit.USAGE)
    sql = sql.strip().rstrip(";").rstrip()
    if not sql:
        fail('there must be a statement, such as "SELECT count(*) FROM agent_runs"', Exit.USAGE)
    return sql


def _names(answer: Answer) -> list[str]:
    """
    Return the names of the columns, each once.
    """
    names: list[str] = []
    for name in answer.columns:
        count = sum(known == name or known.startswith(f"{name}#") for known in names)
        names.append(f"{name}#{count + 1}" if count else name)
    return names


def _plain(value: Any) -> Any:
    return f"x'{value.hex()}'" if isinstance(value, bytes) else value


def _json(value: Any) -> Any:
    # JSON has no infinity: the word for it is that of the journal.
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return _plain(value)


def _document(answer: Answer) -> dict[str, Any]:
    names = _names(answer)
    rows = [dict(zip(names, map(_json, row))) for row in answer.rows]
    return {"columns": names, "rows": rows, "has_more": answer.has_more}


def _tell_csv(session: Session, answer: Answer, *, raw: bool) -> None:
    from telemetry.exchange.cells import csv_text

    rows = [[_plain(value) for value in row] for row in answer.rows]
    text = csv_text([answer.columns, *rows], guarded=not raw)
    with taken_by_output():
        click.echo(text, nl=False)


def _tell_table(session: Session, answer: Answer) -> None:
    numeric = [
        bool(answer.rows)
        and all(row[i] is None or isinstance(row[i], (int, float)) for row in answer.rows)
        for i in range(len(answer.columns))
    ]
    columns = [
        TableColumn(title=Cell(name).text, right=numeric[i], least=_LEAST_WIDTH)
        for i, name in enumerate(answer.columns)
    ]
    rows = [[Cell("" if value is None else _plain(value)) for value in row] for row in answer.rows]
    session.screen.lines(draw(session.screen, columns, rows))


def _tell_plan(session: Session, plan: Sequence[Step]) -> None:
    if session.as_json:
        import attrs

        session.screen.json({"plan": [attrs.asdict(step) for step in plan]})
        return
    depth: dict[int, int] = {}
    lines = []
    for step in plan:
        depth[step.id] = depth.get(step.parent, -1) + 1
        lines.append("  " * depth[step.id] + Cell(step.detail).text)
    session.screen.lines(lines)
