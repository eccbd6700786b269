"""
What people correct: fields, commits, and runs that are to go.

Each edit is a record of the journal, so it outlives every rebuild of the database. Edits of one run
come one after the other: what an edit was based on is what it says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from telemetry.model.run import Status
from telemetry.service.answers import json_answer
from telemetry.service.bodies import KEYS, PATCHABLE
from telemetry.service.checks import check, parse
from telemetry.service.operations import PREFIX, Operation
from telemetry.service.problems import FieldError, Problem, invalid, not_found
from telemetry.service.rendering import etag
from telemetry.service.writing import EDITED

if TYPE_CHECKING:
    from starlette.requests import Request

    from telemetry.service.answers import Answer
    from telemetry.service.state import Service

_encode = msgspec.json.Encoder().encode
_RUNNING = Status.RUNNING.value


async def update_run(service: Service, request: Request) -> Answer:
    """
    Set what a person corrects; null clears.
    """
    event_id = request.path_params["event_id"]
    said = _said(parse(await request.body()))
    async with service.turns.of(event_id):
        row = await _found(service, event_id)
        _check_match(request, row)
        is_running = row["status"] == _RUNNING
        about: dict[str, Any] = {"base_status": row["status"]}
        if not is_running:
            about["force"] = True
        fields = service.settler.fields(PATCHABLE, said)
        write(service, EDITED, row, {**about, **fields})
        new = await _found(service, event_id)
    return json_answer(
        {"event_id": event_id, "updated": True, "fields_updated": list(said)},
        headers={"ETag": etag(new)},
    )


def _said(document: Any) -> dict[str, Any]:
    """
    Return what a body sets.

    Raises:
        Problem: A value cannot be taken, or nothing is set.
    """
    checked = check(document, PATCHABLE, ())
    if "status" in checked.values and checked.values["status"] is None:
        checked.errors.append(
            FieldError(
                loc=("body", "status"),
                rule="must have a value",
                way_out="leave it out to keep it",
                type="missing",
            )
        )
    if checked.errors:
        raise invalid(checked.errors)
    if not checked.values:
        names = ", ".join(PATCHABLE)
        raise Problem(
            "nothing-to-update", 400, "Nothing to update", f"No valid fields to update; use {names}"
        )
    return checked.values


async def _found(service: Service, event_id: str) -> dict[str, Any]:
    row = await service.read(service.store.run, event_id)
    if row is None:
        raise not_found(event_id)
    return row


def _check_match(request: Request, row: dict[str, Any]) -> None:
    """
    Refuse an edit of a run that is not any more what the editor saw.
    """
    wanted = ",".join(request.headers.getlist("if-match"))
    if not wanted or wanted.strip() == "*":
        return
    now = etag(row)
    if now not in [one.strip() for one in wanted.split(",")]:
        raise Problem(
            "precondition-failed",
            412,
            "The run has changed",
            "The run is not any more as If-Match says; read it again and decide anew",
            headers={"ETag": now},
        )


def write(service: Service, kind: str, row: dict[str, Any], fields: dict[str, Any]) -> None:
    """
    Record something about a run that is known.
    """
    keys = {name: row[name] for name in KEYS}
    body = _encode({**keys, **fields})[1:-1]
    service.barrier.wrote(service.writer.record(kind, [body]), [row["event_id"]])


OPERATIONS = (
    Operation(
        method="PATCH",
        path=f"{PREFIX}/runs/{{event_id}}",
        handler=update_run,
        tag="edits",
        summary="Correct a run",
    ),
)
