"""
What a source says of a run, made into what a record of ours says.

Values are cleaned as an agent's are: bounded, scrubbed, checked against their column. What does not
fit a column, or has none, is kept under ``imported`` in ``context_json``, so that nothing is lost.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from telemetry.exchange.found import FoundRun, value_of
from telemetry.model.run import COLUMNS, Column, Kind, Status, parse_status
from telemetry.model.values import accept, canonical_time, clean_text

if TYPE_CHECKING:
    from telemetry.exchange.found import FoundEvent

Clean = Callable[[object], Any]
UNNAMED = "unnamed"
ASIDE = "imported"
MAX_KEY_CHARS = 255
_KEYS = frozenset({"event_id", "run_id"})
#: Keys of lines and rows that say nothing of the run itself.
_PASSED_OVER = frozenset(
    {
        "id", "record_type", "change", "lt", "crc", "commit_url", "repo_url", "updated_at",
        "metrics_json_parse_error", "context_json_parse_error", "has_more", "owner",
    }
)  # fmt: skip
#: Times that may tell when a row last changed; the latest readable one is believed.
_TOLD_BY = ("updated_at", "end_time", "created_at", "start_time")
_ZONED = re.compile(r"(Z|[+-]\d\d(:?\d\d)?)\s*\Z", re.IGNORECASE)
_encode = msgspec.json.Encoder(order="sorted").encode


class RefusedRunError(ValueError):
    """
    A run cannot be imported; says why.
    """


@attrs.frozen(kw_only=True)
class Candidate:
    """
    What a source says of one run, ready to be recorded.
    """

    #: One of the two keys may be empty, where the source does not say it.
    run_id: str
    event_id: str
    time: str
    rank: int
    fields: dict[str, Any]
    place: str = ""


def candidate(found: FoundRun, clean: Clean) -> Candidate:
    """
    Return what a row or line says.

    Args:
        clean: Bounds and scrubs a value.

    Raises:
        RefusedRunError: It names no run, or no time.
    """
    run_id, event_id = (_key(found.fields, name) for name in ("run_id", "event_id"))
    if not run_id and not event_id:
        raise RefusedRunError("it must name a run, by run_id or event_id")
    moments = [utc_time(found.fields.get(name)) for name in _TOLD_BY]
    time = max((moment for moment in moments if moment), default="")
    if not time:
        raise RefusedRunError("it must have a time that can be read, such as start_time")
    fields, aside = _fields(found.fields, clean)
    if aside:
        fields["context_json"] = _with_aside(fields.get("context_json"), aside)
    return Candidate(
        run_id=run_id,
        event_id=event_id,
        time=time,
        rank=found.rank,
        fields=fields,
        place=found.place,
    )


def utc_time(value: Any) -> str:
    """
    Return a time of the original as it is stored; empty where it is none.

    Without a zone it is UTC: so SQLite's own ``datetime('now')`` writes it.
    """
    return _utc_time(value.strip()) if isinstance(value, str) else ""


@lru_cache(maxsize=1024)
def _utc_time(text: str) -> str:
    # The same few times stand in a run's lines again and again.
    if not text:
        return ""
    return canonical_time(text if _ZONED.search(text[10:]) else f"{text}Z") or ""


def derived_event_id(run_id: str) -> str:
    """
    Return the key of a run whose source has none: always the same for the same run id.
    """
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"telemetry:run:{run_id}"))


def record_id(*parts: Any) -> str:
    """
    Return the id of an imported record: always the same for the same content.
    """
    return f"{blake2b(_encode(parts), digest_size=8).hexdigest()}-1"


def event_record_id(found: FoundEvent, timestamp: str) -> str:
    """
    Return the id of an imported event.
    """
    told = json.dumps(found.payload, sort_keys=True, default=repr)
    return record_id("event", found.run_id, found.event_type, timestamp, told)


def merged(pieces: list[Candidate]) -> Candidate:
    """
    Return one run from all that was said of it, the later and higher last.

    What is said later stands, but that it is running never hides how it ended.
    """
    fields: dict[str, Any] = {}
    for piece in sorted(pieces, key=lambda piece: (piece.time, piece.rank)):
        said = dict(piece.fields)
        running = Status.RUNNING.value
        if said.get("status") == running and fields.get("status", running) != running:
            del said["status"]
        created = min(filter(None, (fields.get("created_at"), said.get("created_at"))), default="")
        fields.update(said)
        if created:
            fields["created_at"] = created
    last = max(pieces, key=lambda piece: (piece.time, piece.rank))
    return attrs.evolve(last, fields=fields)


def named(fields: dict[str, Any], time: str) -> dict[str, Any]:
    """
    Return the fields of a new run, with what every run has.
    """
    always = {
        "agent_name": UNNAMED,
        "job_type": UNNAMED,
        "created_at": fields.get("start_time", time),
    }
    return {**always, **fields}


def _key(fields: Mapping[str, Any], name: str) -> str:
    text = clean_text(str(fields.get(name) or "").strip())
    if len(text) > MAX_KEY_CHARS:
        raise RefusedRunError(f"{name} must have at most {MAX_KEY_CHARS} characters")
    return text


def _fields(said: Mapping[str, Any], clean: Clean) -> tuple[dict[str, Any], dict[str, Any]]:
    """
    Return the values that their columns hold, and all others.
    """
    fields: dict[str, Any] = {}
    aside: dict[str, Any] = {}
    for name, value in said.items():
        column = COLUMNS.get(name)
        if value is None or value == "" or name in _PASSED_OVER or name in _KEYS:
            continue
        if column is None:
            aside[str(name)] = clean({str(name): _decoded(value)}).get(str(name))
            continue
        accepted = _accepted(column, value, clean)
        if accepted is None:
            aside[name] = clean(value)
        elif accepted != column.default:  # a default says nothing, and hides nothing
            fields[name] = accepted
    if "status" in aside:
        fields["status"] = Status.FAILED.value
    elif parse_status(said.get("status")) is Status.RUNNING:
        fields["status"] = Status.RUNNING.value
        if not fields.get("duration_ms"):
            fields.pop("duration_ms", None)
    return fields, aside


def _accepted(column: Column, value: Any, clean: Clean) -> Any:
    if column.kind is Kind.TIME:
        return utc_time(value) or None
    if column.kind is Kind.JSON:
        value = clean(value_of(value))
    elif column.kind is Kind.TEXT:
        value = clean(value)
    return accept(column, value).value


def _decoded(value: Any) -> Any:
    return f"x'{value.hex()}'" if isinstance(value, bytes) else value


def _with_aside(context: Any, aside: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(context, dict):
        known = context.get(ASIDE)
        return {**context, ASIDE: {**(known if isinstance(known, dict) else {}), **aside}}
    return {ASIDE: dict(aside), **({} if context is None else {"context": context})}
