"""
Secrets beside their names: in XML, in pairs, and as the `value` of what has a `name`.

    <password>…</password>
    ("x-api-key", "…")
    {"name": "DB_PASSWORD", "value": "…"}
    <add key="Password" value="…" />
    - name: DB_PASSWORD
      value: …
"""

from __future__ import annotations

from typing import Optional

from telemetry.model.expressions import Expression
from telemetry.model.secret_finds import MARKER_START, Found, Judge

#: How long an element's or a value's text may be.
MAX_ELEMENT_CHARS = 4096
_CLOSING = Expression(r"</(?:[A-Za-z0-9_-]{1,32}:)?([A-Za-z0-9_.-]{1,96})[ \t\r\n]{0,8}>")
_QUOTE = r"\\{0,7}[\"'`]"
_NAME_BEFORE = Expression(
    rf"(?:[Nn]ame|[Kk]ey|NAME|KEY)(?:{_QUOTE})?[ \t]{{0,4}}[:=][ \t]{{0,4}}(?:{_QUOTE})?\Z"
)
_VALUE = Expression(
    rf"(?:{_QUOTE})?[\s,;]{{1,40}}(?:{_QUOTE})?[Vv](?:alue|ALUE)(?:{_QUOTE})?"
    rf"[ \t]{{0,4}}[:=][ \t]{{0,4}}({_QUOTE})?"
)
_BARE = Expression(r"[^\s\"'`,;&\])}]+")
_PAIR = Expression(
    rf"b?{_QUOTE}([A-Za-z0-9_.-]{{1,96}}){_QUOTE}[ \t]{{0,2}},[ \t]{{0,4}}b?({_QUOTE})"
)
_CLOSED_PAIR = Expression(r"[ \t]{0,2}[)\]]")


def find_element(text: str, at: int, judge: Judge) -> Optional[Found]:
    """
    Find the text of an XML element, whose end tag begins here.
    """
    closing = _CLOSING.match(text, at)
    if closing is None or not judge(closing[1]):
        return None
    start = text.rfind(">", max(0, at - MAX_ELEMENT_CHARS), at) + 1
    value = text[start:at]
    if not start or not value.strip() or value.startswith(MARKER_START) or "</" in value:
        return None
    return Found(start, at, "key")


def find_value(text: str, start: int, end: int, judge: Judge) -> Optional[Found]:
    """
    Find the `value` of what has a secret's name, which stands here after `name` or `key`.
    """
    sign = _VALUE.match(text, end)
    if sign is None or not judge(text[start:end]):
        return None
    if not _NAME_BEFORE.search(text, max(0, start - 24), start):
        return None
    if sign[1]:
        return _quoted(text, sign.end(), sign[1])
    bare = None if text.startswith(MARKER_START, sign.end()) else _BARE.match(text, sign.end())
    return Found(*bare.span(), "key") if bare else None


def find_pair(text: str, at: int, judge: Judge) -> Optional[Found]:
    """
    Find the second of two quoted texts in brackets, the first of which names a secret.
    """
    first = _PAIR.match(text, at + 1)
    if first is None or not judge(first[1]):
        return None
    found = _quoted(text, first.end(), first[2])
    if found is None or not _CLOSED_PAIR.match(text, found.end + len(first[2])):
        return None
    return found


def _quoted(text: str, start: int, quote: str) -> Optional[Found]:
    """
    Find what stands up to the same quote, on the same line.
    """
    line_end = text.find("\n", start, start + MAX_ELEMENT_CHARS)
    limit = line_end if line_end >= 0 else min(len(text), start + MAX_ELEMENT_CHARS)
    end = text.find(quote, start, limit)
    if end <= start or text.startswith(MARKER_START, start):
        return None
    return Found(start, end, "key")
