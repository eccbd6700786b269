"""
What secrets look like in running text: at each anchor, what tells for good whether one is there.
"""

from __future__ import annotations

import binascii
import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Optional

from telemetry.model.expressions import Expression
from telemetry.model.secret_assignments import find_assigned, find_encoded
from telemetry.model.secret_blocks import find_block, find_putty
from telemetry.model.secret_commands import find_flag
from telemetry.model.secret_finds import MARKER_START, Finder, Found, Judge, either
from telemetry.model.secret_markup import find_element, find_pair
from telemetry.model.secret_tokens import TOKENS, Token, atoms_of, folded

if TYPE_CHECKING:
    from collections.abc import Mapping

_SIGNS = "".join(map(chr, range(33, 127)))


@cache
def _members(atom: str) -> tuple[str, ...]:
    """
    Return the characters that an atom stands for.
    """
    return (atom,) if len(atom) == 1 else tuple(re.findall(atom, _SIGNS))


@cache
def _tokens() -> dict[str, dict[str, list[tuple[Token, int, Expression]]]]:
    """
    Return the tokens by the last character of their prefix and the one before; "" if there is none.
    """
    tokens: dict[str, dict[str, list[tuple[Token, int, Expression]]]] = {}
    for token in TOKENS:
        prefix = atoms_of(token.prefix)
        entry = (token, len(prefix) - 1, Expression(folded(token.prefix) + token.body))
        by_previous = tokens.setdefault(prefix[-1].strip("[]"), {})
        for previous in _members(prefix[-2]) if len(prefix) > 1 else [""]:
            by_previous.setdefault(previous, []).append(entry)
    return tokens


_PLAIN_TAIL = Expression(r"[a-z_-]*\Z")


def find_token(text: str, at: int, judge: Judge) -> Optional[Found]:
    """
    Find a token whose prefix ends at the anchor.
    """
    by_previous = _tokens()[text[at]]
    candidates = by_previous.get(text[at - 1]) if at else None
    for token, width, expression in (*(candidates or ()), *by_previous.get("", ())):
        start = at - width
        match = expression.match(text, start) if start >= 0 else None
        if match is None or (token.bounded and not _begins_a_word(text, start)):
            continue
        return Found(start, match.end(), token.rule if _is_random(token, match[0]) else "")
    return None


def _is_random(token: Token, found: str) -> bool:
    """
    Tell a secret, with its digit or capital, from words joined by hyphens, a JWT from any base64.
    """
    if token.rule == "jwt":
        return "." in found or found.startswith("eyJrIjoi")
    return not _PLAIN_TAIL.match(found, len(atoms_of(token.prefix)))


def _begins_a_word(text: str, start: int) -> bool:
    """
    Tell whether no letter or digit stands before, unless it is part of an escape.
    """
    if start == 0 or not text[start - 1].isalnum():
        return True
    before = text[max(0, start - 3) : start]
    return before[-2:-1] == "\\" or before[:1] == "%"


#: What stands before the hyphen of a flag with one.
_BEFORE_FLAG = frozenset(" \t\n'\"")


def find_dash(text: str, at: int, judge: Judge) -> Optional[Found]:
    """
    Find what a hyphen can anchor.
    """
    before = text[at - 1 : at] if at else " "
    if before == "-":
        return find_block(text, at, judge) or find_flag(text, at, judge)
    if before in _BEFORE_FLAG:
        return find_flag(text, at, judge)
    return find_token(text, at, judge) or find_putty(text, at, judge)


#: Without a digit, a shorter word after `Bearer` is one of prose.
_LONG_BEARER_CHARS = 20
_SCHEME = Expression(r"[A-Za-z]+ {1,4}([A-Za-z0-9._~+/=-]+)")


def find_scheme(text: str, at: int, judge: Judge) -> Optional[Found]:
    """
    Find the credentials after ``Bearer`` or ``Basic``.
    """
    match = _SCHEME.match(text, at)
    if match is None:
        return None
    value = match[1]
    if text[at + 1] in "Aa":
        return Found(*match.span(1), "basic") if _is_basic(value) else None
    looks_random = len(value) >= _LONG_BEARER_CHARS or any(
        character.isdigit() for character in value
    )
    return Found(*match.span(1), "bearer") if looks_random else None


def _is_basic(value: str) -> bool:
    """
    Tell whether a word is base64 of a name, a colon and a password.
    """
    try:
        return b":" in binascii.a2b_base64(value + "=" * (-len(value) % 4))
    except ValueError:
        return False


_USERINFO = Expression(
    r"//((?:[^ \t\r\n/@\"'<>`]{1,1024}@)+|[^ \t\r\n/@:\"'<>`]{1,64}:[^ \t\r\n@\"'<>`]{1,48}@)"
)
_PORT = Expression(r"[^/]*:[0-9]{1,5}/")
_MIN_BARE_TOKEN_CHARS = 16


def find_userinfo(text: str, at: int, judge: Judge) -> Optional[Found]:
    """
    Find the password, or the token in its place, before the host of a URL.
    """
    match = _USERINFO.match(text, at + 1)
    info = match[1][:-1] if match else ""
    if match is None or info.startswith(MARKER_START) or _PORT.match(info):
        return None
    if ":" not in info and len(info) < _MIN_BARE_TOKEN_CHARS:
        return None
    return Found(match.start(1), match.end(1) - 1, "userinfo")


_ORACLE = Expression(r"([^/@\s\[]{1,64}/[^@\s]{1,64})@")


def find_colon(text: str, at: int, judge: Judge) -> Optional[Found]:
    """
    Find what a colon can anchor.
    """
    if text.startswith("//", at + 1):
        return find_userinfo(text, at, judge)
    oracle = _ORACLE.match(text, at + 1) if text.startswith("thin", at - 4) else None
    return Found(*oracle.span(1), "userinfo") if oracle else find_token(text, at, judge)


_ENCODED = Expression(r"3[Aa]%2[Ff]%2[Ff]([^%\s]{1,64}%3[Aa](?:[^%\s]|%(?!40)){1,200})%40")


def find_percent(text: str, at: int, judge: Judge) -> Optional[Found]:
    """
    Find the secrets of a URL that is itself part of a URL.
    """
    if text[at + 2] in "Dd":
        return find_encoded(text, at, judge)
    match = _ENCODED.match(text, at + 1)
    return Found(*match.span(1), "userinfo") if match else None


@lru_cache(maxsize=8)
def finders_for(names: frozenset[str]) -> Mapping[str, Finder]:
    """
    Return what is asked at each anchor, by its character.

    Args:
        names: More names of secrets, without case and separators.
    """
    finders: dict[str, Finder] = {
        **dict.fromkeys(_tokens(), find_token),
        **dict.fromkeys("kKsSwWcCuUpPgG", find_assigned),
        **dict.fromkeys("Bb", find_scheme),
        **dict.fromkeys("([", find_pair),
        "-": find_dash,
        ":": find_colon,
        "<": find_element,
        "%": find_percent,
    }
    for name in names:
        for case in {name[0], name[0].upper()}:
            finders[case] = either(finders.get(case), find_assigned)
    return finders
