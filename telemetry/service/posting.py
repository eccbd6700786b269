"""
Runs that are handed over: which are new, which are known, and what a repeat still adds.

Invariant: between the look whether a run is known and the write there is no other code of the loop;
so of two that hand over one id, one creates it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

import msgspec

from telemetry.model.run import Status
from telemetry.service.bodies import is_final, outcome, status_in
from telemetry.service.writing import RECORDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telemetry.service.checks import Ignored
    from telemetry.service.state import Service

CREATED = "created"
DUPLICATE = "duplicate"
_RUNNING = Status.RUNNING.value


class Posted(msgspec.Struct, eq=False, gc=False):
    """
    One run that is handed over, and what became of it.

    What was decoded of it is not kept: of many runs that would be a lot of memory, and memory that
    is used again at once is the quickest.
    """

    event_id: str
    run_id: str
    #: The inside of its line, from `telemetry.service.bodies.Settler`.
    said: bytes
    ignored: Sequence[Ignored] = ()
    status: str = ""
    #: Whether a repeat brought the outcome that the stored run did not have yet of its agent.
    is_outcome_taken: bool = False
    was_deleted: bool = False


async def post(service: Service, items: Sequence[Posted]) -> None:
    """
    Record runs that are new, and outcomes that are; say of each item what became of it.

    Raises:
        Problem: Nothing can be recorded now.
        JournalError: The journal did not take it.
    """
    barrier = service.barrier
    barrier.check_room()
    waiting: Sequence[Posted] = items
    while waiting:
        if barrier.awaits_others():
            await barrier.wait()
        waiting = _post_some(service, waiting)
        if waiting:
            await barrier.wait()


def _post_some(service: Service, items: Sequence[Posted]) -> Sequence[Posted]:
    """
    Record what can be decided now, and return the items of runs that are on their way.
    """
    if _are_all_new(service, items):
        return []
    later: list[Posted] = []
    groups: dict[str, list[Posted]] = {}
    for item in items:
        event_id = item.event_id
        if service.barrier.is_pending(event_id):
            later.append(item)
        else:
            groups.setdefault(event_id, []).append(item)
    if not groups:
        return later
    known = service.known(groups)
    ended = [one for one, found in known.items() if found.status not in ("", _RUNNING)]
    concluded = service.concluded(ended)
    lines: dict[str, bytes] = {}
    for event_id, group in groups.items():
        for at, item in enumerate(group, 1):
            line = _decide(item, known.get(event_id), is_concluded=event_id in concluded)
            if line:
                lines[event_id] = line
                later += group[at:]
                break
    if lines:
        service.barrier.wrote(service.writer.record(RECORDED, list(lines.values())), lines)
    return later


def _are_all_new(service: Service, items: Sequence[Posted]) -> bool:
    """
    Record runs that are all new and all different, as they nearly always are; False if not.
    """
    by_id = {item.event_id: item for item in items}
    if len(by_id) != len(items) or service.barrier.are_pending(by_id):
        return False
    if service.known(by_id):
        return False
    written = service.writer.record(RECORDED, [item.said for item in items])
    service.barrier.wrote(written, by_id)
    for item in items:
        item.status = CREATED
    return True


def _decide(item: Posted, known: Optional[Any], *, is_concluded: bool) -> bytes:
    """
    Return what must be written of an item; nothing of one that says nothing new.

    Args:
        is_concluded: Whether the run has only been taken for ended.
    """
    if known is None:
        item.status = CREATED
        return item.said
    item.status = DUPLICATE
    item.was_deleted = known.deleted
    if (is_concluded or known.status == _RUNNING) and is_final(status_in(item.said)):
        item.is_outcome_taken = True
        return outcome(item.said)
    return b""
