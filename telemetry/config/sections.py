"""
The settings of plugins, read by the same rules as telemetry's own.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import attrs

from telemetry.config.names import PREFIX, nearest
from telemetry.config.rules import Flag, Integer, Names, Number, Password, Place, Rule, Text
from telemetry.config.secret import Secret
from telemetry.config.setting import METADATA_KEY, Group, Setting, broken_rule, described_by
from telemetry.model.errors import SettingsError

_RULES: Mapping[Any, Rule] = {
    int: Integer(-(2**63), 2**63 - 1),
    float: Number(None),
    bool: Flag(),
    str: Text(10_000),
    Path: Place(),
    Secret: Password(),
    tuple[str, ...]: Names(),
}


def read_section(
    name: str, cls: type[Any], unclaimed: Mapping[str, Secret]
) -> tuple[Any, tuple[str, ...]]:
    """
    Return an instance of a plugin's settings class, and a line for each value that is of no use.

    Raises:
        SettingsError: A field cannot be set by text, or has no default.
    """
    prefix = f"{PREFIX}{name.upper()}_"
    declared = _declared(prefix, cls)
    names = {field.alias or field.name: field.name for field in attrs.fields(cls)}
    section = _defaults(cls)
    problems = _misspelt(prefix, {each.variables[0] for each in declared.values()}, unclaimed)
    for alias, each in declared.items():
        variable = each.variables[0]
        text = unclaimed.get(variable, Secret()).reveal().strip()
        if not text:
            continue
        try:
            # One at a time: the class may have validators of its own.
            section = attrs.evolve(section, **{alias: each.rule.parse(text)})
        except (ValueError, TypeError):
            problems.append(broken_rule(variable, text, each, getattr(section, names[alias])))
    return section, tuple(problems)


def _defaults(cls: type[Any]) -> Any:
    """
    Return the section as it is when nothing is set.
    """
    try:
        return cls()
    except TypeError as error:
        raise SettingsError(
            f"each field of {cls.__name__} must have a default ({error})"
        ) from error


def _declared(prefix: str, cls: type[Any]) -> dict[str, Setting]:
    """
    Return the settings of a section by the names that its constructor takes.
    """
    if not attrs.has(cls):
        raise SettingsError(f"{cls.__name__} must be an attrs class; decorate it with attrs.frozen")
    hints = typing.get_type_hints(cls)
    return {
        field.alias or field.name: _describe(prefix, field, hints.get(field.name, str))
        for field in attrs.fields(cls)
        if field.init
    }


def _describe(prefix: str, field: attrs.Attribute[Any], hint: Any) -> Setting:
    """
    Return what is known about one field of a section.
    """
    variable = f"{prefix}{field.name.strip('_').upper()}"
    if METADATA_KEY in field.metadata:
        return attrs.evolve(described_by(field), variables=(variable,))
    return Setting(variables=(variable,), rule=_rule(variable, hint), group=Group.PLUGINS, help="")


def _rule(variable: str, hint: Any) -> Rule:
    """
    Return the rule that a type stands for.
    """
    # Optional[int], and int | None: what None means is the default's affair.
    plain = [each for each in typing.get_args(hint) if each is not type(None)]
    hint = plain[0] if type(None) in typing.get_args(hint) and len(plain) == 1 else hint
    if hint in _RULES:
        return _RULES[hint]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return EnumChoice(hint)
    raise SettingsError(f"{variable} must have a type that text can say (got {hint!r})")


class EnumChoice:
    """
    A member of an enum, by its value.
    """

    def __init__(self, members: type[Enum]) -> None:
        self.members = members
        self.text = f"one of {', '.join(str(member.value) for member in members)}"

    def parse(self, value: Any, /) -> Enum:
        """
        Return the member whose value is written.
        """
        for member in self.members:
            if str(member.value).lower() == str(value).lower():
                return member
        raise ValueError(self.text)

    def show(self, value: Any, /) -> str:
        """
        Return the member's value.
        """
        return "" if value is None else str(value.value)


def _misspelt(prefix: str, known: set[str], unclaimed: Mapping[str, Secret]) -> list[str]:
    """
    Return a line for each variable of the section that none of its fields has.
    """
    lines = []
    for variable in sorted(unclaimed):
        if variable.startswith(prefix) and variable not in known:
            match = nearest(variable, known)
            way_out = f"did you mean {match}?" if match else f"it has {', '.join(sorted(known))}"
            lines.append(f"{variable} must be a setting of its plugin; {way_out}")
    return lines
