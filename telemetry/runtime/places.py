"""
Where to record when the chosen base directory cannot be written.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Optional

import attrs

from telemetry.runtime.notices import notice
from telemetry.storage.appendfile import make_private_directory

if TYPE_CHECKING:
    from telemetry.config import TelemetryConfig


def usable(config: TelemetryConfig) -> TelemetryConfig:
    """
    Return settings whose base directory can be written, with one notice where it is another one.

    The chain: what was configured, the user's state directory, a directory for temporary files.
    Where none can be written the settings stay, and records wait in memory.
    """
    problem = unusable(config.ndjson_dir)
    if problem is None:
        return config
    moved = next((base for base in _others() if unusable(base / "raw") is None), None)
    notice(
        "base_dir",
        f"base directory {config.base_dir} must be writable ({problem}); "
        + (f"recording into {moved} instead" if moved else "records wait in memory")
        + ", set TELEMETRY_BASE_DIR to a writable directory",
    )
    if moved is None:
        return config
    return attrs.evolve(
        config,
        base_dir=moved,
        ndjson_dir=moved / "raw",
        db_path=moved / "db" / "telemetry.sqlite",
    )


def unusable(directory: Path) -> Optional[str]:
    """
    Make a directory where it is missing, and say why it cannot be written; None where it can.
    """
    try:
        make_private(directory)
        return None if os.access(directory, os.W_OK | os.X_OK) else "no permission to write"
    except OSError as error:
        return error.strerror or str(error)


def make_private(directory: Path) -> None:
    """
    Make a directory and what is missing above it, for its owner alone whatever the umask.

    Raises:
        OSError: It cannot be made, or is no directory.
    """
    try:
        make_private_directory(directory)
    except FileExistsError:
        reason = "a file is in its place"
        raise NotADirectoryError(errno.ENOTDIR, reason, str(directory)) from None


def _others() -> Iterator[Path]:
    import platformdirs

    yield Path(platformdirs.user_state_dir("telemetry"))
    if hasattr(os, "getuid"):
        spool = Path(tempfile.gettempdir()) / f"telemetry-{os.getuid()}"
        # Anybody may make a directory of that name there; only our own is taken.
        if not spool.exists() or (not spool.is_symlink() and spool.stat().st_uid == os.getuid()):
            yield spool
