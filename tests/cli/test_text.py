from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.cli.text import pad, shorten, visible, visible_json, visible_lines, width_of


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("日本 ✓ é", "日本 ✓ é"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x9b2J", "\\x9b2J"),
        ("\u202eabc", "\\u202eabc"),
        ("\u2028", "\\u2028"),
        ("\ud800", "\\ud800"),
        ("\x00\x7f", "\\x00\\x7f"),
        (7, "7"),
    ],
)
def test_visible_shows_controls_as_escapes(text, shown):
    """
    Whatever could move a cursor or turn a line becomes a visible escape; letters stay.
    """
    assert visible(text) == shown


@given(st.text(st.characters(exclude_categories=[])))
def test_visible_leaves_no_control(text):
    """
    No text at all brings a control character through.
    """
    forbidden = {*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), "\u202e", "\u2066", "\u2028"}

    assert not forbidden & set(visible(text))


def test_visible_lines_keeps_lines_and_nothing_else():
    """
    A traceback keeps its lines; tabs become spaces and other controls escapes.
    """
    assert visible_lines("a\r\n\tb\x1b[0m\n") == ["a", "    b\\x1b[0m"]


@given(st.dictionaries(st.text(), st.text()))
def test_visible_json_means_the_same(document):
    """
    JSON made safe for a terminal is the same JSON, and has no control but line ends.
    """
    text = visible_json(json.dumps(document, ensure_ascii=False, indent=2))

    assert json.loads(text) == document
    assert not {*map(chr, range(32)), "\x9b", "\u202e"} - {"\n"} & set(text)


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 4, "abc…"),
        ("日本語", 4, "日…"),
        ("abc", 0, ""),
        ("", 3, ""),
    ],
)
def test_shorten_keeps_to_the_columns_of_a_terminal(text, width, short):
    """
    Wide characters take two columns; what is cut ends with an ellipsis.
    """
    assert shorten(text, width) == short


@given(st.text(), st.integers(0, 30))
def test_shorten_never_exceeds_the_width(text, width):
    """
    No text is wider than it was told to be.
    """
    assert width_of(shorten(visible(text), width)) <= width


def test_pad_fills_to_either_side():
    """
    Numbers stand at the right, texts at the left, by columns and not by characters.
    """
    assert (pad("ab", 4), pad("ab", 4, right=True), pad("日", 4)) == ("ab  ", "  ab", "日  ")
