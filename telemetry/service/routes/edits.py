"""
What people correct: fields, commits, and runs that are to go.

Each edit is a record of the journal, so it outlives every rebuild of the database. Edits of one run
come one after the other: what an edit was based on is what it says.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from telemetry.model.codec import escape_marker
from telemetry.model.run import COLUMNS, Status
from telemetry.service.answers import json_answer
from telemetry.service.auth import ANONYMOUS, Principal
from telemetry.service.bodies import KEYS, PATCHABLE
from telemetry.service.checks import Checked, check, parse
from telemetry.service.matching import check_match
from telemetry.service.operations import PREFIX, Operation
from telemetry.service.problems import FieldError, Problem, invalid, not_found
from telemetry.service.rendering import etag
from telemetry.service.writing import COMMIT, DELETED, EDITED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from telemetry.model.run import Column
    from telemetry.service.answers import Answer
    from telemetry.service.state import Service

_encode = msgspec.json.Encoder().encode
_RUNNING = Status.RUNNING.value
_HASH = re.compile(r"[0-9a-fA-F]{7,40}")
#: What a body says of a commit: the columns of one, without what stands before each name.
COMMIT_FIELDS: Mapping[str, Column] = {
    name[len("git_") :]: column
    for name, column in COLUMNS.items()
    if name.startswith("git_commit_")
}
COMMIT_REQUIRED = ("commit_hash", "commit_source")


async def update_run(service: Service, request: Request) -> Answer:
    """
    Set what a person corrects; null clears.
    """
    event_id = request.path_params["event_id"]
    said, _, ignored = _said(parse(await request.body()))
    async with service.turns.of(event_id):
        row = await _found(service, event_id)
        check_match(request, etag(row))
        _check_end(row, said)
        about: dict[str, Any] = {"base_status": row["status"], **_by(request)}
        if row["status"] != _RUNNING:
            about["force"] = True
        fields = service.settler.fields(PATCHABLE, said)
        _write(service, EDITED, row, {**about, **fields})
        new = await _found(service, event_id)
    document: dict[str, Any] = {
        "event_id": event_id,
        "updated": True,
        "fields_updated": list(said),
    }
    if ignored:
        document["ignored"] = [one.plain() for one in ignored]
    return json_answer(document, headers={"ETag": etag(new)})


def _said(document: Any) -> Checked:
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
        error = FieldError(
            loc=("body",),
            rule=f"must set at least one of {names}",
            value=document,
            way_out="send a field with its new value, or null to clear it",
        )
        detail = f"No valid fields to update; use {names}"
        raise Problem("nothing-to-update", 400, "Nothing to update", detail, errors=[error])
    return checked


async def _found(service: Service, event_id: str) -> dict[str, Any]:
    row = await service.read(service.store.run, event_id)
    if row is None:
        raise not_found(event_id)
    return row


def _check_end(row: dict[str, Any], said: dict[str, Any]) -> None:
    """
    Refuse to open a run again that has ended: nobody would ever end it.
    """
    if said.get("status") != _RUNNING or row["status"] == _RUNNING:
        return
    error = FieldError(
        loc=("body", "status"),
        rule=f"must not go back to {_RUNNING} once the run has ended as {row['status']}",
        value=said["status"],
        way_out="send another status, or hand over a new run",
    )
    raise Problem("run-ended", 409, "The run has ended", error.message, errors=[error])


def _by(request: Request) -> dict[str, str]:
    """
    Return who edits, for the history of the run.
    """
    principal: Principal = request.scope.get("state", {}).get("principal", ANONYMOUS)
    return {"actor": principal.token_id}


def _write(service: Service, kind: str, row: dict[str, Any], fields: dict[str, Any]) -> None:
    """
    Record something about a run that is known.
    """
    keys = {name: row[name] for name in KEYS}
    body = escape_marker(_encode({**keys, **fields})[1:-1])
    service.barrier.wrote(service.writer.record(kind, [body]), [row["event_id"]])


async def associate_commit(service: Service, request: Request) -> Answer:
    """
    Record the commit that came of a run.
    """
    event_id = request.path_params["event_id"]
    said = _commit(parse(await request.body()))
    async with service.turns.of(event_id):
        row = await _found(service, event_id)
        fields = service.settler.fields(COLUMNS, {f"git_{n}": v for n, v in said.items()})
        _write(service, COMMIT, row, fields)
    return json_answer(
        {
            "status": "success",
            "event_id": event_id,
            "run_id": row["run_id"],
            "commit_hash": said["commit_hash"],
        }
    )


def _commit(document: Any) -> dict[str, Any]:
    checked = check(document, COMMIT_FIELDS, COMMIT_REQUIRED)
    commit_hash = checked.values.get("commit_hash")
    if commit_hash is not None and not _HASH.fullmatch(commit_hash):
        checked.errors.append(
            FieldError(
                loc=("body", "commit_hash"),
                rule="must be 7 to 40 hexadecimal digits",
                value=commit_hash,
                way_out="send what `git rev-parse HEAD` says",
                type="string_pattern_mismatch",
            )
        )
    if checked.errors:
        raise invalid(checked.errors)
    return {name: value for name, value in checked.values.items() if value is not None}


async def delete_run(service: Service, request: Request) -> Answer:
    """
    Delete a run with all that belongs to it; nothing brings it back.
    """
    event_id = request.path_params["event_id"]
    async with service.turns.of(event_id):
        row = await _found(service, event_id)
        check_match(request, etag(row))
        _write(service, DELETED, row, _by(request))
    return json_answer({"event_id": event_id, "deleted": True})


OPERATIONS = (
    Operation(
        method="PATCH",
        path=f"{PREFIX}/runs/{{event_id}}",
        handler=update_run,
        tag="edits",
        summary="Correct a run",
        parameters=("If-Match",),
        body="RunUpdate",
        answers={200: "UpdateResult"},
        problems=(400, 404, 409, 412, 422),
    ),
    Operation(
        method="DELETE",
        path=f"{PREFIX}/runs/{{event_id}}",
        handler=delete_run,
        tag="edits",
        summary="Delete a run",
        parameters=("If-Match",),
        answers={200: "DeleteResult"},
        problems=(404, 412),
    ),
    Operation(
        method="POST",
        path=f"{PREFIX}/runs/{{event_id}}/associate-commit",
        handler=associate_commit,
        tag="edits",
        summary="Link a run with its commit",
        body="CommitLink",
        answers={200: "CommitResult"},
        problems=(404, 422),
    ),
)
