"""
The settings as people read them: with their values, and as a table for the documentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import attrs

from telemetry.config.setting import METADATA_KEY, Setting, described_by

if TYPE_CHECKING:
    from telemetry.config.settings import TelemetryConfig


class Line(NamedTuple):
    """
    One setting of a configuration, as text that can be shown to anyone.
    """

    name: str
    value: str
    source: str
    default: str
    setting: Setting


def listing(config: TelemetryConfig) -> Iterator[Line]:
    """
    Yield every setting with its value, secrets masked.
    """
    for field in attrs.fields(type(config)):
        if METADATA_KEY not in field.metadata:
            continue
        described = described_by(field)
        yield Line(
            name=field.name,
            value=described.rule.show(getattr(config, field.name)),
            source=config.sources.get(field.name, "argument"),
            default=described.show_default(field.default),
            setting=described,
        )


def markdown_table(cls: type[attrs.AttrsInstance]) -> str:
    """
    Return the settings that a class declares as Markdown, a table for each group.
    """
    groups: dict[str, list[str]] = {}
    for field in attrs.fields(cls):
        if METADATA_KEY in field.metadata:
            described = described_by(field)
            groups.setdefault(described.group.value, []).append(_row(field.default, described))
    head = "| Variable | What it does | Value | Default |\n|---|---|---|---|\n"
    return "\n".join(
        f"## {name.capitalize()}\n\n{head}{''.join(rows)}" for name, rows in groups.items()
    )


def _row(default: object, described: Setting) -> str:
    """
    Return a setting's line of the table.
    """
    variables = ", then ".join(f"`{variable}`" for variable in described.variables)
    rule = f"{described.rule.text} ({described.unit})" if described.unit else described.rule.text
    return f"| {variables} | {described.help} | {rule} | {described.show_default(default)} |\n"
