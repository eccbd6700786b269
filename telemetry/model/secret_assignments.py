"""
Secrets after their name: ``token=…``, ``"password": "…"``, ``password: |`` and the lines below.

A keyword of a secret's name is the anchor. The whole name around it is judged like a key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from telemetry.model.expressions import Expression
from telemetry.model.secret_finds import MARKER_START, Found, Judge, looks_random
from telemetry.model.secret_markup import find_value

if TYPE_CHECKING:
    import re

_NAME_CHARS = Expression(r"[A-Za-z0-9_.-]{0,96}")
_SIGN = Expression(
    r"\\{0,7}[\"'`]?\]?[ \t]{0,2}([=:]{1,3}>?|%3[AaDd])"
    r"(?:[ \t]{0,8}\r?\n[ \t]{0,64}(?=\\{0,7}[\"'])|[ \t]{0,8})(\\{0,7}[\"'`])?"
)
_VALUES = {
    "": Expression(r"[^\s\"'`,;&]+"),
    "{": Expression(r"\{[^}\n]*\}?"),
    "%": Expression(r"(?:[^\s\"'`,;&%]|%(?!26))+"),
    '"': Expression(r"[^\"\\\n]*(?:\\.[^\"\\\n]*)*"),
    "'": Expression(r"[^'\\\n]*(?:\\.[^'\\\n]*)*"),
    "`": Expression(r"[^`\n]*"),
    '\\"': Expression(r"[^\"\\\n]*(?:\\[^\"\n][^\"\\\n]*)*"),
    "\\'": Expression(r"[^'\\\n]*(?:\\[^'\n][^'\\\n]*)*"),
    "\\`": Expression(r"[^`\\\n]*"),
}
#: In a text that was escaped several times a value ends at the first quote that looks the same.
_ESCAPED = {quote: Expression(rf"[^{quote}\n]*") for quote in "\"'`"}
#: A text of YAML on the lines below, each further in than the name.
_BELOW = Expression(r"[|>][+-]?[0-9]?[+-]?[ \t]*(?:\r?\n[ \t]+[^\r\n]+)+")
_LINE = Expression(r"[^\r\n\"'`]+")
_WHOLE_LINE = frozenset(["authorization", "proxy-authorization", "cookie", "set-cookie"])
_SIGNATURES = ("sig", "signature")
#: Words that also stand before a colon in prose.
_PROSE = frozenset(["token", "cookie", "session", "auth", "secret", "credentials"])
_NO_SECRETS = frozenset(["None", "null", "true", "false", "True", "False", "str", "bytes"])
#: `openssl … -passin pass:…`
_PASS_FLAG = Expression(r"-pass(?:in|out|phrase)?[\"',]{0,2}[ \t]{1,4}[\"']?\Z")


def find_assigned(text: str, at: int, judge: Judge) -> Optional[Found]:
    """
    Find the value after the name of a secret and ``=`` or ``:``, quoted or not.
    """
    name_end = _NAME_CHARS.match(text, at).end()  # type: ignore[union-attr]
    name_start = _name_start(text, at)
    sign = _SIGN.match(text, name_end)
    if sign is None:
        return find_value(text, name_start, name_end, judge)
    name = text[name_start:name_end].lstrip("-.")
    is_signature = sign[1] == "=" and name.lower().endswith(_SIGNATURES)
    if not is_signature and not judge(name) and not _is_pass_argument(text, name_start, name):
        return None
    if text.endswith(MARKER_START, 0, name_start):
        return None
    return _value_after(text, sign, name.lower())


def _name_start(text: str, at: int) -> int:
    """
    Return where the name begins that goes on here, behind an escape such as ``%3F``.
    """
    before = _NAME_CHARS.match(text[max(0, at - 96) : at][::-1])
    start = at - before.end()  # type: ignore[union-attr]
    return min(start + 2, at) if text[start - 1 : start] == "%" else start


def find_encoded(text: str, at: int, judge: Judge) -> Optional[Found]:
    """
    Find the value after the name of a secret and ``%3D``, which begins here.
    """
    name_start = _name_start(text, at)
    value = _VALUES["%"].match(text, at + 3)
    if value is None or value[0].startswith(MARKER_START) or not judge(text[name_start:at]):
        return None
    return Found(*value.span(), "key")


def _is_pass_argument(text: str, start: int, name: str) -> bool:
    return name == "pass" and bool(_PASS_FLAG.search(text, max(0, start - 24), start))


def _value_after(text: str, sign: re.Match[str], name: str) -> Optional[Found]:
    is_colon = ":" in sign[1]
    below = _BELOW.match(text, sign.end()) if is_colon and not sign[2] else None
    if below is not None:
        return Found(*below.span(), "key")
    match = _pattern(text, sign, name, is_colon=is_colon).match(text, sign.end())
    value = match[0] if match else ""
    if not value or value.startswith(MARKER_START) or value.rstrip(")]}") in _NO_SECRETS:
        return None
    if is_colon and name in _PROSE and not looks_random(value):
        return None
    return Found(sign.end(), sign.end() + len(value), "key")


def _pattern(text: str, sign: re.Match[str], name: str, *, is_colon: bool) -> Expression:
    """
    Return what a value consists of, as its quotes and its name have it.
    """
    quote = sign[2] or ""
    if not quote and is_colon and name in _WHOLE_LINE:
        return _LINE
    if not quote and sign[1] == "=" and text.startswith("{", sign.end()):
        return _VALUES["{"]
    if sign[1][0] == "%":
        return _VALUES["%"]
    return _VALUES.get(quote) or _ESCAPED[quote[-1]]
