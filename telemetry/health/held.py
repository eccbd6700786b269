"""
Which locks are held, and by whom.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from telemetry.health.results import Check, Detail, Outcome, Result
from telemetry.model.words import several, span
from telemetry.runtime.alive import LOCK_NAME, lock_path
from telemetry.runtime.leadership import LEASE_S
from telemetry.runtime.locks import holders

if TYPE_CHECKING:
    from telemetry.health.scene import Scene

_COMMAND_CHARS = 120
_ROLES = {0: "drains", 1: "stands in", 2: "is preferred"}


def locks(scene: Scene) -> Iterator[Result]:
    """
    Name the processes that hold locks; one that drains and shows nothing is a warning.
    """
    alive = lock_path(scene.config.ndjson_dir)
    elsewhere = [alive] if alive.exists() else []
    details: list[Detail] = []
    for path in sorted({*scene.config.state_dir.resolve().glob("*.lock"), *elsewhere}):
        held = holders(path)
        details += _named(path, held)
        drains = any(offset == 0 for offset, _ in held) and path.name.startswith("drain-")
        silent_s = time.time() - path.stat().st_mtime
        if drains and abs(silent_s) > LEASE_S:
            yield Result(
                name="locks",
                subject=path.stem,
                outcome=Outcome.WARNING,
                sentence=f"process {held[0][1]} drains {path.stem[6:]} and has shown nothing for"
                f" {span(abs(silent_s))}",
                way_out="others pass it by; end it if it hangs: its lock ends with it",
            )
    yield Result(
        name="locks",
        outcome=Outcome.OK,
        sentence=f"{several(len(details), 'lock')} held",
        details=tuple(details),
    )


def _named(path: Path, held: list[tuple[int, int]]) -> Iterator[Detail]:
    if path.name == LOCK_NAME:
        for pid in sorted({pid for _, pid in held}):
            yield Detail(name=path.name, actual=f"{process(pid)} records")
    else:
        for offset, pid in held:
            role = _ROLES.get(offset, "holds it") if path.name.startswith("drain-") else "holds it"
            yield Detail(name=path.name, actual=f"{process(pid)} {role}")


def process(pid: int) -> str:
    """
    Return a process in words, with its command line where the system shows it.
    """
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").strip()
    except OSError:
        return f"process {pid}"
    text = command.decode("utf-8", "replace")[:_COMMAND_CHARS]
    return f"process {pid} ({text})" if text else f"process {pid}"


CHECKS = (Check(name="locks", run=locks),)
