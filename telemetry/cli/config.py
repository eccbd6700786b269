"""
``telemetry config``: every setting, its value, and where that came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional

import click

from telemetry.cli.exits import Exit, fail
from telemetry.cli.session import Session, current, shares_options
from telemetry.cli.table import Cell, TableColumn, draw

if TYPE_CHECKING:
    from telemetry.config import Line

_VARIABLE = "VARIABLE"
_COLUMNS = (
    TableColumn(title="SETTING", style="name"),
    TableColumn(title="VALUE", least=30),
    TableColumn(title="SOURCE", least=9, leaves=2),
    TableColumn(title=_VARIABLE, leaves=1, style="faint"),
)


@shares_options
@click.command("config")
@click.argument("name", required=False)
@click.option("--changed", is_flag=True, help="Only the settings that are not at their default.")
def command(name: Optional[str], changed: bool) -> Exit:
    """
    Show each setting, its value and its source. Secrets are masked.

    With NAME, a setting or a variable, only that setting's value.

    Exits with 1 where a setting is set to something that cannot be used.
    """
    session = current()
    lines = [line for line in _lines(session) if not changed or line.source != "default"]
    if name is not None:
        line = _named(lines, name)
        if session.as_json:
            session.screen.json(_document(line))
        else:
            session.screen.lines([Cell(line.value).text])
    elif session.as_json:
        problems = list(session.config.problems)
        session.screen.json({"settings": [_document(x) for x in lines], "problems": problems})
    else:
        drawn = draw(session.screen, _COLUMNS, [_row(line) for line in lines])
        session.screen.lines(drawn)
        if _VARIABLE not in drawn[0]:
            session.screen.note("a wider terminal or --json shows the variables")
    return Exit.FINDINGS if session.config.problems else Exit.FINE


def _lines(session: Session) -> Sequence[Line]:
    from telemetry.config import listing

    return list(listing(session.config))


def _named(lines: Sequence[Line], name: str) -> Line:
    for line in lines:
        if name.lower() == line.name or name.upper() in line.setting.variables:
            return line
    from telemetry.model.hints import did_you_mean

    hint = did_you_mean(name, [line.name for line in lines], "see telemetry config")
    fail(f"a setting must be one that exists (got {name!r}); {hint}", Exit.NOT_FOUND)


def _row(line: Line) -> list[Cell]:
    is_default = line.source == "default"
    value = f"{line.value} {line.setting.unit}".rstrip() if line.value else "none"
    return [
        Cell(line.name),
        Cell(value, "faint" if is_default or not line.value else ""),
        Cell(line.source, "faint" if is_default else "good"),
        Cell(line.setting.variables[0] if line.setting.variables else ""),
    ]


def _document(line: Line) -> dict[str, Any]:
    return {
        "name": line.name,
        "value": line.value,
        "source": line.source,
        "default": line.default,
        "unit": line.setting.unit,
        "variables": list(line.setting.variables),
        "rule": line.setting.rule.text,
        "help": line.setting.help,
    }
