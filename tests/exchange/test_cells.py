from __future__ import annotations

import csv
import io
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telemetry.exchange.cells import csv_text, guarded, unguarded

#: Texts in which what begins a formula, what is passed over and what cuts cells are frequent.
SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20\ufe66 \t\r\n;,|'\"\u3000\u200b\ufeff\x00\x0ba1"
HOSTILE = st.text(alphabet=SIGNS, max_size=12)
TEXTS = st.one_of(HOSTILE, st.text(max_size=20))


def is_formula(cell: str) -> bool:
    """
    Say it as a spreadsheet might: blanks, quotes and marks passed over, wide signs taken as plain.
    """
    for sign in cell:
        if sign == "'" and cell.startswith("'"):
            return False
        if sign.isspace() or unicodedata.category(sign) in {"Cf", "Cc"} or sign == '"':
            continue
        return unicodedata.normalize("NFKC", sign) in set("=+-@")
    return False


@given(st.lists(TEXTS, min_size=1, max_size=4), st.sampled_from(",;\t"))
@example(["a;=1+1"], ";")
@example(["x\n=cmd|' /C calc'!A0"], ";")
@example(['";=1'], ";")
def test_no_cell_is_a_formula_however_the_file_is_cut(row, delimiter):
    """
    No text cell begins a formula, also for a program that expects another delimiter.
    """
    text = csv_text([row], guarded=True)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)

    assert not [cell for cells in rows for cell in cells if is_formula(cell)]
    assert not guarded(row[0]).startswith(("\t", "\r", "\n"))


@given(st.lists(TEXTS, min_size=1, max_size=4), st.booleans())
@example(["a\x00b"], False)
@example(["a\rb"], True)
def test_a_file_says_each_text(row, is_guarded):
    """
    Every text is read back from a file, a NUL as its picture.
    """
    (cells,) = csv.reader(io.StringIO(csv_text([row], guarded=is_guarded), newline=""))
    texts = [unguarded(cell) if is_guarded else cell for cell in cells]

    assert texts == [text.replace("\x00", "\u2400") for text in row]


@given(TEXTS)
def test_guarding_can_be_undone(text):
    """
    What was guarded is given back exactly; what was not is never taken for it.
    """
    assert unguarded(guarded(text)) == text


@given(st.lists(st.one_of(st.integers(), st.floats(allow_nan=False)), min_size=1, max_size=5))
def test_numbers_stay_numbers(row):
    """
    A number is written as it is, its sign too.
    """
    cells = next(csv.reader([csv_text([row], guarded=True)]))

    assert [type(value)(cell) for value, cell in zip(row, cells)] == row


@pytest.mark.parametrize(
    "text", ["plain", "a=b", "1-2", "x@y.example", "it's", "", "3 = 3", "a, -b", "'quoted'"]
)
def test_harmless_text_is_left_alone(text):
    """
    A text that no spreadsheet runs is not changed.
    """
    assert guarded(text) == text


@pytest.mark.parametrize("text", ["=1", " +1", "-1", "@x", "\tx", "\rx", "\nx", "\uff1d1", "'=1"])
def test_what_begins_a_formula_is_quoted(text):
    """
    Each of the signs on the OWASP list, its wide form, and one behind a quote gets a quote.
    """
    assert guarded(text) == f"'{text}" or guarded(text).startswith("'")


@pytest.mark.parametrize("piece", [" ", "\n", "; ", "'", "\u200b", "\t ", ";'"])
def test_a_long_text_is_looked_at_once(piece):
    """
    Megabytes of what is passed over are looked at once, not once from each of their places.
    """
    text = piece * (2_000_000 // len(piece))

    assert unguarded(guarded(text)) == text
