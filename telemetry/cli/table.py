"""
Tables: aligned columns that fit a terminal, or stay whole where nobody counts columns.

A terminal too narrow drops columns, the least important first, and then cuts the flexible ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

# Named tuples, not attrs: a list of runs is drawn before that could be imported.
from telemetry.cli.text import pad, shorten, visible, width_of

if TYPE_CHECKING:
    from telemetry.cli.screen import Screen

GAP = "  "
#: What a column that may be cut keeps on the narrowest of terminals.
_BARELY = 4


class Cell:
    """
    A text, made safe, and the style of what it means.
    """

    __slots__ = ("style", "text")

    def __init__(self, value: Any, style: str = "") -> None:
        self.text = visible(value)
        self.style = style


class TableColumn(NamedTuple):
    """
    A column: its heading, and how it behaves when space is short.
    """

    title: str
    right: bool = False
    #: Width that it should keep; None where it must not be cut.
    least: Optional[int] = None
    #: Order in which columns leave a narrow terminal, lowest first; None to stay.
    leaves: Optional[int] = None
    style: str = ""


def draw(
    screen: Screen, columns: Sequence[TableColumn], rows: Sequence[Sequence[Cell]]
) -> list[str]:
    """
    Return the table's lines, with its heading.
    """
    kept = [i for i in range(len(columns)) if any(row[i].text for row in rows) or not rows]
    widths = {
        i: max([width_of(columns[i].title), *(width_of(r[i].text) for r in rows)]) for i in kept
    }
    if screen.width is not None:
        widths = _fit(columns, widths, screen.width)
    heading = [Cell(columns[i].title, "head") for i in range(len(columns))]
    return [_line(screen, columns, widths, cells) for cells in [heading, *rows]]


def _line(
    screen: Screen,
    columns: Sequence[TableColumn],
    widths: dict[int, int],
    cells: Sequence[Cell],
) -> str:
    parts = []
    last = max(widths, default=0)
    for i, width in widths.items():
        text = shorten(cells[i].text, width)
        filled = (
            text if i == last and not columns[i].right else pad(text, width, right=columns[i].right)
        )
        parts.append(screen.style(filled, cells[i].style or columns[i].style))
    return GAP.join(parts).rstrip()


def _fit(columns: Sequence[TableColumn], widths: dict[int, int], available: int) -> dict[int, int]:
    """
    Return widths that fit: columns left out by rank, then flexible ones cut, the widest first.

    Where not even that is enough, flexible columns are cut below their least.
    """
    widths = dict(widths)
    for i in _leaving(columns, widths):
        if _narrowest(columns, widths) <= available:
            break
        del widths[i]
    least = {i: columns[i].least or width for i, width in widths.items()}
    barely = {i: min(least[i], _BARELY) if columns[i].least else least[i] for i in widths}
    return _cut(_cut(widths, least, available), barely, available)


def _cut(widths: dict[int, int], least: dict[int, int], available: int) -> dict[int, int]:
    """
    Return widths cut, the widest first, until they fit or are at their least.
    """
    widths = dict(widths)
    for _ in range(_total(widths) - available):
        flexible = [i for i, width in widths.items() if width > least[i]]
        if not flexible:
            break
        widths[max(flexible, key=widths.__getitem__)] -= 1
    return widths


def _leaving(columns: Sequence[TableColumn], widths: dict[int, int]) -> list[int]:
    ranked = [(columns[i].leaves, i) for i in widths]
    return [i for leaves, i in sorted((rank, i) for rank, i in ranked if rank is not None)]


def _narrowest(columns: Sequence[TableColumn], widths: dict[int, int]) -> int:
    return _total({i: min(width, columns[i].least or width) for i, width in widths.items()})


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + len(GAP) * max(0, len(widths) - 1)
