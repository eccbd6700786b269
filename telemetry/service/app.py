"""
The application: every operation under its path, and what happens to errors.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Optional

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route

from telemetry.model.errors import JournalError, SinkError
from telemetry.service.logs import make_log
from telemetry.service.problems import Problem, respond, unavailable
from telemetry.service.queries import filter_problem
from telemetry.service.routes import edits, health, runs
from telemetry.service.state import Service
from telemetry.storage.baseid import HEADER
from telemetry.storage.queries import FilterError, SlowQueryError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from starlette.types import Receive, Scope, Send
    from structlog.typing import FilteringBoundLogger

    from telemetry.config import TelemetryConfig
    from telemetry.service.answers import Answer
    from telemetry.service.operations import Operation

#: Every operation; of two paths that fit, the first one answers.
OPERATIONS: tuple[Operation, ...] = (
    *runs.OPERATIONS,
    *edits.OPERATIONS,
    *health.OPERATIONS,
)
#: Time to deliver what is in the journal, when the service ends.
CLOSE_TIMEOUT_S = 10.0


class Resource:
    """
    One path: an ASGI application that has the method's operation answer.
    """

    def __init__(self, service: Service, operations: Mapping[str, Operation]) -> None:
        self._service = service
        self._operations = dict(operations)
        if "GET" in operations:
            self._operations.setdefault("HEAD", operations["GET"])
        self._allowed = ", ".join(sorted(self._operations))
        self._base = (HEADER.lower().encode(), service.base_id.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Answer a request; nothing is raised.
        """
        answer = await self._answer(scope, Request(scope, receive))
        answer.headers.append(self._base)
        await answer(scope, receive, send)

    async def _answer(self, scope: Scope, request: Request) -> Answer:
        operation = self._operations.get(scope["method"])
        if operation is None:
            return respond(_not_allowed(self._allowed), scope)
        try:
            return await operation.handler(self._service, request)
        except Problem as problem:
            return respond(problem, scope)
        except FilterError as error:
            return respond(filter_problem(error), scope)
        except JournalError:
            return respond(_JOURNAL_REFUSED, scope)
        except SlowQueryError:
            return respond(_TOO_SLOW, scope)
        except SinkError:
            return respond(_NO_DATABASE, scope)


_JOURNAL_REFUSED = unavailable(
    "journal-unavailable", "the journal takes nothing now; nothing was changed"
)
_TOO_SLOW = unavailable(
    "query-too-slow", "the answer took too long; ask for less, or by fewer conditions"
)
_NO_DATABASE = unavailable("database-unavailable", "the database cannot be read now")


def _not_allowed(allowed: str) -> Problem:
    return Problem(
        "method-not-allowed",
        405,
        "Method Not Allowed",
        f"this path answers {allowed}",
        headers={"Allow": allowed},
    )


def resources(service: Service, operations: Iterable[Operation]) -> list[Route]:
    """
    Return a route for each path.
    """
    paths: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = operation
    return [Route(path, Resource(service, methods)) for path, methods in paths.items()]


def create_app(config: TelemetryConfig, *, log: Optional[FilteringBoundLogger] = None) -> FastAPI:
    """
    Return the service as an ASGI application; it lives from its startup to its shutdown.

    Args:
        log: Where it says what it does; on standard error by default.
    """
    service = Service(config, log or make_log(config.service_log_level))

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
            service.close(CLOSE_TIMEOUT_S)

    app = FastAPI(
        title="Telemetry",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.service = service
    app.router.routes.extend(resources(service, OPERATIONS))
    app.add_exception_handler(HTTPException, _http_problem)
    return app


async def _http_problem(request: Request, error: Exception) -> Answer:
    """
    Return what the framework itself refuses as a problem.
    """
    assert isinstance(error, HTTPException)  # noqa: S101 (it is registered for nothing else)
    slug = "not-found" if error.status_code == 404 else "refused"  # noqa: PLR2004
    problem = Problem(slug, error.status_code, error.detail, headers=error.headers)
    return respond(problem, request.scope)
