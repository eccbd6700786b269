"""
From where on a sink posts: ``state/posts/<sink>.begin.json``.

Whoever names a webhook for the first time wants to hear of the runs that end from then on, not of
all that the journal has. So the first process that has the sink writes down how long the journal is
then; what lies before that place is passed over, until somebody asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import msgspec

from telemetry.model.records import DECODE_ERRORS
from telemetry.model.values import time_text
from telemetry.storage.appendfile import make_private_directory, open_private

if TYPE_CHECKING:
    from pathlib import Path

_FLAGS = os.O_WRONLY | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0)
_FLAGS |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class Beginning(msgspec.Struct, frozen=True):
    """
    A moment, and how long each segment of the journal was then.
    """

    #: Empty for the beginning of all.
    since: str = ""
    segments: Mapping[str, int] = msgspec.field(default_factory=dict)


#: Nothing is passed over.
ALL = Beginning()
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Beginning).decode


def beginning_path(state_dir: Path, sink: str) -> Path:
    """
    Return where a sink's beginning is written down.
    """
    return state_dir / "posts" / f"{sink}.begin.json"


def read_beginning(state_dir: Path, sink: str) -> Beginning:
    """
    Return from where on a sink posts; everything, where nothing says otherwise.
    """
    try:
        return _decode(beginning_path(state_dir, sink).read_bytes())
    except (OSError, *DECODE_ERRORS):
        return ALL


def begin_now(state_dir: Path, sink: str, segments: Mapping[str, int]) -> Beginning:
    """
    Have a sink begin here, unless it has begun before.

    Args:
        segments: How long each segment of the journal is.

    Raises:
        OSError: It cannot be written down.
    """
    path = beginning_path(state_dir, sink)
    has_begun = path.exists() or (state_dir / "cursors" / f"{sink}.json").exists()
    if has_begun:
        return read_beginning(state_dir, sink)
    found = Beginning(time_text(datetime.now(timezone.utc)), dict(segments))
    make_private_directory(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    fd = open_private(temporary, _FLAGS)
    try:
        os.write(fd, _encode(found))
    finally:
        os.close(fd)
    # Two processes that are the first wrote nearly the same.
    temporary.replace(path)
    return found
