"""
What one route does, in one place: its method and path, what is said of it, and the code.

The application, the OpenAPI document and the metrics take it from here.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Callable

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from telemetry.service.answers import Answer
    from telemetry.service.state import Service

PREFIX = "/api/v1"

Handler = Callable[["Service", "Request"], Awaitable["Answer"]]


@attrs.frozen(kw_only=True)
class Operation:
    """
    One method of one path.
    """

    method: str
    path: str
    handler: Handler
    tag: str
    summary: str
    #: The parameters, the body and the answers, as OpenAPI has them.
    parameters: tuple[Mapping[str, Any], ...] = ()
    body: Mapping[str, Any] = attrs.field(factory=dict)
    answers: Mapping[int, Mapping[str, Any]] = attrs.field(factory=dict)
    #: Problems that it may answer beside those that every operation may.
    problems: tuple[int, ...] = ()

    @property
    def id(self) -> str:
        """
        Return the name of the operation in the OpenAPI document.
        """
        return self.handler.__name__
