"""
What belongs to a run: its events, its history, the runs nested in it, and where its commit is.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Optional

import msgspec

from telemetry.model.records import DECODE_ERRORS, ENVELOPE_KEYS
from telemetry.service.answers import json_answer
from telemetry.service.bodies import KEYS
from telemetry.service.links import commit_url, repo_url
from telemetry.service.operations import PREFIX, Operation
from telemetry.service.problems import not_found
from telemetry.service.queries import Query
from telemetry.service.rendering import run_document

if TYPE_CHECKING:
    from starlette.requests import Request

    from telemetry.service.answers import Answer
    from telemetry.service.state import Service
    from telemetry.storage.queries import Page

Row = dict[str, Any]
PAGING = ("limit", "cursor")
_NOT_SAID = ENVELOPE_KEYS.union(KEYS)
_decode = msgspec.json.Decoder().decode


def event_document(row: Row) -> Row:
    """
    Return an event as the API shows it.
    """
    shown = {name: value for name, value in row.items() if name != "payload_json"}
    return {**shown, "payload": _parsed(row["payload_json"])}


def record_document(row: Row) -> Row:
    """
    Return a record of a run's history as the API shows it: what it said of the run.
    """
    shown = {name: value for name, value in row.items() if name != "body"}
    said = _parsed(row["body"])
    fields = said if isinstance(said, dict) else {}
    return {**shown, "fields": {n: v for n, v in fields.items() if n not in _NOT_SAID}}


def _parsed(text: Optional[str]) -> Any:
    try:
        return None if text is None else _decode(text)
    except DECODE_ERRORS:
        return text


async def _beside(
    name: str, show: Callable[[Row], Row], service: Service, request: Request
) -> Answer:
    """
    Answer with a page of what belongs to a run.
    """
    event_id = request.path_params["event_id"]
    query = Query(request)
    query.refuse_unknown(PAGING)
    limit, after = query.limit(), query.get("cursor")

    def ask() -> Optional[Page]:
        page: Page = getattr(service.store, name)(event_id, limit=limit, after=after)
        is_known = bool(page.rows) or service.store.run(event_id) is not None
        return page if is_known else None

    page = await service.read(ask)
    if page is None:
        raise not_found(event_id)
    return json_answer([show(row) for row in page.rows], headers=query.links(page))


async def get_events(service: Service, request: Request) -> Answer:
    """
    Return a run's events, oldest first.
    """
    return await _beside("events", event_document, service, request)


async def get_history(service: Service, request: Request) -> Answer:
    """
    Return the records that made a run what it is, oldest first.
    """
    return await _beside("history", record_document, service, request)


async def get_children(service: Service, request: Request) -> Answer:
    """
    Return the runs nested in one, oldest first.
    """
    return await _beside("children", run_document, service, request)


async def get_commit_url(service: Service, request: Request) -> Answer:
    """
    Return where a run's commit can be looked at; null where that is not known.
    """
    row = await _run(service, request)
    return json_answer({"commit_url": commit_url(row["git_repo"], row["git_commit_hash"])})


async def get_repo_url(service: Service, request: Request) -> Answer:
    """
    Return where a run's repository can be looked at; null where that is not known.
    """
    row = await _run(service, request)
    return json_answer({"repo_url": repo_url(row["git_repo"])})


async def _run(service: Service, request: Request) -> Row:
    event_id = request.path_params["event_id"]
    row = await service.read(partial(service.store.run, event_id))
    if row is None:
        raise not_found(event_id)
    return row


_RUN = f"{PREFIX}/runs/{{event_id}}"

OPERATIONS = (
    Operation(
        method="GET",
        path=f"{_RUN}/events",
        handler=get_events,
        tag="runs",
        summary="List a run's events",
        parameters=PAGING,
        answers={200: "Event[]"},
        problems=(404, 422),
    ),
    Operation(
        method="GET",
        path=f"{_RUN}/history",
        handler=get_history,
        tag="runs",
        summary="List the records that made a run",
        parameters=PAGING,
        answers={200: "HistoryRecord[]"},
        problems=(404, 422),
    ),
    Operation(
        method="GET",
        path=f"{_RUN}/children",
        handler=get_children,
        tag="runs",
        summary="List the runs nested in one",
        parameters=PAGING,
        answers={200: "Run[]"},
        problems=(404, 422),
    ),
    Operation(
        method="GET",
        path=f"{_RUN}/commit-url",
        handler=get_commit_url,
        tag="runs",
        summary="Say where a run's commit is",
        answers={200: "CommitUrl"},
        problems=(404,),
    ),
    Operation(
        method="GET",
        path=f"{_RUN}/repo-url",
        handler=get_repo_url,
        tag="runs",
        summary="Say where a run's repository is",
        answers={200: "RepoUrl"},
        problems=(404,),
    ),
)
