"""
What can be said of all runs: their names, and the data of charts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telemetry.service.answers import json_answer
from telemetry.service.operations import PREFIX, Operation
from telemetry.service.queries import Query
from telemetry.storage.queries import STATS, STATS_PARAMETERS, StatsFilters

if TYPE_CHECKING:
    from starlette.requests import Request

    from telemetry.service.answers import Answer
    from telemetry.service.state import Service


async def get_metadata(service: Service, request: Request) -> Answer:
    """
    Return the names of agents and job types, each sorted.
    """
    return json_answer(await service.read(service.store.metadata))


async def list_stats(service: Service, request: Request) -> Answer:
    """
    Return the names of the statistics.
    """
    return json_answer({"stats": list(STATS)})


async def get_stats(service: Service, request: Request) -> Answer:
    """
    Return one chart's data, computed in the database.
    """
    filters = StatsFilters.parse(Query(request).pairs)
    return json_answer(
        await service.read(service.store.stats, request.path_params["name"], filters)
    )


OPERATIONS = (
    Operation(
        method="GET",
        path=f"{PREFIX}/metadata",
        handler=get_metadata,
        tag="stats",
        summary="List the names of agents and job types",
        answers={200: "Metadata"},
    ),
    Operation(
        method="GET",
        path=f"{PREFIX}/stats",
        handler=list_stats,
        tag="stats",
        summary="List the statistics",
        answers={200: "StatsNames"},
    ),
    Operation(
        method="GET",
        path=f"{PREFIX}/stats/{{name}}",
        handler=get_stats,
        tag="stats",
        summary="Compute a chart's data",
        parameters=tuple(STATS_PARAMETERS),
        answers={200: "Stats"},
        problems=(400, 404, 422),
    ),
)
