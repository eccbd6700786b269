"""
Write what the documentation repeats of the code.

``python docs/generate.py --write`` writes it, ``--check`` fails if anything is stale. A generated
piece of a page stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; all else in the
page is written by hand. ``config/schema.sql`` and ``docs/reference/openapi.json`` are generated
whole.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Callable

import attrs
import click

if TYPE_CHECKING:
    from telemetry.model.run import Column

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = ROOT / "config" / "schema.sql"
OPENAPI = ROOT / "docs" / "reference" / "openapi.json"
_PIECE = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """
    Return a Markdown table.
    """
    return "".join(map(_line, [heads, tuple("---" for _ in heads), *rows]))


def _line(cells: tuple[str, ...]) -> str:
    escaped = [cell.replace("|", r"\|") for cell in cells]
    return f"| {' | '.join(escaped)} |\n"


def settings() -> str:
    """
    Describe each setting, group by group.
    """
    from telemetry.config import TelemetryConfig
    from telemetry.config.setting import METADATA_KEY, Group

    by_group: dict[Group, list[tuple[str, ...]]] = {group: [] for group in Group}
    for field in attrs.fields(TelemetryConfig):
        if METADATA_KEY not in field.metadata:
            continue
        described = field.metadata[METADATA_KEY]
        variables = "<br>".join(f"`{name}`" for name in described.variables)
        default = described.show_default(field.default)
        words = f"{described.help} Must be {described.rule.text}."
        if described.variables[0].lower().replace("telemetry_", "") != field.name:
            words += f" As an argument `{field.name}`."
        by_group[described.group].append((variables, default, words))
    heads = ("Variable", "Default", "Meaning")
    return "\n".join(
        f"### {group.value.capitalize()}\n\n{table(heads, rows)}"
        for group, rows in by_group.items()
        if rows
    )


def retired() -> str:
    """
    Name the variables of the original that no longer mean anything, and what does.
    """
    from telemetry.config.names import RETIRED

    rows = [
        (f"`{name}`", f"{was.instead[0].upper()}{was.instead[1:]}.")
        for name, was in RETIRED.items()
    ]
    return table(("Variable", "Instead"), rows)


def fields() -> str:
    """
    Describe each column of a run, group by group.
    """
    from telemetry.model.run import COLUMNS, Group

    def words(column: Column) -> str:
        limits = []
        if column.unit:
            limits.append(f"In {column.unit}.")
        if column.choices:
            limits.append("One of " + ", ".join(f"`{choice}`" for choice in column.choices) + ".")
        if column.max_length:
            limits.append(f"At most {column.max_length} characters.")
        return " ".join([column.doc, *limits])

    heads = ("Column", "Kind", "May be edited", "Since", "Meaning")
    pieces = []
    for group in Group:
        rows = [
            (f"`{c.name}`", c.kind.value, "yes" if c.patchable else "", str(c.since), words(c))
            for c in COLUMNS.values()
            if c.group is group
        ]
        pieces.append(f"### {group.value.capitalize()}\n\n{table(heads, rows)}")
    return "\n".join(pieces)


def payloads() -> str:
    """
    Say what becomes of each kind of value, as the encoder's own docstring has it.
    """
    from telemetry.model import payload

    lines = re.findall(
        r"^ {4}(\S.*?) {2,}(\S.*)$|^ {4}(\S.*?) (\{.*)$", payload.__doc__ or "", re.MULTILINE
    )
    return table(("Value", "Written as"), [(a or c, b or d) for a, b, c, d in lines])


def exits() -> str:
    """
    Say what each exit code means.
    """
    from telemetry.cli.exits import MEANINGS

    return table(("Code", "Meaning"), [(str(int(code)), words) for code, words in MEANINGS.items()])


def layers() -> str:
    """
    List the packages from the top down, as import-linter is told them, with what each says it is.
    """
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'id = "layers".*?^layers = \[\n(.*?)^\]', project, re.DOTALL | re.MULTILINE)
    rows = re.findall(r'"(.+)"', found[1] if found else "")
    there = {path.stem for path in (ROOT / "telemetry").iterdir()}
    layers = [[name for name in re.findall(r"\w+", row) if name in there] for row in rows]
    described = [
        (str(rank), f"`telemetry.{name}`", _first_words(f"telemetry.{name}"))
        for rank, layer in enumerate(filter(None, layers), start=1)
        for name in layer
    ]
    return table(("Layer", "Module or package", "What it is"), described)


def _first_words(module: str) -> str:
    """
    Return the first paragraph of a module's docstring; a module is not imported for that.
    """
    spec = importlib.util.find_spec(module)
    source = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
    said = ast.get_docstring(ast.parse(source)) or ""
    return " ".join(said.partition("\n\n")[0].split()).replace("``", "`")


def operations() -> str:
    """
    Name each operation of the service, and the scope that it needs.
    """
    from telemetry.service.auth import ROUTES
    from telemetry.service.catalogue import OPERATIONS

    rows = []
    for one in OPERATIONS:
        scope = ROUTES[one.method, one.path].scope
        rows.append((f"`{one.method} {one.path}`", scope or "none", one.summary))
    return table(("Operation", "Scope", "Meaning"), rows)


def body_fields() -> str:
    """
    Say of each field whether it may be handed over and corrected, and what it takes.
    """
    from telemetry.service.bodies import PATCHABLE, POSTED, REQUIRED

    def rule(column: Column) -> str:
        if column.choices:
            return ", ".join(f"`{choice}`" for choice in column.choices)
        if column.max_length:
            return f"text, at most {column.max_length} characters"
        return {"count": "integer >= 0", "json": "object", "flag": "true or false"}.get(
            column.kind.value, column.kind.value
        )

    rows = [
        (
            f"`{name}`",
            "required" if name in REQUIRED else "yes",
            "yes" if name in PATCHABLE else "",
            rule(column),
        )
        for name, column in POSTED.items()
    ]
    return table(("Field", "POST", "PATCH", "Takes"), rows)


def filters() -> str:
    """
    Describe the conditions of a list of runs.
    """
    from telemetry.storage.queries import PARAMETERS

    by_column: dict[str, list[str]] = {}
    for name, one in PARAMETERS.items():
        by_column.setdefault(one.column.name, []).append(f"`{name}`")
    rows = [(", ".join(names), PARAMETERS[_bare(names[0])].doc) for names in by_column.values()]
    return table(("Parameters", "The first of them"), rows)


def _bare(name: str) -> str:
    return name.strip("`")


def stats_filters() -> str:
    """
    Describe the conditions of statistics.
    """
    from telemetry.storage.queries import STATS_PARAMETERS

    rows = [(f"`{name}`", words) for name, words in STATS_PARAMETERS.items()]
    return table(("Parameter", "Meaning"), rows)


def schema_sql() -> str:
    """
    Return the statements that make an empty database.
    """
    from telemetry.storage.ddl import schema_sql as statements

    return "-- Generated from the run's fields: python docs/generate.py --write\n\n" + statements()


def openapi() -> str:
    """
    Return the description of the HTTP API.
    """
    from telemetry.service.openapi import text

    return text()


def commands() -> str:
    """
    Describe each command: how it is called, what it does, and its options.
    """
    from telemetry.cli.main import cli

    group = click.Context(cli, info_name="telemetry")
    shared = {name for name, _ in _options(group)}
    pieces: list[str] = []
    with group.scope(cleanup=False):
        for name in cli.list_commands(group):
            command = cli.get_command(group, name)
            assert command is not None
            pieces.extend(_described_all(click.Context(command, group, name), shared))
    return "\n".join([table(("Option", "Meaning"), _options(group)), *pieces])


def _described_all(context: click.Context, shared: set[str]) -> Iterator[str]:
    """
    Yield a command's description, and those of the commands in it.
    """
    yield _described(context, shared)
    if isinstance(context.command, click.Group):
        for name, command in context.command.commands.items():
            yield from _described_all(
                click.Context(command, context, f"{context.info_name} {name}"), shared
            )


def _described(context: click.Context, shared: set[str]) -> str:
    usage = " ".join(context.command.collect_usage_pieces(context))
    options = [option for option in _options(context) if option[0] not in shared]
    parts = [
        f"### telemetry {context.info_name}\n",
        f"`telemetry {context.info_name} {usage}`\n",
        *_paragraphs(context.command.help or ""),
    ]
    return "\n".join([*parts, table(("Option", "Meaning"), options)] if options else parts)


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b\n"):  # click's mark for lines that stay as they are
            yield f"```text\n{textwrap.dedent(paragraph[2:])}\n```\n"
        else:
            yield f"{paragraph}\n"


def _options(context: click.Context) -> list[tuple[str, str]]:
    options = [p for p in context.command.get_params(context) if isinstance(p, click.Option)]
    records = [option.get_help_record(context) for option in options]
    return [(f"`{names}`", words) for names, words in filter(None, records)]


PIECES: Mapping[str, Callable[[], str]] = {
    "body_fields": body_fields,
    "commands": commands,
    "exits": exits,
    "fields": fields,
    "filters": filters,
    "layers": layers,
    "operations": operations,
    "payloads": payloads,
    "retired": retired,
    "settings": settings,
    "stats_filters": stats_filters,
}


def current(path: Path) -> str:
    """
    Return a page with its generated pieces as they should be.
    """
    text = path.read_text(encoding="utf-8")
    return _PIECE.sub(lambda piece: f"{piece[1]}{PIECES[piece[2]]()}{piece[3]}", text)


def wanted() -> Iterator[tuple[Path, str]]:
    """
    Yield each generated file with its right content.
    """
    yield SCHEMA, schema_sql()
    yield OPENAPI, openapi()
    for page in sorted((ROOT / "docs").rglob("*.md")):
        if _PIECE.search(page.read_text(encoding="utf-8")):
            yield page, current(page)


def main(action: str) -> int:
    """
    Check or write all of it; return the exit status.
    """
    if action not in {"--check", "--write"}:
        print(__doc__)
        return 2
    stale = 0
    for path, text in wanted():
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if old == text:
            continue
        name = str(path.relative_to(ROOT))
        if action == "--write":
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
            continue
        stale += 1
        lines = difflib.unified_diff(
            old.splitlines(), text.splitlines(), name, "generated", lineterm=""
        )
        print("\n".join(lines))
    if stale:
        print(f"{stale} stale; `tox -e generated -- --write` makes them current")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
