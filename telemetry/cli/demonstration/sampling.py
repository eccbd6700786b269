"""
Which files the demo reads: some of every directory, never more than it was told.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

#: Entries looked at, so that a demo of a whole disk ends.
MAX_SEEN_FILES = 50_000
_LEFT_OUT = frozenset({"__pycache__", "site-packages", "dist-packages", "node_modules", "venv"})
#: Stands for the files that lie in the folder itself.
TOP = "(top)"


@attrs.frozen
class Sample:
    """
    Files to read, by the top folder they lie in, both in order of their names.
    """

    root: Path
    folders: Mapping[str, tuple[Path, ...]]
    #: Files that were seen, chosen or not.
    seen_count: int
    #: Whether there may be more files than were looked at.
    is_cut: bool

    @property
    def chosen_count(self) -> int:
        """
        Return how many files will be read.
        """
        return sum(map(len, self.folders.values()))


def choose(root: Path, limit: int) -> Sample:
    """
    Return at most so many files below a folder: the first of each directory, then the second...

    Hidden directories, installed packages and caches are left out; links are not followed.
    """
    waiting: deque[deque[Path]] = deque()
    seen = 0
    for files in _directories(root):
        seen += len(files)
        waiting.append(deque(files))
        if seen >= MAX_SEEN_FILES:
            break
    chosen = sorted(_in_turn(waiting, limit))
    folders: dict[str, list[Path]] = {}
    for path in chosen:
        folders.setdefault(_top(root, path), []).append(path)
    ordered = {name: tuple(folders[name]) for name in sorted(folders)}
    return Sample(root, ordered, seen, seen >= MAX_SEEN_FILES)


def _directories(root: Path) -> Iterator[list[Path]]:
    for place, directories, names in os.walk(root):
        directories[:] = sorted(d for d in directories if d not in _LEFT_OUT and d[0] != ".")
        files = [Path(place, name) for name in sorted(names) if name[0] != "."]
        regular = [path for path in files if path.is_file() and not path.is_symlink()]
        if regular:
            yield regular


def _in_turn(waiting: deque[deque[Path]], limit: int) -> Iterator[Path]:
    while waiting and limit > 0:
        files = waiting.popleft()
        yield files.popleft()
        limit -= 1
        if files:
            waiting.append(files)


def _top(root: Path, path: Path) -> str:
    parts = path.relative_to(root).parts
    return parts[0] if len(parts) > 1 else TOP
