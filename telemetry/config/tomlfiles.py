"""
TOML files that people write: the rules of a gate, of retention, of the health checks.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from telemetry.model.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE_BYTES = 1 << 20


def read_toml(path: Path) -> dict[str, Any]:
    """
    Return what a TOML file says.

    Raises:
        UsageError: It is no TOML, or longer than `MAX_FILE_BYTES`.
        OSError: It cannot be read.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise UsageError(f"the file {path} must have at most {MAX_FILE_BYTES:,} bytes")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the file {path} must be TOML ({error})") from error


def read_table(path: Path, name: str) -> dict[str, Any]:
    """
    Return what a TOML file says in the table of that name, or outside of any where it has none.

    Raises:
        UsageError: It is no such file.
        OSError: It cannot be read.
    """
    document = read_toml(path)
    said = document.get(name, document)
    if not isinstance(said, dict):
        raise UsageError(f"the file {path} must have a table [{name}] (got {said!r:.80})")
    return said
