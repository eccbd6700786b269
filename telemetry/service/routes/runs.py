"""
Runs: handed over, listed and looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from telemetry.model.records import DECODE_ERRORS
from telemetry.service.answers import json_answer
from telemetry.service.bodies import UnusualError, decode_run, decode_runs
from telemetry.service.checks import check_run, parse
from telemetry.service.operations import PREFIX, Operation
from telemetry.service.posting import CREATED, Posted, post
from telemetry.service.problems import FieldError, Problem, invalid, not_found
from telemetry.service.queries import MAX_OFFSET, PAGING, Query
from telemetry.service.rendering import etag, run_document
from telemetry.storage.queries import NEWEST_FIRST, Filters

if TYPE_CHECKING:
    from starlette.requests import Request

    from telemetry.service.answers import Answer
    from telemetry.service.state import Service

#: Runs in one batch.
MAX_ITEMS = 5000

_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


async def create_run(service: Service, request: Request) -> Answer:
    """
    Record a run; 201, whether it is new or known.
    """
    item = _read_one(service, await request.body())
    await post(service, [item])
    return json_answer(await _said_of(service, item), 201)


def _read_one(service: Service, raw: bytes) -> Posted:
    try:
        body = decode_run(raw)
        return Posted(body, service.settler.run(body))
    except (*DECODE_ERRORS, UnusualError):
        return _read_slowly(service, parse(raw), ("body",))


def _read_slowly(service: Service, document: Any, loc: tuple[Any, ...]) -> Posted:
    body, checked = check_run(document, loc)
    if body is None:
        raise invalid(checked.errors)
    return Posted(body, service.settler.run(body), checked.ignored)


async def _said_of(service: Service, item: Posted) -> dict[str, Any]:
    said: dict[str, Any] = {"status": item.status, "event_id": item.body.event_id}
    if item.ignored:
        said["ignored"] = [one.plain() for one in item.ignored]
    if item.status == CREATED:
        said["run_id"] = item.body.run_id
        return said
    said["message"] = f"Run {item.body.event_id} is known already"
    return said


async def create_runs(service: Service, request: Request) -> Answer:
    """
    Record many runs; one that cannot be taken spoils nothing.
    """
    items, errors = _read_many(service, await request.body())
    await post(service, [item for item in items if item is not None])
    return json_answer(_counts(items, errors))


def _read_many(service: Service, raw: bytes) -> tuple[list[Any], dict[int, Problem]]:
    settle = service.settler.run
    try:
        bodies = decode_runs(raw)
        _check_count(len(bodies))
        return [Posted(body, settle(body)) for body in bodies], {}
    except (*DECODE_ERRORS, UnusualError):
        return _read_each(service, raw)


def _check_count(count: int) -> None:
    if count > MAX_ITEMS:
        rule, way_out = f"must have at most {MAX_ITEMS} runs", "send several batches"
        error = FieldError(loc=("body",), rule=rule, value=count, way_out=way_out, type="too_long")
        raise invalid([error])


def _read_each(service: Service, raw: bytes) -> tuple[list[Any], dict[int, Problem]]:
    try:
        raws = _decode_items(raw)
    except DECODE_ERRORS:
        raws = _items_of(parse(raw))
    _check_count(len(raws))
    items: list[Any] = []
    errors: dict[int, Problem] = {}
    for at, one in enumerate(raws):
        try:
            items.append(_read_one(service, bytes(one)))
        except Problem as problem:
            items.append(None)
            errors[at] = problem
    return items, errors


def _items_of(document: Any) -> list[bytes]:
    """
    Return the runs of a batch that is no bare array.
    """
    runs = document.get("runs") if isinstance(document, dict) else document
    if not isinstance(runs, list):
        error = FieldError(
            loc=("body",),
            rule="must be a JSON array of runs",
            value=document,
            way_out="send [{...}, {...}]",
            type="list_type",
        )
        raise invalid([error])
    return [msgspec.json.encode(run) for run in runs]


def _counts(items: list[Any], errors: dict[int, Problem]) -> dict[str, Any]:
    results: list[dict[str, Any]] = []
    for at, item in enumerate(items):
        if item is None:
            results.append({"status": "error", "detail": errors[at].detail})
        else:
            results.append({"status": item.status, "event_id": item.body.event_id})
    inserted = sum(result["status"] == CREATED for result in results)
    return {
        "inserted": inserted,
        "duplicates": len(items) - inserted - len(errors),
        "errors": [str(problem.detail) for problem in errors.values()],
        "total": len(items),
        "results": results,
    }


async def list_runs(service: Service, request: Request) -> Answer:
    """
    List runs, newest first.
    """
    query = Query(request)
    limit, offset = query.limit(), query.integer("offset", 0, 0, MAX_OFFSET)
    page = await service.read(
        service.store.runs,
        Filters.parse(query.pairs, passed_over=PAGING),
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
    return json_answer(run_document(row), headers={"ETag": etag(row)})


OPERATIONS = (
    Operation(
        method="POST",
        path=f"{PREFIX}/runs",
        handler=create_run,
        tag="runs",
        summary="Hand over one run",
    ),
    Operation(
        method="GET",
        path=f"{PREFIX}/runs",
        handler=list_runs,
        tag="runs",
        summary="List runs",
    ),
    Operation(
        method="POST",
        path=f"{PREFIX}/runs/batch",
        handler=create_runs,
        tag="runs",
        summary="Hand over many runs",
    ),
    Operation(
        method="GET",
        path=f"{PREFIX}/runs/{{event_id}}",
        handler=get_run,
        tag="runs",
        summary="Look at one run",
    ),
)
