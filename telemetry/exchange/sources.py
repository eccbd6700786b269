"""
What a source is, found by looking into it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Callable

import attrs

from telemetry.exchange.found import Found
from telemetry.exchange.lines import Advance, deleted_in_lines, open_source, read_ndjson
from telemetry.exchange.sheets import KEYS, read_csv, read_json
from telemetry.exchange.tables import deleted_in_tables, read_database
from telemetry.model.errors import UsageError

_JOURNAL = re.compile(r"events_\d{8}.*\.ndjson(\.gz)?", re.DOTALL)
_SQLITE = b"SQLite format 3\0"
_LOOKED_BYTES = 1 << 16
_FORMATS = "a base directory, a database, NDJSON, JSON or CSV"
#: Files of ours that only programs of others can read.
_ONE_WAY = {b"PK\x03\x04": "Excel", b"PAR1": "Parquet"}

Read = Callable[[Path, Advance], Iterator[Found]]


@attrs.frozen(kw_only=True)
class Source:
    """
    Files to be read one after the other, with what reads each.
    """

    path: Path
    kind: str
    parts: Sequence[tuple[Path, Read]]

    @property
    def size(self) -> int:
        """
        Return how many bytes there are to be read, roughly.
        """
        return sum(path.stat().st_size for path, _ in self.parts)

    def read(self, advance: Advance) -> Iterator[Found]:
        """
        Yield all that it holds.
        """
        for path, read in self.parts:
            yield from read(path, advance)

    def deleted(self) -> Iterator[str]:
        """
        Yield the keys of the runs that were deleted there.
        """
        for path, read in self.parts:
            if read is read_ndjson:
                yield from deleted_in_lines(path)
            elif read is read_database:
                yield from deleted_in_tables(path)


def open_path(path: Path) -> Source:
    """
    Return the source that a path is.

    Raises:
        UsageError: It is none.
        FileNotFoundError: There is nothing.
        OSError: It cannot be looked into.
    """
    if path.is_dir():
        return _directory(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} must exist to be imported; name {_FORMATS}")
    if not path.is_file():
        raise UsageError(f"{path} must be {_FORMATS} (got none of them); name another")
    _must_be_readable(path)
    kind, read = _file(path)
    return Source(path=path, kind=kind, parts=[(path, read)])


def _must_be_readable(path: Path) -> None:
    """
    Try to read a file, before anything of it or of another is brought in.

    Raises:
        OSError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise OSError(
            f"{path} must be readable to be imported (got {error.strerror or error});"
            " make it readable for this user, or name a copy without it"
        ) from error


def _directory(path: Path) -> Source:
    """
    Return a base directory as a source: its journal, then its database, which may know more.
    """
    journal = path / "raw" if (path / "raw").is_dir() else path
    lines = sorted(
        entry
        for entry in journal.iterdir()
        if _JOURNAL.fullmatch(entry.name) and (entry.is_file() or entry.is_symlink())
    )
    parts: list[tuple[Path, Read]] = [(line, read_ndjson) for line in lines]
    databases = (path / "db" / "telemetry.sqlite", path / "telemetry.sqlite")
    parts += [(each, read_database) for each in databases if _is_database(each)][:1]
    for part, _ in parts:
        _must_be_readable(part)
    if not parts:
        raise UsageError(
            f"directory {path} must hold raw/events_*.ndjson or db/telemetry.sqlite (got neither);"
            " name the base directory that was recorded into"
        )
    return Source(path=path, kind="base directory", parts=parts)


def _is_database(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _file(path: Path) -> tuple[str, Read]:
    with path.open("rb") as file:
        magic = file.read(len(_SQLITE))
    if magic == _SQLITE:
        return "database", read_database
    for beginning, name in _ONE_WAY.items():
        if magic.startswith(beginning):
            raise UsageError(
                f"{path} must be {_FORMATS} (got {name}); export it again as ndjson or csv"
            )
    with open_source(path) as file:
        beginning = file.read(_LOOKED_BYTES).lstrip(b"\xef\xbb\xbf \t\r\n")
    first = beginning.partition(b"\n")[0].strip()
    if beginning.startswith(b"["):
        return "JSON", read_json
    if beginning.startswith(b"{"):
        is_line = first.endswith(b"}") and not first.startswith(b'{"runs":')
        return ("NDJSON", read_ndjson) if is_line else ("JSON", read_json)
    if any(key.encode() in first for key in KEYS):
        return "CSV", read_csv
    if not beginning:
        raise UsageError(f"{path} must hold something to import (it is empty)")
    raise UsageError(f"{path} must be {_FORMATS}; it is none that is known")
