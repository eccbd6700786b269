"""
Secrets on command lines: as a list of arguments, and as such a line stands in a text.

A flag that names a secret hides the argument after it; `-u` and `--user` hide `name:password`; some
programs read a password at or behind `-p`. A text may hold the line as it was typed, or the list as
Python and JSON print it, which is what the message of `subprocess.CalledProcessError` does.
"""

from __future__ import annotations

import re
from typing import Optional

from telemetry.model.expressions import Expression
from telemetry.model.secret_finds import MARKER_START, Found, Judge

USER_FLAGS = frozenset(["-u", "-U", "--user", "--proxy-user"])
#: Programs with the password right behind `-p`.
_GLUED = frozenset(["mysql", "mysqldump", "mysqladmin", "mariadb", "mariadb-dump", "mariadb-admin"])
#: Programs whose `login` takes a password behind `-p`.
_LOGINS = frozenset(["docker", "podman", "nerdctl", "buildah", "skopeo", "helm", "oc", "az", "cf"])
#: How far back from a flag its program is looked for.
_LOOK_BACK_CHARS = 160

#: Neither two ports nor what was scrubbed before.
_USER = Expression(
    rf"(?![0-9]+:[0-9]*\Z|{re.escape(MARKER_START)}[^\s\]]+\]\Z)[^:\s]+:.+", re.DOTALL
)
_LONG_FLAG = Expression(r"--?[A-Za-z][A-Za-z0-9_.-]+\Z")
_FLAG = Expression(r"-([A-Za-z][A-Za-z0-9_.-]{0,64})")
#: Between a flag and its value: blanks, or what a printed list has there.
_VALUE = Expression(
    r"(?:[ \t]{1,4}|\\{0,3}[\"'],[ \t\r\n]{0,16}(?=\\{0,3}[\"']))"
    r"(?:\\{0,3}\"([^\"\n]*)|\\{0,3}'([^'\n]*)|([^\s\"'-]\S*))"
)
_GLUED_VALUE = Expression(r"p([^\s\"'\\]+)")


def program_of(argument: str) -> str:
    """
    Return a program's name without its folder.
    """
    return re.split(r"[/\\]", argument)[-1].lower()


def rule_for(
    argument: str, previous: str, program: str, *, logs_in: bool, judge: Judge
) -> Optional[str]:
    """
    Return the rule by which an argument is a secret because of what stands before it.

    Args:
        program: As `program_of` names it.
        logs_in: Whether one of the arguments before is `login`.
    """
    if not previous.startswith("-") or "=" in previous or argument.startswith("-"):
        return None
    if previous in USER_FLAGS:
        return "userinfo" if _USER.match(argument) else None
    if previous == "-p":
        takes_one = program == "sshpass" or (logs_in and program in _LOGINS)
        return "key" if takes_one else None
    return "key" if _LONG_FLAG.match(previous) and judge(previous) else None


def glued_password(argument: str, program: str) -> bool:
    """
    Tell whether an argument is `-p` with a password right behind it.
    """
    return program in _GLUED and argument.startswith("-p") and len(argument) > len("-p")


def find_flag(text: str, at: int, judge: Judge) -> Optional[Found]:
    """
    Find the secret behind a flag, which begins here or one hyphen before.
    """
    is_long = text[at - 1 : at] == "-"
    name = _FLAG.match(text, at)
    if name is None:
        return None
    flag = f"-{name[0]}" if is_long else name[0]
    if not is_long and name[1][0] == "p":
        glued = _GLUED_VALUE.match(text, at + 1)
        if glued and _program_before(text, at) in _GLUED:
            return _found(glued.start(1), glued[1], "key")
    value = _VALUE.match(text, name.end())
    place = value.lastindex if value else None
    if value is None or place is None or value[place].startswith("-"):
        return None
    if len(name[1]) > 1 and flag not in USER_FLAGS and judge(name[1]):
        return _found(value.start(place), value[place], "flag")
    if flag not in USER_FLAGS and flag != "-p":
        return None
    rule = rule_for(
        value[place],
        flag,
        _program_before(text, at) if flag == "-p" else "",
        logs_in="login" in _line_before(text, at),
        judge=judge,
    )
    return _found(value.start(place), value[place], rule) if rule else None


def _found(start: int, value: str, rule: str) -> Optional[Found]:
    if not value or value.startswith(MARKER_START):
        return None
    return Found(start, start + len(value), rule)


def _line_before(text: str, at: int) -> str:
    return text[max(0, at - _LOOK_BACK_CHARS) : at].rpartition("\n")[2]


_PROGRAMS = Expression(r"(?<![\w.-])([a-z][a-z-]{1,15})(?![\w.-])")


def _program_before(text: str, at: int) -> str:
    """
    Return the last program before a flag that takes a password at or behind `-p`; "" for none.
    """
    known = _GLUED | _LOGINS | {"sshpass"}
    found = [word for word in _PROGRAMS.findall(_line_before(text, at)) if word in known]
    return found[-1] if found else ""
