"""
Syncs on the caller's thread, for those who asked for them by ``TELEMETRY_FSYNC``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from telemetry.model.records import FORMAT_VERSION
from telemetry.runtime.notices import notice

if TYPE_CHECKING:
    from telemetry.sinks import Journal

#: How the line of a run's end begins.
_ENDED = b'{"lt":%d,"record_type":"run","change":"ended",' % FORMAT_VERSION
#: The lines after which a policy syncs before the call returns, by their beginnings.
_SYNCED_LINES = {"always": b"", "run_end": _ENDED}


def appending(journal: Journal, policy: str) -> Callable[[bytes, int], bool]:
    """
    Return the journal's `append`, with a sync behind the lines that the policy names.

    A sync that fails is said and not felt: the line is written, and the process goes on.
    """
    beginning = _SYNCED_LINES.get(policy)
    if beginning is None:
        return journal.append

    def append(line: bytes, second: int, /) -> bool:
        if not journal.append(line, second):
            return False
        if line.startswith(beginning):
            try:
                journal.sync()
            except OSError as error:
                notice(
                    "sync",
                    f"the journal must reach the disk ({error}); a power cut may take records",
                )
        return True

    return append
