"""
Text for a spreadsheet that no spreadsheet takes for a formula.

Agents record what others wrote, so any text may begin with what Excel, LibreOffice or Sheets would
run. Such a text gets a quote before it. The rule goes beyond the beginning of a cell: a program
that expects semicolons or tabs cuts a comma file's lines elsewhere, so what follows one of these
inside a text counts as a beginning too. `unguarded` gives back exactly what `guarded` was given.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from typing import Any

#: The signs that begin a formula, with their wide, small, raised and lowered forms.
_SIGNS = (
    "=+\\-@"
    "\uff1d\uff0b\uff0d\uff20"
    "\ufe66\ufe62\ufe63\ufe6b"
    "\u207a\u208a\u207b\u208b\u207c\u208c\u2212\ufb29"
)
#: What programs may pass over before them: quotes, blanks, controls, marks without a width. None of
#: the signs that a cell may be cut at, so that each stretch of it is looked at once.
_PASSED = (
    "'\"\x00-\x08\x0b\x0c\x0e-\x20\x7f-\xa0\xad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u3000\ufeff\ufff9-\ufffb"
)
_CUTS = ";\t\r\n"
_FIRST = rf"(?=[{_PASSED}]*[{_SIGNS}\t\r\n])"
_LATER = rf"(?<=[{_CUTS}])"
_BEGINS = rf"(?=[{_PASSED}]*[{_SIGNS}])"
_DANGER = re.compile(rf"\A{_FIRST}|{_LATER}{_BEGINS}")
_GUARD = re.compile(rf"\A'{_FIRST}|{_LATER}'{_BEGINS}")
#: What most texts are, seen at once: they begin with a letter or a digit and are never cut.
_is_plain = re.compile(rf"[A-Za-z0-9][^{_CUTS}\x00]*").fullmatch
#: NUL has no place in a CSV file (RFC 4180, section 2): spreadsheets and older readers refuse it.
_NUL, _NUL_SHOWN = "\x00", "\u2400"
_CRLF = "\r\n"


def guarded(text: str) -> str:
    """
    Return a text with a quote wherever a spreadsheet could begin a formula.
    """
    return text if _is_plain(text) else _DANGER.sub("'", text)


def unguarded(text: str) -> str:
    """
    Return the text that was guarded.
    """
    return _GUARD.sub("", text) if "'" in text else text


def csv_text(rows: Iterable[Sequence[Any]], *, guarded: bool) -> str:
    """
    Return rows as CSV, a newline behind each; null is an empty cell, NUL its picture (U+2400).
    """
    lines = _Lines()
    # Before Python 3.13 only signs of the line's own end make the writer quote a cell.
    writer = csv.writer(lines, lineterminator=_CRLF)
    shown = _guarded_cell if guarded else _cell
    writer.writerows(
        [cell if not isinstance(cell, str) or _is_plain(cell) else shown(cell) for cell in row]
        for row in rows
    )
    return "".join(lines)


class _Lines(list[str]):
    """
    A file for the writer, whose lines end in a newline alone.
    """

    def write(self, line: str) -> None:
        self.append(line[: -len(_CRLF)] + "\n")


def _cell(text: str) -> str:
    return text.replace(_NUL, _NUL_SHOWN)


def _guarded_cell(text: str) -> str:
    return _DANGER.sub("'", _cell(text))
