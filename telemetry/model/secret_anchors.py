"""
Where a secret may stand in running text.

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

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Callable, Optional

from telemetry.model.secret_tokens import TOKENS, atoms_of, folded

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Finds the next anchor in a text, from a position on.
Search = Callable[..., Optional[re.Match[str]]]

#: Keyword of a secret's name, cut at its anchor: (before, from the anchor on).
KEYWORDS = (
    ("to", "ken"), ("", "key"), ("coo", "kie"), ("pas", "s"), ("c", "srf"), ("x", "srf"),
    ("ses", "sion"), ("ses", "sid"), ("p", "wd"), ("j", "wt"), ("se", "cret"), ("", "credential"),
    ("a", "uth"), ("ot", "p"), ("si", "g"), ("p", "w"), ("ps", "wd"), ("kenn", "wort"), ("", "pat"),
)  # fmt: skip
#: What may stand behind a keyword: an ending of it, but no other word.
_ENDING = "(?:s|n|[Ww]or[DdTt]s?|[Ww]d|WOR?[DT]S?|phrase|code|orization|nature|id)?(?![a-z])"


def _any_case(letters: str) -> str:
    """
    Return an expression for the letters in either case.
    """
    return "".join(
        f"[{letter}{letter.upper()}]" if letter.isalpha() else letter for letter in letters
    )


def _keyword_anchors() -> list[tuple[str, str]]:
    """
    Return the anchors of keywords in names: a first character and the expression after it.
    """
    groups: dict[str, list[str]] = {}
    for before, rest in KEYWORDS:
        look = f"(?<={_any_case(before)}.)" if before else ""
        for case in dict.fromkeys((rest[0], rest[0].upper())):
            groups.setdefault(case, []).append(look + _any_case(rest[1:]))
    return [(case, f"(?:{'|'.join(rests)}){_ENDING}") for case, rests in groups.items()]


def _name_anchors(names: Iterable[str]) -> list[tuple[str, str]]:
    """
    Return the anchors of whole names, however their words are separated.
    """
    return [
        (case, "".join(f"[_.-]?{_any_case(letter)}" for letter in name[1:]))
        for name in names
        for case in dict.fromkeys((name[0], name[0].upper()))
    ]


def _token_anchors() -> list[tuple[str, str]]:
    """
    Return the tokens' anchors: those with the same character and the same `ahead` share one.
    """
    groups: dict[tuple[str, str], dict[int, list[str]]] = {}
    for token in TOKENS:
        atoms = atoms_of(token.prefix)
        widths = groups.setdefault((atoms[-1].strip("[]"), token.ahead), {})
        widths.setdefault(len(atoms), []).append(token.prefix)
    found = []
    for (last, ahead), widths in groups.items():
        if 1 in widths:
            found.append((last, ahead))
            continue
        # The character that follows comes first: the engine drops a branch by it without entering.
        first, rest = _split_first(ahead)
        prefixes = [prefix for same_width in widths.values() for prefix in same_width]
        taken_apart = [atoms_of(prefix) for prefix in prefixes]
        before = "".join(
            f"[{''.join(dict.fromkeys(atoms[place].strip('[]') for atoms in taken_apart))}]"
            for place in (-3, -2)
        )
        looks = "|".join(
            f"(?<={'|'.join(f'{folded(prefix)}.' for prefix in same)})" for same in widths.values()
        )
        # The look ahead is cheaper than the looks back, of which there are many.
        found.append((last, f"{first}(?<={before}..)(?={rest})(?:{looks})"))
    return found


def _split_first(expression: str) -> tuple[str, str]:
    first = atoms_of(expression)[0]
    return first, expression[len(first) :]


#: What the name of a secret has in it: a cheap look before a finder judges the name.
_WORD_HINT = (
    "(?:[Pp]ass|PASS|[Pp]w|PW|[Ss]ecret|SECRET|[Tt]oken|TOKEN|[Aa]uth|AUTH|[Cc]ookie|COOKIE"
    "|[_-](?:pat|PAT)|[Cc]redential|[Ss]ession|[Cc]srf|[Xx]srf|[Jj]wt)"
)
_NAME_HINT = f"[A-Za-z0-9_.:-]{{0,40}}?(?:{_WORD_HINT}|(?<=[A-Za-z0-9_.:-])(?:[Kk]ey|KEY))"
#: The same behind its first letter.
_HINT_REST = "ecret|ECRET|ession|oken|OKEN|ey|EY|uth|UTH|ookie|redential|srf|wt"
_ANCHORS = (
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
_ASSIGNED_ANCHORS = (
    (":", r"//[^ \t\r\n/@\"'<>`]{1,1024}@"),
    (":", r"//[^ \t\r\n/@:\"'<>`]{1,64}:[^ \t\r\n@\"'<>`]{1,48}@"),
    (":", r"[^/@\s](?<=thin:.)[^/@\s]{0,63}/[^@\s]{1,64}@"),
)


def _joined(parts: Iterable[tuple[str, str]]) -> re.Pattern[str]:
    """
    Join anchors to one expression in which each character is tried once.
    """
    groups: dict[str, list[str]] = {}
    for character, rest in parts:
        groups.setdefault(character, []).append(rest)
    return re.compile(
        "|".join(f"{re.escape(first)}(?:{'|'.join(rest)})" for first, rest in groups.items())
    )


@cache
def anchors() -> Search:
    """
    Return what finds the anchors of texts in which nothing is assigned, compiled at the first call.
    """
    return _joined((*_token_anchors(), *_ANCHORS)).search


@lru_cache(maxsize=8)
def assigned_anchors(names: frozenset[str]) -> Search:
    """
    Return what finds the anchors of texts with a sign that assigns, compiled at the first call.

    Args:
        names: More names of secrets, without case and separators.
    """
    always = (*_token_anchors(), *_ANCHORS)
    assigned = (*_ASSIGNED_ANCHORS, *_keyword_anchors(), *_name_anchors(sorted(names)))
    return _joined((*always, *assigned)).search
