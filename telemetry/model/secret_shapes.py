"""
What secrets look like in running text.

Each shape has an anchor: a rare character, what stands right before it, and enough of what follows
to make a match likely. All anchors together are one expression that passes over a text once; each
starts with a plain character, so that the engine skips all others, and nothing in it repeats
without a bound. Only where it stops is a shape matched for good, by a finder.

    anchor        shape
    - _ . : J A   tokens with a known prefix, JWTs, cloud keys, webhooks
    -             PEM blocks, `--password x`
    B b           `Bearer …` and `Basic …`
    :             passwords in URLs
    k s w c u p g assignments: `token=…`, `"password": "…"`; the name is judged like a key
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional

from telemetry.model.secret_tokens import TOKENS, Token

if TYPE_CHECKING:
    from collections.abc import Iterable

MARKER_START = "[scrubbed:"


class Found(NamedTuple):
    """
    A secret's place in a text and the rule that knows it; no rule: nothing up to the end is one.
    """

    start: int
    end: int
    rule: str


Judge = Callable[[str], bool]
Finder = Callable[[str, int, Judge], Optional[Found]]

#: Keyword of a secret's name, cut at its anchor: (before, from the anchor on).
_KEYWORDS = (
    ("to", "ken"), ("", "key"), ("coo", "kie"), ("pas", "s"), ("c", "srf"), ("x", "srf"),
    ("ses", "sion"), ("ses", "sid"), ("p", "wd"), ("j", "wt"), ("se", "cret"), ("", "credential"),
    ("a", "uth"), ("ot", "p"), ("si", "g"),
)  # fmt: skip
#: What may stand behind a keyword: an ending of it, but no other word.
_ENDING = "(?:s|n|[Ww]or[Dd]s?|[Ww]d|WOR?DS?|phrase|code|orization|nature|id)?(?![a-z])"


def _any_case(letters: str) -> str:
    """
    Return an expression for the letters in either case.
    """
    return "".join(
        f"[{letter}{letter.upper()}]" if letter.isalpha() else letter for letter in letters
    )


def keyword_anchors(before: str, rest: str, between: str = "") -> list[tuple[str, str]]:
    """
    Return the anchors of a keyword in a name: its first character and the expression after it.
    """
    look = f"(?<={_any_case(before)}.)" if before else ""
    others = "".join(between + _any_case(letter) for letter in rest[1:])
    ending = "" if between else _ENDING
    return [(case, f"{look}{others}{ending}") for case in dict.fromkeys((rest[0], rest[0].upper()))]


def _atoms(prefix: str) -> list[str]:
    return re.findall(r"\[[^]]*\]|.", prefix)


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
        before = "".join(
            "["
            + "".join(dict.fromkeys(_atoms(prefix)[place].strip("[]") for prefix in prefixes))
            + "]"
            for place in (-3, -2)
        )
        looks = "|".join(
            f"(?<={'|'.join(f'{prefix}.' for prefix in same)})" for same in widths.values()
        )
        anchors.append((last, f"{first}(?<={before}..)(?:{looks}){rest}"))
    return anchors


def _split_first(expression: str) -> tuple[str, str]:
    first = _atoms(expression)[0]
    return first, expression[len(first) :]


ANCHORS: tuple[tuple[str, str], ...] = (
    *_token_anchors(),
    ("-", "B(?<=-----.)EGIN "),
    ("-", "[A-Za-z](?<=--.)"),
    *((case, "[Ee][Aa][Rr][Ee][Rr] {1,4}[A-Za-z0-9._~+/=-]{8}") for case in "Bb"),
    *((case, "[Aa][Ss][Ii][Cc] {1,4}[A-Za-z0-9+/=-]{4}") for case in "Bb"),
)
#: These are looked for only where there is a sign that assigns.
ASSIGNED_ANCHORS = (
    (":", r"//[^ \t\r\n/@\"'<>`]{1,1024}@"),
    (":", r"//[^ \t\r\n/@:\"'<>`]{1,64}:[^ \t\r\n@\"'<>`]{1,48}@"),
    *(anchor for keyword in _KEYWORDS for anchor in keyword_anchors(*keyword)),
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


_PATTERNS: dict[str, list[tuple[Token, int, re.Pattern[str]]]] = {}
for _token in TOKENS:
    _PATTERNS.setdefault(_atoms(_token.prefix)[-1].strip("[]"), []).append(
        (_token, len(_atoms(_token.prefix)) - 1, re.compile(_token.prefix + _token.body))
    )

_PLAIN_TAIL = re.compile(r"[a-z_-]*\Z")


def find_token(text: str, at: int, judge: Judge) -> Optional[Found]:
    """
    Find a token whose prefix ends at the anchor.
    """
    for token, width, pattern in _PATTERNS[text[at]]:
        start = at - width
        match = pattern.match(text, start) if start >= 0 else None
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


_PEM_BEGIN = re.compile(r"BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY")


def find_pem(text: str, at: int, judge: Judge) -> Optional[Found]:
    """
    Find a private key's block; one without an end reaches to the end of the text.
    """
    if not _PEM_BEGIN.match(text, at + 1):
        return None
    end = text.find("-----END", at)
    if end >= 0:
        end = text.find("-----", end + len("-----END"))
    return Found(at - 4, len(text) if end < 0 else end + 5, "private-key")


_FLAG_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{1,32}")
_FLAG_VALUE = re.compile(r" {1,4}(\"[^\"\n]*\"?|'[^'\n]*'?|[^\s-]\S*)")


def find_flag(text: str, at: int, judge: Judge) -> Optional[Found]:
    """
    Find the value of ``--password value``.
    """
    name = _FLAG_NAME.match(text, at + 1)
    value = _FLAG_VALUE.match(text, name.end()) if name and judge(name[0]) else None
    if value is None or value[1].startswith(MARKER_START):
        return None
    return Found(*value.span(1), "flag")


def find_dash(text: str, at: int, judge: Judge) -> Optional[Found]:
    """
    Find what a hyphen can anchor.
    """
    if text[at - 1 : at] != "-":
        return find_token(text, at, judge)
    return (find_pem if text.startswith("BEGIN ", at + 1) else find_flag)(text, at, judge)


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


def find_colon(text: str, at: int, judge: Judge) -> Optional[Found]:
    """
    Find what a colon can anchor.
    """
    return (
        find_userinfo(text, at, judge)
        if text.startswith("//", at + 1)
        else find_token(text, at, judge)
    )


_NAME_CHARS = re.compile(r"[A-Za-z0-9_.-]{0,96}")
_SIGN = re.compile(r"\\?[\"'`]?\]?[ \t]{0,2}([=:]{1,3}>?)[ \t]{0,8}(\\?[\"'`])?")
_VALUES = {
    None: re.compile(r"[^\s\"'`,;&]+"),
    '"': re.compile(r"[^\"\\\n]*(?:\\.[^\"\\\n]*)*"),
    "'": re.compile(r"[^'\\\n]*(?:\\.[^'\\\n]*)*"),
    "`": re.compile(r"[^`\n]*"),
    '\\"': re.compile(r"[^\"\\\n]*(?:\\[^\"\n][^\"\\\n]*)*"),
    "\\'": re.compile(r"[^'\\\n]*(?:\\[^'\n][^'\\\n]*)*"),
    "\\`": re.compile(r"[^`\\\n]*"),
}
_LINE = re.compile(r"[^\r\n\"'`]+")
_WHOLE_LINE = frozenset(["authorization", "proxy-authorization", "cookie", "set-cookie"])
_SIGNATURES = ("sig", "signature")
#: Words that also stand before a colon in prose.
_PROSE = frozenset(["token", "cookie", "session", "auth", "secret", "credentials"])
_LONG_VALUE_CHARS = 16
_NO_SECRETS = frozenset(["None", "null", "true", "false", "True", "False", "str", "bytes"])


def find_assigned(text: str, at: int, judge: Judge) -> Optional[Found]:
    """
    Find the value after the name of a secret and ``=`` or ``:``, quoted or not.
    """
    name_end = _NAME_CHARS.match(text, at).end()  # type: ignore[union-attr]
    sign = _SIGN.match(text, name_end)
    if sign is None:
        return None
    before = _NAME_CHARS.match(text[max(0, at - 96) : at][::-1])
    name_start = at - before.end()  # type: ignore[union-attr]
    name = text[name_start:name_end].lstrip("-.")
    if not judge(name) and not (sign[1] == "=" and name.lower().endswith(_SIGNATURES)):
        return None
    if text.endswith(MARKER_START, 0, name_start):
        return None
    return _value_after(text, sign, name.lower())


def _value_after(text: str, sign: re.Match[str], name: str) -> Optional[Found]:
    is_colon = ":" in sign[1]
    pattern = _LINE if is_colon and not sign[2] and name in _WHOLE_LINE else _VALUES[sign[2]]
    match = pattern.match(text, sign.end())
    value = match[0] if match else ""
    if not value or value.startswith(MARKER_START) or value.rstrip(")]}") in _NO_SECRETS:
        return None
    if is_colon and name in _PROSE and not _looks_random(value):
        return None
    return Found(sign.end(), sign.end() + len(value), "key")


def either(first: Optional[Finder], second: Finder) -> Finder:
    """
    Return a finder that asks the first, if there is one, and then the second.
    """
    if first is None or first is second:
        return second
    return lambda text, at, judge: first(text, at, judge) or second(text, at, judge)


def _looks_random(value: str) -> bool:
    return len(value) >= _LONG_VALUE_CHARS or any(character.isdigit() for character in value)


FINDERS: dict[str, Finder] = dict.fromkeys(_PATTERNS, find_token)
FINDERS.update(
    {"-": find_dash, ":": find_colon, "B": find_scheme, "b": find_scheme},
    **dict.fromkeys("kKsSwWcCuUpPgG", find_assigned),
)
