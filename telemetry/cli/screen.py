"""
Where a command writes its answer, and what that place can show.

Colours only on a terminal (or where FORCE_COLOR asks for them), signs beyond ASCII only where the
encoding has them, lines cut only to a terminal's width. A reader that goes away ends the command
quietly.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Optional, TextIO

import click

from telemetry.cli.exits import Exit, fail
from telemetry.cli.text import visible, visible_json

#: Styles by what they mean.
_STYLES: Mapping[str, Mapping[str, Any]] = {
    "title": {"bold": True},
    "head": {"dim": True},
    "faint": {"dim": True},
    "name": {"fg": "cyan"},
    "good": {"fg": "green"},
    "bad": {"fg": "red"},
    "dead": {"fg": "red", "bold": True},
    "warn": {"fg": "yellow"},
    "busy": {"fg": "blue"},
}
_PLAIN_SIGNS: Mapping[str, str] = {
    "✓": "+", "✗": "x", "◐": "~", "●": "*", "⊘": "-", "◷": "!", "†": "x",
    "├─ ": "|- ", "└─ ": "`- ", "│  ": "|  ", "→": "->", "·": "-", "█": "#", "░": ".", "…": "~",
    "─": "-",
}  # fmt: skip


class OutputClosedError(Exception):
    """
    Whoever read the output has gone, as ``head`` does; nothing more can be said.
    """


@contextmanager
def taken_by_output() -> Iterator[None]:
    """
    Tell what standard output does not take from all else that may fail.

    Raises:
        OutputClosedError: Nobody reads any more.
        CommandError: It takes nothing, as on a full disk.
    """
    try:
        yield
    except BrokenPipeError as error:
        raise OutputClosedError from error
    except OSError as error:
        reason = error.strerror or str(error)
        discard_output()
        fail(
            f"standard output must take the answer ({reason}); write it elsewhere",
            Exit.UNAVAILABLE,
        )


def discard_output() -> None:
    """
    Let what is still buffered go nowhere, instead of failing again when the interpreter ends.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def color_wanted(stream: Optional[TextIO] = None) -> bool:
    """
    Return whether a stream, standard output if not given, is to be coloured.
    """
    stream = sys.stdout if stream is None else stream
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in {"", "0", "false"}:
        return True
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def is_terminal(stream: Optional[TextIO]) -> bool:
    """
    Return whether a stream is a terminal; a closed or missing one is not.
    """
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


class Screen:
    """
    Standard output, and standard error for what is not the answer.
    """

    def __init__(self, *, color: bool) -> None:
        self.color = color
        self.terminal = is_terminal(sys.stdout)
        encoding = getattr(sys.stdout, "encoding", None) or "ascii"
        self.unicode = encoding.lower().replace("-", "").startswith("utf")

    @property
    def width(self) -> Optional[int]:
        """
        Return how many columns a line may take; None where nobody counts them.
        """
        if not self.terminal:
            return None
        import shutil

        return max(20, shutil.get_terminal_size((80, 24)).columns)

    def style(self, text: str, style: str) -> str:
        """
        Return a text in the style of what it means.
        """
        return click.style(text, **_STYLES[style]) if self.color and style and text else text

    def sign(self, sign: str) -> str:
        """
        Return a sign as this screen can show it.
        """
        return sign if self.unicode else _PLAIN_SIGNS.get(sign, sign)

    def mark(self, sign: str, style: str) -> str:
        """
        Return a sign in the style of what it means, for the beginning of a line.
        """
        return self.style(self.sign(sign), style)

    def line(self, text: str = "") -> None:
        """
        Write one line, which must be safe already.
        """
        self.lines([text])

    def lines(self, lines: list[str]) -> None:
        """
        Write lines at once.

        Raises:
            OutputClosedError: Nobody reads any more.
            CommandError: Standard output cannot be written.
        """
        with taken_by_output():
            click.echo("\n".join(lines), color=self.color)

    def json(self, document: Any) -> None:
        """
        Write a JSON document.
        """
        import json

        text = json.dumps(document, ensure_ascii=not self.unicode, default=str, indent=2)
        self.lines([visible_json(text)])

    def note(self, text: str) -> None:
        """
        Say something beside the answer, on standard error.
        """
        _complain(visible(text))

    def warn(self, text: str) -> None:
        """
        Say on standard error that something is not as it should be.
        """
        _complain(f"{_mark('warning', 'yellow')} {visible(text)}")

    @staticmethod
    def error(text: str) -> None:
        """
        Say on standard error why the command ends.
        """
        _complain(f"{_mark('error', 'red')} {visible(text)}")


def _mark(word: str, color: str) -> str:
    wanted = color_wanted(sys.stderr)
    return click.style(f"{word}:", fg=color, bold=True) if wanted else f"{word}:"


def _complain(text: str) -> None:
    # A closed standard error must not turn an answer into a failure.
    try:
        click.echo(text, err=True, color=color_wanted(sys.stderr))
    except (OSError, ValueError):
        return
