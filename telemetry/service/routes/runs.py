"""
Runs: handed over, listed and looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from telemetry.model.records import DECODE_ERRORS
from telemetry.model.run import COLUMNS, Kind
from telemetry.model.values import to_sql
from telemetry.service.answers import json_answer
from telemetry.service.bodies import UnusualError, decode_run
from telemetry.service.checks import check_run, parse
from telemetry.service.matching import is_known, not_modified
from telemetry.service.operations import PREFIX, Operation
from telemetry.service.posting import CREATED, Posted, post
from telemetry.service.problems import invalid, not_found
from telemetry.service.queries import BY_PART, MAX_OFFSET, PAGING, Query
from telemetry.service.receiving import whole_body
from telemetry.service.rendering import etag, run_document
from telemetry.storage.queries import NEWEST_FIRST, PARAMETERS, Filters

if TYPE_CHECKING:
    from starlette.requests import Request

    from telemetry.service.answers import Answer
    from telemetry.service.checks import Loc
    from telemetry.service.state import Service


async def create_run(service: Service, request: Request) -> Answer:
    """
    Record a run; 201, whether it is new or known.
    """
    item = read_one(service, await whole_body(request))
    await post(service, [item])
    return json_answer(await _said_of(service, item), 201)


def read_one(service: Service, raw: bytes, loc: Loc = ("body",)) -> Posted:
    """
    Return a run as it is recorded.

    Raises:
        Problem: It cannot be taken.
    """
    try:
        body = decode_run(raw)
        return Posted(body.event_id, body.run_id, service.settler.run(body))
    except (*DECODE_ERRORS, UnusualError):
        return _read_slowly(service, parse(raw, loc), loc)


def _read_slowly(service: Service, document: Any, loc: Loc) -> Posted:
    body, checked = check_run(document, loc)
    if body is None:
        raise invalid(checked.errors)
    return Posted(body.event_id, body.run_id, service.settler.run(body), checked.ignored)


async def _said_of(service: Service, item: Posted) -> dict[str, Any]:
    event_id = item.event_id
    said: dict[str, Any] = {"status": item.status, "event_id": event_id}
    if item.ignored:
        said["ignored"] = [one.plain() for one in item.ignored]
    if item.status == CREATED:
        said["run_id"] = item.run_id
    elif item.was_deleted:
        said["message"] = message_of_deleted(item)
    else:
        said["outcome_taken"] = item.is_outcome_taken
        said["differences"] = found = await _differences(service, item)
        said["message"] = _message(event_id, found, is_taken=item.is_outcome_taken)
    return said


def _message(event_id: str, differences: list[str], *, is_taken: bool) -> str:
    known = f"Run {event_id} is known already"
    taken = "; its outcome was taken" if is_taken else ""
    left = f"; it was left as it is in {', '.join(differences)}" if differences else ""
    return f"{known}{taken}{left}"


async def _differences(service: Service, item: Posted) -> list[str]:
    """
    Return in which fields a repeat says something else than the run that is stored.
    """
    row = await service.read(service.store.run, item.event_id)
    return [] if row is None else differing(item, row)


def message_of_deleted(item: Posted) -> str:
    """
    Return what is said of a run that comes again after it was deleted.
    """
    return f"Run {item.event_id} was deleted, and stays so"


def differing(item: Posted, row: dict[str, Any]) -> list[str]:
    """
    Return the fields in which a run says something else than its row.
    """
    said = msgspec.json.decode(b"{" + item.said + b"}")
    return [name for name, value in said.items() if not _is_as_said(row, name, value)]


def _is_as_said(row: dict[str, Any], name: str, value: Any) -> bool:
    column = COLUMNS[name]
    if column.kind is Kind.JSON:
        text = row[name]
        try:
            return text is not None and bool(msgspec.json.decode(text) == value)
        except DECODE_ERRORS:
            return False
    return bool(row[name] == to_sql(column, value))


async def list_runs(service: Service, request: Request) -> Answer:
    """
    List runs, newest first.
    """
    query = Query(request)
    limit, offset = query.limit(), query.integer("offset", 0, 0, MAX_OFFSET)
    filters = Filters.parse(query.pairs, passed_over=(*PAGING, BY_PART))
    part = query.get(BY_PART)
    if part is not None:
        keys = await service.read(service.store.keys_with_end, part)
        if not keys:
            return json_answer([])
        filters = filters.among(keys)
    page = await service.read(
        service.store.runs,
        filters,
        limit=limit,
        offset=offset,
        after=query.get("cursor"),
        sort=query.get("sort") or NEWEST_FIRST,
    )
    return json_answer([run_document(row) for row in page.rows], headers=query.links(page))


async def get_run(service: Service, request: Request) -> Answer:
    """
    Return one run.
    """
    event_id = request.path_params["event_id"]
    row = await service.read(service.store.run, event_id)
    if row is None:
        raise not_found(event_id)
    now = etag(row)
    if is_known(request, now):
        return not_modified(now)
    return json_answer(run_document(row), headers={"ETag": now})


OPERATIONS = (
    Operation(
        method="POST",
        path=f"{PREFIX}/runs",
        handler=create_run,
        tag="runs",
        summary="Hand over one run",
        body="RunCreate",
        answers={201: "CreateResult"},
        problems=(422,),
    ),
    Operation(
        method="GET",
        path=f"{PREFIX}/runs",
        handler=list_runs,
        tag="runs",
        summary="List runs",
        parameters=(*PARAMETERS, BY_PART, *PAGING),
        answers={200: "Run[]"},
        problems=(400, 422),
    ),
    Operation(
        method="GET",
        path=f"{PREFIX}/runs/{{event_id}}",
        handler=get_run,
        tag="runs",
        summary="Look at one run",
        parameters=("If-None-Match",),
        answers={200: "Run", 304: ""},
        problems=(404,),
    ),
)
