"""
From the environment and arguments to values: never an error, a line for each thing that is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import attrs

from telemetry.config.names import HANDED_DOWN, PREFIXES, SHARED, unknown_argument, unknown_names
from telemetry.config.places import ARGUMENT, settle
from telemetry.config.rules import PartlyRefusedError
from telemetry.config.secret import Secret
from telemetry.config.setting import METADATA_KEY, Setting, broken_rule, described_by
from telemetry.model.errors import SettingsError


class Table(NamedTuple):
    """
    The settings that a class declares, in the forms in which they are looked up.
    """

    by_name: Mapping[str, Setting]
    #: The names of the fields that a variable may set.
    by_variable: Mapping[str, tuple[str, ...]]
    defaults: Mapping[str, Any]
    sources: Mapping[str, str]


class Read(NamedTuple):
    """
    What was found: arguments for the class, where each came from, and what is wrong.
    """

    values: dict[str, Any]
    sources: dict[str, str]
    problems: list[str]
    #: Variables that begin like ours and are no settings: the plugins' own, among others.
    unclaimed: dict[str, Secret]


@cache
def table_of(cls: type[attrs.AttrsInstance]) -> Table:
    """
    Return the settings that a class declares.
    """
    declared = [field for field in attrs.fields(cls) if METADATA_KEY in field.metadata]
    by_variable: dict[str, tuple[str, ...]] = {}
    for field in declared:
        for variable in described_by(field).variables:
            by_variable[variable] = (*by_variable.get(variable, ()), field.name)
    return Table(
        by_name={field.name: described_by(field) for field in declared},
        by_variable=by_variable,
        defaults={field.name: field.default for field in declared},
        sources={field.name: "default" for field in declared},
    )


def read(
    cls: type[attrs.AttrsInstance], environ: Mapping[str, str], arguments: Mapping[str, Any]
) -> Read:
    """
    Read the settings of a class.

    Args:
        arguments: Values by the settings' names; they win, None counts as not given.
    """
    table = table_of(cls)
    found = Read({}, dict(table.sources), [], {})
    for name in _touched(environ, table, found):
        _read_variables(name, environ, table, found)
    for name, value in arguments.items():
        if value is not None:
            _read_argument(name, value, table, found)
    if found.unclaimed:
        plugins = (*found.values.get("plugins", ()), *found.values.get("plugins_disabled", ()))
        unclaimed = {name: environ[name] for name in found.unclaimed}
        found.problems.extend(unknown_names(unclaimed, table.by_variable, plugins))
    settle(found.values, found.sources, found.problems)
    _keep_stale_after_heartbeats(table, found)
    return found


def obey(config: attrs.AttrsInstance) -> None:
    """
    Turn the values that a configuration was built with into its settings' values.

    Raises:
        SettingsError: One of them breaks its rule.
    """
    table = table_of(type(config))
    for name, described in table.by_name.items():
        value, default = getattr(config, name), table.defaults[name]
        if value is default:
            continue
        try:
            parsed = described.rule.parse(value)
        except (ValueError, TypeError) as error:
            message = broken_rule(name, value, described, default)
            raise SettingsError(message, setting=name) from error
        if parsed is not value:
            object.__setattr__(config, name, parsed)


def _touched(environ: Mapping[str, str], table: Table, found: Read) -> Iterator[str]:
    """
    Yield each setting that some variable sets; note the variables that are no setting's.
    """
    touched: dict[str, None] = {}
    for variable in environ:
        if variable in table.by_variable:
            touched.update(dict.fromkeys(table.by_variable[variable]))
        elif variable.startswith(PREFIXES) and variable not in HANDED_DOWN:
            found.unclaimed[variable] = Secret(environ[variable])
    yield from touched


def _read_variables(name: str, environ: Mapping[str, str], table: Table, found: Read) -> None:
    """
    Take a setting from the first of its variables that holds a usable value.
    """
    described = table.by_name[name]
    for variable in described.variables:
        text = environ.get(variable, "").strip()
        if not text:
            continue
        try:
            found.values[name] = described.rule.parse(text)
        except PartlyRefusedError as error:
            _keep(name, variable, error, found)
            return
        except ValueError:
            if variable not in SHARED:
                _refuse(name, variable, text, table, found)
            continue
        found.sources[name] = variable
        return


def _read_argument(name: str, value: Any, table: Table, found: Read) -> None:
    """
    Take a setting from an argument.
    """
    described = table.by_name.get(name)
    if described is None:
        found.problems.append(unknown_argument(name, value, table.by_name))
        return
    try:
        found.values[name] = described.rule.parse(value)
    except PartlyRefusedError as error:
        _keep(name, name, error, found)
    except (ValueError, TypeError):
        _refuse(name, name, value, table, found)
    else:
        found.sources[name] = ARGUMENT


def _keep(name: str, given_as: str, error: PartlyRefusedError, found: Read) -> None:
    """
    Note that a part of a list cannot be used, and take the rest.
    """
    found.problems.append(f"{given_as}: {error}")
    found.values[name] = error.kept
    found.sources[name] = ARGUMENT if given_as == name else given_as


def _refuse(name: str, given_as: str, value: Any, table: Table, found: Read) -> None:
    """
    Note that a value breaks its rule; where the default would be the unsafe side, take the other.
    """
    described = table.by_name[name]
    found.problems.append(broken_rule(given_as, value, described, table.defaults[name]))
    if described.safe is not None:
        found.values[name] = described.safe
        found.sources[name] = f"unusable {given_as}"


def _keep_stale_after_heartbeats(table: Table, found: Read) -> None:
    """
    Refuse a pair of times that would declare live runs dead.
    """
    values, defaults = found.values, table.defaults
    heartbeat_s = values.get("heartbeat_s", defaults["heartbeat_s"])
    stale_after_s = values.get("stale_after_s", defaults["stale_after_s"])
    if stale_after_s >= 2 * heartbeat_s:
        return
    found.problems.append(
        "TELEMETRY_STALE_AFTER_S must be at least twice TELEMETRY_HEARTBEAT_S "
        f"(got {stale_after_s:g} and {heartbeat_s:g}); unset both for the defaults, "
        f"{defaults['stale_after_s']:g} and {defaults['heartbeat_s']:g}"
    )
    for name in ("heartbeat_s", "stale_after_s"):
        values.pop(name, None)
        found.sources[name] = "default"
