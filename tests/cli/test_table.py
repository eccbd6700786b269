from __future__ import annotations

import pytest

from telemetry.cli.screen import Screen
from telemetry.cli.table import Cell, TableColumn, draw
from telemetry.cli.text import width_of

COLUMNS = (
    TableColumn(title="NAME", least=6),
    TableColumn(title="COUNT", right=True),
    TableColumn(title="NOTE", least=8, leaves=1),
    TableColumn(title="MORE", leaves=0),
)
ROWS = [
    [Cell("a" * 20), Cell(1), Cell("n" * 40), Cell("m" * 10)],
    [Cell("日本"), Cell(1234), Cell(""), Cell("")],
]


class Sized(Screen):
    """
    A screen of a width.
    """

    def __init__(self, width):
        super().__init__(color=False)
        self._width = width

    @property
    def width(self):
        return self._width


def test_a_table_without_a_width_is_whole():
    """
    Where nobody counts columns nothing is cut, and numbers stand at the right.
    """
    lines = draw(Sized(None), COLUMNS, ROWS)

    assert lines[0].split() == ["NAME", "COUNT", "NOTE", "MORE"]
    assert lines[1].split() == ["a" * 20, "1", "n" * 40, "m" * 10]
    assert lines[2] == "日本" + " " * 16 + "   1234"


@pytest.mark.parametrize("width", range(20, 100))
def test_a_table_fits(width):
    """
    No line is wider than the terminal.
    """
    assert max(map(width_of, draw(Sized(width), COLUMNS, ROWS))) <= width


def test_columns_leave_by_rank():
    """
    What does not fit at its smallest leaves, the least important column first.
    """
    assert draw(Sized(30), COLUMNS, ROWS)[0].split() == ["NAME", "COUNT", "NOTE"]
    assert draw(Sized(20), COLUMNS, ROWS)[0].split() == ["NAME", "COUNT"]


def test_a_column_without_values_is_left_out():
    """
    A column that says nothing takes no space.
    """
    rows = [[Cell("a"), Cell(1), Cell(""), Cell("")]]

    assert draw(Sized(None), COLUMNS, rows)[0].split() == ["NAME", "COUNT"]


def test_a_table_without_rows_has_its_heading():
    """
    An empty list still says what it would list.
    """
    assert draw(Sized(None), COLUMNS, []) == ["NAME  COUNT  NOTE  MORE"]


def test_a_column_is_cut_below_its_least_before_the_edge_is_crossed():
    """
    A terminal narrower than what should be kept gets less of it, never a broken line.
    """
    lines = draw(Sized(14), COLUMNS, ROWS)

    assert max(map(width_of, lines)) <= 14
    assert lines[1].startswith("aaaaaa…")
