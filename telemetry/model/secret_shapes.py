"""
What secrets look like in running text.

Each shape has an anchor: a rare character, what stands right before it, and enough of what follows
to make a match likely. All anchors together are one expression that passes over a text once; each
starts with a plain character, so that the engine skips all others, and nothing in it repeats
without a bound. Only where it stops is a shape matched for good, by a finder.

    anchor        shape
    - _ . : J A … tokens with a known prefix, JWTs, cloud keys, webhooks
    -             private keys, `--password x`, `-u user:password`
    B b           `Bearer …` and `Basic …`
    :             passwords in URLs
    % < ( [       URLs within URLs, XML elements, pairs
    k s w c u p g assignments: `token=…`, `"password": "…"`; the name is judged like a key
"""

from __future__ import annotations

import binascii
import re
from functools import cache, lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional

from telemetry.model.secret_assignments import (
    KEYWORDS,
    find_assigned,
    find_encoded,
    keyword_anchors,
    name_anchors,
)
from telemetry.model.secret_blocks import find_block, find_putty
from telemetry.model.secret_commands import find_flag
from telemetry.model.secret_finds import MARKER_START, Finder, Found, Judge, either
from telemetry.model.secret_markup import find_element, find_pair
from telemetry.model.secret_tokens import TOKENS, Token

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Finds the next anchor in a text, from a position on.
Search = Callable[..., Optional[re.Match[str]]]


class Shapes(NamedTuple):
    """
    What finds anchors, and by the character of an anchor what tells a secret there.
    """

    search: Search
    finders: Mapping[str, Finder]


_split_atoms = re.compile(r"\[[^]]*\]|.").findall


@cache
def _atoms(prefix: str) -> tuple[str, ...]:
    """
    Return what stands for one character each.
    """
    return tuple(_split_atoms(prefix))


def _token_anchors() -> list[tuple[str, str]]:
    """
    Return the tokens' anchors: those with the same character and the same `ahead` share one.
    """
    groups: dict[tuple[str, str], dict[int, list[str]]] = {}
    for token in TOKENS:
        atoms = _atoms(token.prefix)
        widths = groups.setdefault((atoms[-1].strip("[]"), token.ahead), {})
        widths.setdefault(len(atoms), []).append(token.prefix)
    anchors = []
    for (last, ahead), widths in groups.items():
        if 1 in widths:
            anchors.append((last, ahead))
            continue
        # The character that follows comes first: the engine drops a branch by it without entering.
        first, rest = _split_first(ahead)
        prefixes = [prefix for same_width in widths.values() for prefix in same_width]
        atoms_of = [_atoms(prefix) for prefix in prefixes]
        before = "".join(
            f"[{''.join(dict.fromkeys(atoms[place].strip('[]') for atoms in atoms_of))}]"
            for place in (-3, -2)
        )
        looks = "|".join(
            f"(?<={'|'.join(f'{_folded(prefix)}.' for prefix in same)})" for same in widths.values()
        )
        # The look ahead is cheaper than the looks back, of which there are many.
        anchors.append((last, f"{first}(?<={before}..)(?={rest})(?:{looks})"))
    return anchors


def _folded(prefix: str) -> str:
    """
    Return a prefix with its repeated atoms counted: most of the time to compile it goes into them.
    """
    runs = [(atom, len(list(run))) for atom, run in groupby(_atoms(prefix))]
    return "".join(atom if count == 1 else f"{atom}{{{count}}}" for atom, count in runs)


_SIGNS = "".join(map(chr, range(33, 127)))


@cache
def _members(atom: str) -> tuple[str, ...]:
    """
    Return the characters that an atom stands for.
    """
    return (atom,) if len(atom) == 1 else tuple(re.findall(atom, _SIGNS))


def _split_first(expression: str) -> tuple[str, str]:
    first = _atoms(expression)[0]
    return first, expression[len(first) :]


#: What the name of a secret has in it: a cheap look before a finder judges the name.
_WORD_HINT = (
    "(?:[Pp]ass|PASS|[Pp]w|PW|[Ss]ecret|SECRET|[Tt]oken|TOKEN|[Aa]uth|AUTH|[Cc]ookie|COOKIE"
    "|[_-](?:pat|PAT)|[Cc]redential|[Ss]ession|[Cc]srf|[Xx]srf|[Jj]wt)"
)
_NAME_HINT = f"[A-Za-z0-9_.:-]{{0,40}}?(?:{_WORD_HINT}|(?<=[A-Za-z0-9_.:-])(?:[Kk]ey|KEY))"
#: The same behind its first letter.
_HINT_REST = "ecret|ECRET|ession|oken|OKEN|ey|EY|uth|UTH|ookie|redential|srf|wt"
ANCHORS: tuple[tuple[str, str], ...] = (
    *_token_anchors(),
    ("-", "B(?<=-----.)EGIN "),
    ("-", "E(?<=-----.)ND "),
    ("-", " (?<=---- )(?:BEGIN|END) "),
    ("-", "[A-Za-z](?<=--.)"),
    ("-", r"[A-Za-z](?<![^ \t'\"]-.)(?:(?<=[uUp])|" + f"{_HINT_REST}|{_NAME_HINT})"),
    ("-", "L(?<=Private-.)ines: "),
    ("<", f"/{_NAME_HINT}"),
    ("(", rf"[\"'`\\b][\"'`\\]{{0,3}}{_NAME_HINT}"),
    ("[", rf"[\"'`\\b][\"'`\\]{{0,3}}{_NAME_HINT}"),
    ("%", "3[Dd][^&]"),
    ("%", r"3[Aa]%2[Ff]%2[Ff][^%\s]{1,64}%3[Aa]"),
    *((case, "[Ee][Aa][Rr][Ee][Rr] {1,4}[A-Za-z0-9._~+/=-]{8}") for case in "Bb"),
    *((case, "[Aa][Ss][Ii][Cc] {1,4}[A-Za-z0-9+/=-]{4}") for case in "Bb"),
)
#: These are looked for only where there is a sign that assigns.
ASSIGNED_ANCHORS = (
    (":", r"//[^ \t\r\n/@\"'<>`]{1,1024}@"),
    (":", r"//[^ \t\r\n/@:\"'<>`]{1,64}:[^ \t\r\n@\"'<>`]{1,48}@"),
    (":", r"[^/@\s](?<=thin:.)[^/@\s]{0,63}/[^@\s]{1,64}@"),
    *keyword_anchors(KEYWORDS),
)


def compile_anchors(anchors: Iterable[tuple[str, str]]) -> re.Pattern[str]:
    """
    Join anchors to one expression in which each character is tried once.
    """
    groups: dict[str, list[str]] = {}
    for character, rest in anchors:
        groups.setdefault(character, []).append(rest)
    return re.compile(
        "|".join(f"{re.escape(first)}(?:{'|'.join(rest)})" for first, rest in groups.items())
    )


#: Tokens by the last character of their prefix and the one before; "" where there is none.
_PATTERNS: dict[str, dict[str, list[tuple[Token, int, str]]]] = {}
for _token in TOKENS:
    _prefix = _atoms(_token.prefix)
    _entry = (_token, len(_prefix) - 1, _folded(_token.prefix) + _token.body)
    _by_previous = _PATTERNS.setdefault(_prefix[-1].strip("[]"), {})
    for _previous in _members(_prefix[-2]) if len(_prefix) > 1 else [""]:
        _by_previous.setdefault(_previous, []).append(_entry)

#: Most processes meet none of the tokens: each expression is compiled when it is first tried.
_compiled = cache(re.compile)
_PLAIN_TAIL = re.compile(r"[a-z_-]*\Z")


def find_token(text: str, at: int, judge: Judge) -> Optional[Found]:
    """
    Find a token whose prefix ends at the anchor.
    """
    by_previous = _PATTERNS[text[at]]
    candidates = by_previous.get(text[at - 1]) if at else None
    for token, width, pattern in (*(candidates or ()), *by_previous.get("", ())):
        start = at - width
        match = _compiled(pattern).match(text, start) if start >= 0 else None
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
    return not _PLAIN_TAIL.match(found, len(_atoms(token.prefix)))


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
_SCHEME = re.compile(r"[A-Za-z]+ {1,4}([A-Za-z0-9._~+/=-]+)")


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


_USERINFO = re.compile(
    r"//((?:[^ \t\r\n/@\"'<>`]{1,1024}@)+|[^ \t\r\n/@:\"'<>`]{1,64}:[^ \t\r\n@\"'<>`]{1,48}@)"
)
_PORT = re.compile(r"[^/]*:[0-9]{1,5}/")
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


_ORACLE = re.compile(r"([^/@\s\[]{1,64}/[^@\s]{1,64})@")


def find_colon(text: str, at: int, judge: Judge) -> Optional[Found]:
    """
    Find what a colon can anchor.
    """
    if text.startswith("//", at + 1):
        return find_userinfo(text, at, judge)
    oracle = _ORACLE.match(text, at + 1) if text.startswith("thin", at - 4) else None
    return Found(*oracle.span(1), "userinfo") if oracle else find_token(text, at, judge)


_ENCODED = re.compile(r"3[Aa]%2[Ff]%2[Ff]([^%\s]{1,64}%3[Aa](?:[^%\s]|%(?!40)){1,200})%40")


def find_percent(text: str, at: int, judge: Judge) -> Optional[Found]:
    """
    Find the secrets of a URL that is itself part of a URL.
    """
    if text[at + 2] in "Dd":
        return find_encoded(text, at, judge)
    match = _ENCODED.match(text, at + 1)
    return Found(*match.span(1), "userinfo") if match else None


FINDERS: dict[str, Finder] = dict.fromkeys(_PATTERNS, find_token)
FINDERS.update(
    {"-": find_dash, ":": find_colon, "B": find_scheme, "b": find_scheme},
    **dict.fromkeys("kKsSwWcCuUpPgG", find_assigned),
    **{"<": find_element, "(": find_pair, "[": find_pair, "%": find_percent},
)


@cache
def shapes() -> Shapes:
    """
    Return the shapes of texts in which nothing is assigned, compiled at the first call.
    """
    return Shapes(compile_anchors(ANCHORS).search, FINDERS)


@lru_cache(maxsize=8)
def assigned_shapes(names: frozenset[str]) -> Shapes:
    """
    Return the shapes of texts with a sign that assigns, compiled at the first call.

    Args:
        names: More names of secrets, without case and separators.
    """
    finders = dict(FINDERS)
    for name in names:
        for case in {name[0], name[0].upper()}:
            finders[case] = either(finders.get(case), find_assigned)
    anchors = (*ANCHORS, *ASSIGNED_ANCHORS, *name_anchors(sorted(names)))
    return Shapes(compile_anchors(anchors).search, finders)
