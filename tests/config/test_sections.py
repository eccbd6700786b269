"""
section(): a plugin's own settings.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any, Optional

import attrs
import pytest

from telemetry.config import Group, Secret, TelemetryConfig, setting
from telemetry.config.rules import Integer
from telemetry.model.errors import SettingsError

NO_TOKEN = Secret()


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@attrs.frozen(kw_only=True)
class Syslog:
    address: Path = Path("/dev/log")
    port: Optional[int] = None
    ratio: float = 0.5
    enabled: bool = True
    facility: str = "user"
    tags: tuple[str, ...] = ()
    token: Secret = NO_TOKEN
    colour: Colour = Colour.RED
    size: int = attrs.field(default=3, validator=attrs.validators.lt(10))
    level: int = attrs.field(
        default=1, metadata=setting(rule=Integer(0, 7), group=Group.PLUGINS, help="Severity.")
    )


def config_of(**variables):
    """
    Return a configuration that sees these variables of the section.
    """
    environ = {f"TELEMETRY_SYSLOG_{name}": text for name, text in variables.items()}
    return TelemetryConfig.from_env({"TELEMETRY_BASE_DIR": str(Path.cwd()), **environ})


def test_each_field_has_a_variable():
    """
    TELEMETRY_<NAME>_<FIELD> sets a field, by the rule of its type.
    """
    place = str(Path.cwd() / "log")
    config = config_of(
        ADDRESS=place,
        PORT="514",
        RATIO="-1.5",
        ENABLED="no",
        FACILITY="mail",
        TAGS="a,b",
        TOKEN="s",
        COLOUR="Blue",
        SIZE="4",
        LEVEL="7",
    )

    section = config.section("syslog", Syslog)

    assert section == Syslog(
        address=Path(place),
        port=514,
        ratio=-1.5,
        enabled=False,
        facility="mail",
        tags=("a", "b"),
        token=Secret("s"),
        colour=Colour.BLUE,
        size=4,
        level=7,
    )
    assert config.problems == ()


def test_nothing_set_is_the_class_as_it_is():
    """
    A plugin without variables works by its defaults.
    """
    assert config_of(PORT=" ").section("syslog", Syslog) == Syslog()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PORT", "x"),
        ("RATIO", "nan"),
        ("ENABLED", "maybe"),
        ("COLOUR", "green"),
        ("SIZE", "10"),
        ("LEVEL", "8"),
        ("TOKEN", "a b"),
    ],
)
def test_a_useless_value_is_one_line_and_the_default(name, text):
    """
    A plugin's bad value is as harmless as one of telemetry's own.
    """
    config = config_of(**{name: text, "FACILITY": "mail"})

    section = config.section("syslog", Syslog)

    assert section == Syslog(facility="mail")
    (line,) = config.problems
    assert line.startswith(f"TELEMETRY_SYSLOG_{name} must be ")
    assert "unset it for " in line


def test_a_misspelt_field_is_one_line():
    """
    A variable with the plugin's prefix and no field is noticed once the plugin is asked.
    """
    config = config_of(PROT="1", ELSEWHERE="1")

    config.section("syslog", Syslog)

    assert (
        "TELEMETRY_SYSLOG_PROT must be a setting of its plugin; did you mean TELEMETRY_SYSLOG_PORT?"
        in config.problems
    )
    assert len(config.problems) == 2


def test_a_section_is_read_once():
    """
    Asking again gives the same answer and no second line.
    """
    config = config_of(PORT="x")

    assert config.section("syslog", Syslog) is config.section("syslog", Syslog)
    assert len(config.problems) == 1


@attrs.frozen
class Untold:
    anything: Any = None


@attrs.frozen
class Demanding:
    port: int


class Plain:
    pass


@pytest.mark.parametrize("cls", [Untold, Demanding, Plain])
def test_a_class_that_text_cannot_fill_is_the_plugins_mistake(cls):
    """
    The author is told by an error, which loading contains.
    """
    with pytest.raises(SettingsError):
        config_of().section("syslog", cls)
