from __future__ import annotations

import pytest

from telemetry.cli.findings import lines_of, verdict_of
from telemetry.cli.screen import Screen
from telemetry.health import Outcome, Result

PLACE = "/a/path/that/is/there/to/be/copied/and/never/cut"
RESULTS = [
    Result(
        name="write",
        outcome=Outcome.FINDING,
        sentence=f"{PLACE} must take a file, and the system says that it is read-only",
        way_out="make room on the disk, or name another base directory; telemetry doctor says more",
    ),
    Result(name="dead_letters", outcome=Outcome.OK, sentence="no sink refused a record"),
]


class Sized(Screen):
    """
    A screen of a width.
    """

    def __init__(self, width):
        super().__init__(color=False)
        self.unicode = False
        self._width = width

    @property
    def width(self):
        return self._width


@pytest.mark.parametrize("width", [70, 80, 100])
def test_sentences_are_wrapped_below_themselves(width):
    """
    On a terminal each sentence goes on below its beginning, and no line is wider than the terminal.
    """
    lines = lines_of(Sized(width), RESULTS)

    assert max(map(len, lines)) <= width
    assert lines[0].startswith("x write         /a/path")
    assert all(line.startswith(("x ", "+ ", " " * 16)) for line in lines)
    assert all(len(line) <= width for line in verdict_of(Sized(width), RESULTS, PLACE).split("\n"))


def test_paths_stay_whole():
    """
    What is there to be copied is not cut, however narrow the terminal is.
    """
    assert any(line.endswith(PLACE) for line in lines_of(Sized(40), RESULTS))


def test_nothing_is_wrapped_for_programs():
    """
    Where no terminal counts columns, each sentence is one line.
    """
    lines = lines_of(Sized(None), RESULTS)

    assert [line.split()[0] for line in lines] == ["x", "->", "+"]
