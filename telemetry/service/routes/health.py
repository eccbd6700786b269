"""
Whether the service is well, for people, balancers and scrapers.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from telemetry.service.answers import json_answer
from telemetry.service.operations import Operation

if TYPE_CHECKING:
    from starlette.requests import Request

    from telemetry.service.answers import Answer
    from telemetry.service.state import Service


async def health(service: Service, request: Request) -> Answer:
    """
    Say that the service is there, and how it keeps its data; the database is not asked.
    """
    return json_answer(
        {
            "status": "ok",
            "version": version("telemetry"),
            "db_path": service.config.db_path.name,
            "journal_mode": "WAL",
            "synchronous": "NORMAL",
        }
    )


async def healthz(service: Service, request: Request) -> Answer:
    """
    Say that the loop runs; nothing else is looked at.
    """
    return json_answer({"status": "ok"})


OPERATIONS = (
    Operation(
        method="GET", path="/health", handler=health, tag="health", summary="Say what is there"
    ),
    Operation(method="GET", path="/healthz", handler=healthz, tag="health", summary="Say it lives"),
)
