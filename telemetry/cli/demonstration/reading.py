"""
What the demo does with one file: parse it if it is Python, else count its lines.
"""

from __future__ import annotations

import ast
import warnings
from typing import TYPE_CHECKING, Any, Optional

import attrs

if TYPE_CHECKING:
    from pathlib import Path

#: Larger files are skipped: parsing one could take the demo's whole time.
MAX_FILE_BYTES = 1_000_000
_PYTHON = frozenset({".py", ".pyi"})
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_IMPORTS = (ast.Import, ast.ImportFrom)


@attrs.frozen
class Counts:
    """
    What was found in files. Two of them add up.
    """

    lines: int = 0
    functions: int = 0
    classes: int = 0
    imports: int = 0

    def __add__(self, other: Counts) -> Counts:
        mine, theirs = attrs.astuple(self), attrs.astuple(other)
        return Counts(*(a + b for a, b in zip(mine, theirs)))

    def as_dict(self) -> dict[str, Any]:
        """
        Return the counts by name, for ``metrics_json``.
        """
        return attrs.asdict(self)


def read_file(path: Path) -> Optional[Counts]:
    """
    Return what a file holds; None for one that is skipped: too large, or not text.

    Raises:
        SyntaxError, UnicodeDecodeError, ValueError, RecursionError, MemoryError: It does not parse
            or does not decode.
        OSError: It cannot be read.
    """
    if path.stat().st_size > MAX_FILE_BYTES:
        return None
    content = path.read_bytes()
    if path.suffix in _PYTHON:
        return _read_python(content, path)
    if b"\0" in content:
        return None
    return Counts(lines=len(content.decode("utf-8").splitlines()))


def _read_python(content: bytes, path: Path) -> Counts:
    with warnings.catch_warnings():
        # Doubtful escapes in other people's code are not this program's to report.
        warnings.simplefilter("ignore")
        tree = ast.parse(content, str(path))
    nodes = list(ast.walk(tree))
    return Counts(
        lines=len(content.splitlines()),
        functions=sum(isinstance(node, _FUNCTIONS) for node in nodes),
        classes=sum(isinstance(node, ast.ClassDef) for node in nodes),
        imports=sum(isinstance(node, _IMPORTS) for node in nodes),
    )
