"""
Whether the service is well, for people, balancers and scrapers.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from telemetry.model.errors import SinkError
from telemetry.runtime.surroundings import State
from telemetry.service.answers import JSON, Answer, json_answer
from telemetry.service.metrics import CONTENT_TYPE, Gauges
from telemetry.service.operations import Operation
from telemetry.service.standing import dead_letters, journal_bytes, lag_bytes
from telemetry.storage.cursors import DATABASE_SINK

if TYPE_CHECKING:
    from starlette.requests import Request

    from telemetry.service.state import Service

_VARY = {"Vary": "Accept"}
#: Types by which a scraper asks for its own form.
_SCRAPED = ("text/plain", "application/openmetrics-text")
#: States of a follower whose sink takes nothing.
_STUCK = frozenset({State.OUTAGE, State.PAUSED})


async def health(service: Service, request: Request) -> Answer:
    """
    Say that the service is there, and how it keeps its data.
    """
    return json_answer({"status": "ok", "version": version("telemetry"), **_database(service)})


def _database(service: Service) -> dict[str, str]:
    """
    Say where the database is, by its name alone, and how it is kept.
    """
    return {
        "db_path": service.config.db_path.name,
        "journal_mode": service.journal_mode,
        "synchronous": "NORMAL",
    }


async def healthz(service: Service, request: Request) -> Answer:
    """
    Say that the loop runs; nothing else is looked at.
    """
    return json_answer({"status": "ok"})


async def readyz(service: Service, request: Request) -> Answer:
    """
    Say whether records are taken and reach the database; 503 where not.
    """
    if service.writer.is_failing:
        # No balancer sends anything to record before it hears that all is well again.
        service.barrier.wrote(service.writer.try_again(), ())
    # Not by the threads that answer questions: slow ones would make it look unready.
    lag = await asyncio.to_thread(_lag, service)
    states = {one.sink: one.state for one in service.runtime.followers.stats().followers}
    is_followed = lag is not None and states.get(DATABASE_SINK) not in _STUCK
    checks: dict[str, Any] = {
        "journal": "failing" if service.writer.is_failing else "ok",
        "database": "ok" if is_followed else "failing",
        "lag_bytes": lag,
    }
    is_ready = is_followed and not service.writer.is_failing
    document = {"status": "ready" if is_ready else "not ready", **checks}
    return json_answer(document, 200 if is_ready else 503)


def _lag(service: Service) -> Any:
    try:
        return lag_bytes(service)
    except (OSError, SinkError):
        return None


async def metrics(service: Service, request: Request) -> Answer:
    """
    Say how many runs there are; to a scraper, in its own form.
    """
    totals = await service.read(service.store.totals)
    if not _is_scraper(request.headers.get("accept", "")):
        return json_answer({**totals, "performance": _database(service)}, headers=_VARY)
    gauges = await service.ask(
        lambda: Gauges(
            journal_bytes(service),
            {DATABASE_SINK: lag_bytes(service)},
            dead_letters(service),
            totals["statuses"],
        )
    )
    return Answer(service.metrics.text(gauges), headers=_VARY, media_type=CONTENT_TYPE)


def _is_scraper(accept: str) -> bool:
    """
    Tell whether Prometheus' text is what is wanted: it is named, and not less than JSON.
    """
    quality = dict(map(_preference, accept.lower().split(",")))
    wanted = max(quality.get(name, 0.0) for name in _SCRAPED)
    return wanted > quality.get(JSON, 0.0)


def _preference(text: str) -> tuple[str, float]:
    """
    Return a media type of an Accept header, and how much it is wanted.
    """
    name, *parameters = (part.strip() for part in text.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return name, float(parameter[2:])
            except ValueError:
                return name, 0.0
    return name, 1.0


OPERATIONS = (
    Operation(
        method="GET",
        path="/health",
        handler=health,
        tag="health",
        summary="Say what the service is",
        answers={200: "Health"},
    ),
    Operation(
        method="GET",
        path="/healthz",
        handler=healthz,
        tag="health",
        summary="Say that it lives",
        answers={200: "Alive"},
    ),
    Operation(
        method="GET",
        path="/readyz",
        handler=readyz,
        tag="health",
        summary="Say whether it takes records and shows them",
        answers={200: "Ready", 503: "Ready"},
    ),
    Operation(
        method="GET",
        path="/metrics",
        handler=metrics,
        tag="health",
        summary="Count the runs",
        answers={200: "Metrics"},
    ),
)
