"""
Runs: handed over, listed and looked at.
"""

from __future__ import annotations

import asyncio
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Optional, Union

import attrs
import msgspec

from telemetry.model.records import DECODE_ERRORS
from telemetry.model.run import COLUMNS, Kind
from telemetry.model.values import clean_text, to_sql
from telemetry.service.answers import json_answer
from telemetry.service.bodies import KEYS, UnusualError, decode_run
from telemetry.service.checks import check_run, parse
from telemetry.service.matching import is_known, not_modified
from telemetry.service.operations import PREFIX, Operation
from telemetry.service.posting import CREATED, DUPLICATE, Posted, post
from telemetry.service.problems import FieldError, Problem, invalid, not_found
from telemetry.service.queries import BY_PART, MAX_OFFSET, PAGING, Query
from telemetry.service.receiving import whole_body
from telemetry.service.rendering import etag, run_document
from telemetry.service.splitting import decode_leniently, split
from telemetry.storage.queries import NEWEST_FIRST, PARAMETERS, Filters

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from starlette.requests import Request

    from telemetry.service.answers import Answer
    from telemetry.service.checks import Loc
    from telemetry.service.state import Service

#: Runs in one batch.
MAX_ITEMS = 5000
#: Runs that are looked at together: so few that what they are made into stays in the cache.
AT_ONCE = 64
#: Runs between which other requests have a turn: some milliseconds.
BETWEEN_TURNS = 4 * AT_ONCE

_event_id_of, _run_id_of = map(attrgetter, KEYS)
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


async def create_run(service: Service, request: Request) -> Answer:
    """
    Record a run; 201, whether it is new or known.
    """
    item = _read_one(service, await whole_body(request))
    await post(service, [item])
    return json_answer(await _said_of(service, item), 201)


def _read_one(service: Service, raw: bytes, loc: Loc = ("body",)) -> Posted:
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
        said["message"] = _deleted(item)
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
    return [] if row is None else _differing(item, row)


def _differing(item: Posted, row: dict[str, Any]) -> list[str]:
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


async def create_runs(service: Service, request: Request) -> Answer:
    """
    Record many runs; one that cannot be taken spoils nothing.
    """
    body = await whole_body(request)
    service.begin_batch()
    items, errors = await _read_many(service, body)
    taken = [item for item in items if item is not None]
    await post(service, taken)
    repeats = [one.event_id for one in taken if one.status == DUPLICATE and not one.was_deleted]
    rows = await service.read(service.store.rows, repeats) if repeats else {}
    return json_answer(_counts(items, errors, rows))


async def _read_many(service: Service, raw: bytes) -> tuple[list[Any], dict[int, Refused]]:
    """
    Read runs some at a time, so that others have their turn.
    """
    raws = await _split(raw)
    _check_count(len(raws))
    items: list[Any] = []
    errors: dict[int, Refused] = {}
    for first in range(0, len(raws), AT_ONCE):
        if first and not first % BETWEEN_TURNS:
            await asyncio.sleep(0)
        some = raws[first : first + AT_ONCE]
        try:
            items += _read_some(service, some)
        except (*DECODE_ERRORS, UnusualError):
            _read_each(service, some, items, errors)
    return items, errors


async def _split(raw: bytes) -> Sequence[Union[bytes, msgspec.Raw]]:
    try:
        return _decode_items(raw)
    except DECODE_ERRORS:
        pass
    try:
        return _items_of(parse(raw))
    except Problem:
        items = await split(raw, MAX_ITEMS)
        if items is None:
            raise
        return items


def _read_some(service: Service, raws: Sequence[Union[bytes, msgspec.Raw]]) -> Iterator[Posted]:
    bodies = [*map(decode_run, raws)]
    saids = service.settler.runs(bodies)
    return map(Posted, map(_event_id_of, bodies), map(_run_id_of, bodies), saids)


def _check_count(count: int) -> None:
    if count > MAX_ITEMS:
        rule, way_out = f"must have at most {MAX_ITEMS} runs", "send several batches"
        error = FieldError(loc=("body",), rule=rule, value=count, way_out=way_out, type="too_long")
        raise invalid([error])


def _read_each(
    service: Service,
    raws: Sequence[Union[bytes, msgspec.Raw]],
    items: list[Any],
    errors: dict[int, Refused],
) -> None:
    """
    Read runs one by one, and put each with the others or with the errors.
    """
    for one in map(bytes, raws):
        at = len(items)
        try:
            items.append(_read_one(service, one, ("body", at)))
        except Problem as problem:
            items.append(None)
            errors[at] = Refused(_event_id_in(one), problem)


def _event_id_in(raw: bytes) -> Optional[str]:
    """
    Return the key of a run that cannot be taken, where it has one.
    """
    document = decode_leniently(raw)
    found = document.get("event_id") if isinstance(document, dict) else None
    return clean_text(found[:255]) if isinstance(found, str) else None


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


def _counts(
    items: list[Any], errors: dict[int, Refused], rows: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """
    Say what became of a batch, as a whole and run by run.

    Args:
        rows: What is stored of the runs that were known.
    """
    results = [
        errors[at].plain() if item is None else _result(item, rows.get(item.event_id))
        for at, item in enumerate(items)
    ]
    inserted = sum(item is not None and item.status == CREATED for item in items)
    return {
        "inserted": inserted,
        "duplicates": len(items) - inserted - len(errors),
        "errors": [error.line() for error in errors.values()],
        "total": len(items),
        "results": results,
    }


def _result(item: Posted, row: Optional[dict[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {"status": item.status, "event_id": item.event_id}
    if row is not None and (differences := _differing(item, row)):
        result["differences"] = differences
    if item.is_outcome_taken:
        result["outcome_taken"] = True
    if item.was_deleted:
        result["message"] = _deleted(item)
    if item.ignored:
        result["ignored"] = [one.plain() for one in item.ignored]
    return result


def _deleted(item: Posted) -> str:
    return f"Run {item.event_id} was deleted, and stays so"


@attrs.frozen
class Refused:
    """
    A run of a batch that cannot be taken, and why.
    """

    event_id: Optional[str]
    problem: Problem

    def plain(self) -> dict[str, Any]:
        """
        Return it as an item of the results.
        """
        return {"status": "error", "event_id": self.event_id, "detail": self.problem.detail}

    def line(self) -> str:
        """
        Return it as a text that begins with the run's key.
        """
        reasons = "; ".join(error.message for error in self.problem.errors)
        return f"{self.event_id or '(no event_id)'}: {reasons or self.problem.detail}"


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
        method="POST",
        path=f"{PREFIX}/runs/batch",
        handler=create_runs,
        tag="runs",
        summary="Hand over many runs",
        body="RunCreate[]",
        answers={200: "BatchResult"},
        problems=(422,),
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
