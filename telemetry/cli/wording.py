"""
What click says of a line it did not understand, as a thing, a rule and a value.
"""

from __future__ import annotations

import re
from typing import Optional

import click

_VALUE = "(?P<value>.*?)"
#: What click's types say, and the rule in it; some of them quote the value.
_RULES = (
    (re.compile(rf"'?{_VALUE}'? is not in the range x>=(?P<least>\S+?)\.?"), "at least {least}"),
    (re.compile(rf"'?{_VALUE}'? is not in the range x>(?P<least>\S+?)\.?"), "more than {least}"),
    (
        re.compile(rf"'?{_VALUE}'? is not in the range (?P<least>\S+?)<=x<=(?P<most>\S+?)\.?"),
        "from {least} to {most}",
    ),
    (re.compile(r"'(?P<value>.*)' is not a valid integer(?: range)?\."), "an integer"),
    (re.compile(r"'(?P<value>.*)' is not a valid float(?: range)?\."), "a number"),
    (re.compile(r"'(?P<value>.*)' is not one of (?P<rule>.+?)\.?"), "one of {rule}"),
    (re.compile(r"Directory '(?P<value>.*)' does not exist\."), "a directory that exists"),
    (re.compile(r"File '(?P<value>.*)' does not exist\."), "a file that exists"),
    (re.compile(r"Path '(?P<value>.*)' does not exist\."), "a path that exists"),
    (re.compile(r"Directory '(?P<value>.*)' is a file\."), "a directory"),
    (re.compile(r"File '(?P<value>.*)' is a directory\."), "a file"),
)


def words_of(error: click.ClickException) -> str:
    """
    Return what is wrong with a command line.
    """
    name = _name_of(error.param) if isinstance(error, click.BadParameter) else None
    if name is None:
        return error.format_message()
    if isinstance(error, click.MissingParameter):
        return f"{name} must be given"
    message = error.message
    if message.startswith("must "):
        return f"{name} {message}"
    for pattern, rule in _RULES:
        found = pattern.fullmatch(message)
        if found is not None:
            words = rule.format_map(found.groupdict())
            return f"{name} must be {words} (got {found['value']!r})"
    return f"{name}: {message}"


def _name_of(parameter: Optional[click.Parameter]) -> Optional[str]:
    """
    Return an option's longest name, or what stands for an argument in the usage.
    """
    if parameter is None:
        return None
    if isinstance(parameter, click.Option):
        return max(parameter.opts, key=len)
    shown = parameter.metavar or parameter.human_readable_name
    return shown[len("[--] ") :] if shown.startswith("[--] ") else shown.strip("[]")
