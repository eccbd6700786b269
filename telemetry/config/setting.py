"""
The description of one setting, which everything about it derives from.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from telemetry.config.rules import Rule

METADATA_KEY = "setting"
MAX_SHOWN_CHARACTERS = 60


class Group(str, Enum):
    """
    Settings that belong together on a page.
    """

    STORAGE = "storage"
    RECORDING = "recording"
    BOUNDS = "bounds"
    SCRUBBING = "scrubbing"
    DELIVERY = "delivery"
    LIVENESS = "liveness"
    PLUGINS = "plugins"
    POSTING = "remote posting"
    SERVICE = "service"
    LOGGING = "logging"
    CHECKS = "checks"


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Setting:
    """
    What is known about a setting beside its name, its type and its default.
    """

    #: Environment variables that set it; the first that holds a usable value wins.
    variables: tuple[str, ...]
    rule: Rule
    group: Group
    help: str
    unit: str = ""
    since: str = "0.1"
    #: The default in words, where it depends on another setting or on the machine.
    default_text: str = ""
    #: Taken instead of the default when the value cannot be read: the side on which nothing leaks.
    safe: Any = None

    def show_default(self, default: Any) -> str:
        """
        Return the default in words; "none" where there is none.
        """
        return self.default_text or self.rule.show(default) or "none"


def setting(  # noqa: PLR0913 (one parameter for each thing that derives from a setting)
    *variables: str,
    rule: Rule,
    group: Group,
    help: str,  # noqa: A002 (what it is for click, too)
    unit: str = "",
    since: str = "0.1",
    default_text: str = "",
    safe: Any = None,
) -> dict[str, Any]:
    """
    Describe a setting, as the metadata of its field.
    """
    described = Setting(
        variables=variables,
        rule=rule,
        group=group,
        help=help,
        unit=unit,
        since=since,
        default_text=default_text,
        safe=safe,
    )
    return {METADATA_KEY: described}


def described_by(field: attrs.Attribute[Any]) -> Setting:
    """
    Return the setting that a field declares.
    """
    found: Setting = field.metadata[METADATA_KEY]
    return found


def broken_rule(name: str, value: Any, described: Setting, default: Any) -> str:
    """
    Say that a value breaks its rule, and what holds instead.

    Args:
        name: The variable or argument that carries the value.
        default: The setting's default.
    """
    rule = described.rule
    rule_and_value = f"{name} must be {rule.text} (got {_shown(rule, value)})"
    shown = described.show_default(default)
    way_out = "unset it for none" if shown == "none" else f"unset it for the default, {shown}"
    if described.safe is None:
        return f"{rule_and_value}; {way_out}"
    return f"{rule_and_value} and counts as {rule.show(described.safe)}; {way_out}"


def _shown(rule: Rule, value: Any) -> str:
    """
    Return a refused value, short and without what may be a secret.
    """
    from telemetry.config.rules import Password, Url, masked_url
    from telemetry.config.secret import MASK

    if isinstance(rule, Password):
        return "one that is not shown"
    if not isinstance(value, (str, int, float, bytes, type(None))):
        return f"a {type(value).__name__}"
    if isinstance(value, str):
        # Cut first: a repr or a mask of a megabyte would cost as much.
        value = value[: 4 * MAX_SHOWN_CHARACTERS]
        if isinstance(rule, Url) or "://" in value:
            # It is no URL, so nobody knows where in it the password ends.
            value = MASK + value[value.rindex("@") :] if "@" in value else masked_url(value)
    try:
        text = repr(value)
    except ValueError:
        return "a very large integer"
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}…"
