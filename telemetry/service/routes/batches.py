"""
Runs handed over many at a time.
"""

from __future__ import annotations

import asyncio
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Optional, Union

import attrs
import msgspec

from telemetry.model.records import DECODE_ERRORS
from telemetry.model.values import clean_text
from telemetry.service.answers import json_answer
from telemetry.service.bodies import KEYS, UnusualError, decode_run, decode_runs
from telemetry.service.checks import parse
from telemetry.service.cutting import pieces_of
from telemetry.service.operations import PREFIX, Operation
from telemetry.service.posting import CREATED, DUPLICATE, Posted, post
from telemetry.service.problems import FieldError, Problem, invalid
from telemetry.service.receiving import whole_body
from telemetry.service.routes.runs import differing, message_of_deleted, read_one
from telemetry.service.splitting import decode_leniently, split

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from starlette.requests import Request

    from telemetry.service.answers import Answer
    from telemetry.service.state import Service

#: Runs in one batch.
MAX_ITEMS = 5000
#: What is looked at together: so little that what it is made into stays in the cache.
AT_ONCE = 64
PIECE_BYTES = 100_000
MAX_PIECE_BYTES = 4 * PIECE_BYTES
#: So often other requests have a turn: after some milliseconds.
BETWEEN_TURNS = 4

_event_id_of, _run_id_of = map(attrgetter, KEYS)
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


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
    try:
        return await _read_pieces(service, raw), {}
    except (*DECODE_ERRORS, UnusualError):
        return await _read_carefully(service, raw)


async def _read_pieces(service: Service, raw: bytes) -> list[Posted]:
    """
    Read runs that are all as they must be: as they nearly always are.

    Raises:
        DecodeError: They are not, or they were not cut between two runs.
        UnusualError: Each must be looked at, or they are too many, or too large.
    """
    items: list[Posted] = []
    for number, piece in enumerate(pieces_of(raw, PIECE_BYTES), 1):
        if len(piece) > MAX_PIECE_BYTES:
            raise UnusualError
        items += _settled(service, decode_runs(piece))
        if len(items) > MAX_ITEMS:
            raise UnusualError
        if not number % BETWEEN_TURNS:
            await asyncio.sleep(0)
    return items


async def _read_carefully(service: Service, raw: bytes) -> tuple[list[Any], dict[int, Refused]]:
    """
    Read runs of which some may be bad.
    """
    raws = await _split(raw)
    _check_count(len(raws))
    items: list[Any] = []
    errors: dict[int, Refused] = {}
    for number, first in enumerate(range(0, len(raws), AT_ONCE), 1):
        some = raws[first : first + AT_ONCE]
        try:
            items += _settled(service, [*map(decode_run, some)])
        except (*DECODE_ERRORS, UnusualError):
            _read_each(service, some, items, errors)
        if not number % BETWEEN_TURNS:
            await asyncio.sleep(0)
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


def _settled(service: Service, bodies: Sequence[Any]) -> Iterator[Posted]:
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
            items.append(read_one(service, one, ("body", at)))
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


class Result(msgspec.Struct, omit_defaults=True, gc=False):
    """
    What became of one run that was good.
    """

    status: str
    event_id: str
    differences: Sequence[str] = ()
    outcome_taken: bool = False
    message: str = ""
    ignored: Sequence[dict[str, Any]] = ()


def _result(item: Posted, row: Optional[dict[str, Any]]) -> Result:
    result = Result(item.status, item.event_id)
    if item.ignored:
        result.ignored = [one.plain() for one in item.ignored]
    if item.status == CREATED:
        return result
    if row is not None:
        result.differences = differing(item, row)
    if item.was_deleted:
        result.message = message_of_deleted(item)
    result.outcome_taken = item.is_outcome_taken
    return result


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


OPERATIONS = (
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
)
