"""
What one route does, in one place: its method and path, what is said of it, and the code.

The application, the OpenAPI document and the metrics take it from here.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Callable

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from telemetry.service.answers import Answer
    from telemetry.service.state import Service

PREFIX = "/api/v1"
NDJSON = "application/x-ndjson"

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
    #: Names of parameters in the OpenAPI document, beside those in the path.
    parameters: tuple[str, ...] = ()
    #: The schema of its body, and what kind of text that is.
    body: str = ""
    body_type: str = "application/json"
    #: The schema of each answer that is no problem; with ``[]`` behind it for an array.
    answers: Mapping[int, str] = attrs.field(factory=dict)
    #: The problems that it may answer beside those of every operation.
    problems: tuple[int, ...] = ()

    @property
    def id(self) -> str:
        """
        Return the name of the operation in the OpenAPI document.
        """
        return self.handler.__name__
