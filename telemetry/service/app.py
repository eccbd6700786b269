"""
The application: every operation under its path, and what happens to errors.
"""

from __future__ import annotations

import contextlib
from time import perf_counter
from typing import TYPE_CHECKING, Optional

from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route, compile_path

from telemetry.model.errors import JournalError, SinkError
from telemetry.service.catalogue import OPERATIONS as DOCUMENTED
from telemetry.service.logs import make_log
from telemetry.service.middleware import guard
from telemetry.service.pages import OPERATIONS as PAGES
from telemetry.service.problems import FieldError, Problem, respond, unavailable
from telemetry.service.queries import filter_problem
from telemetry.service.state import Service
from telemetry.service.writing import CutShortError
from telemetry.storage.ddl import LOOKED_UP
from telemetry.storage.queries import FilterError, SlowQueryError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from starlette.types import Receive, Scope, Send
    from structlog.typing import FilteringBoundLogger

    from telemetry.config import TelemetryConfig
    from telemetry.service.operations import Operation

#: Every operation, those that describe the others too.
OPERATIONS = (*DOCUMENTED, *PAGES)
#: Time to deliver what is in the journal, when the service ends.
CLOSE_TIMEOUT_S = 10.0


class Resource:
    """
    One path: an ASGI application that has the method's operation answer.

    Args:
        hidden: Operations of a path with a value in it, which this path also is.
        path_params: The value, which no router has found here.
    """

    def __init__(
        self,
        service: Service,
        operations: Mapping[str, Operation],
        hidden: Optional[Mapping[str, Operation]] = None,
        path_params: Optional[Mapping[str, str]] = None,
    ) -> None:
        self._service = service
        self._path_params = dict(path_params or {})
        own = _with_head(operations)
        self._operations = {**_with_head(hidden or {}), **own}
        self._allowed = ", ".join(sorted(own))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Answer a request; nothing is raised but what ends the connection.
        """
        begun = perf_counter()
        operation = self._operations.get(scope["method"])
        if operation is None:
            await respond(_not_allowed(scope["method"], self._allowed), scope)(scope, receive, send)
            return
        scope.setdefault("path_params", self._path_params)
        try:
            answer = await operation.handler(self._service, Request(scope, receive))
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 (whatever it is, it gets an answer)
            answer = respond(self._problem(error), scope)
        await answer(scope, receive, send)
        seconds = perf_counter() - begun
        self._service.metrics.count(operation.method, operation.path, answer.status, seconds)

    def _problem(self, error: Exception) -> Problem:
        """
        Return what an answer says of an error: never more than the kind of it.
        """
        if isinstance(error, Problem):
            return error
        if isinstance(error, FilterError):
            return filter_problem(error)
        for kind, problem in _PROBLEMS:
            if isinstance(error, kind):
                return problem
        self._service.log.error("a defect of the service", exc_info=error)
        return _DEFECT


#: What an error of the library means for whoever asked.
_PROBLEMS: tuple[tuple[type[Exception], Problem], ...] = (
    (
        CutShortError,
        unavailable(
            "journal-unavailable",
            "the journal takes no more now; the first of what was sent may be in it: send all of it"
            " again, each is kept once",
        ),
    ),
    (
        JournalError,
        unavailable("journal-unavailable", "the journal takes nothing now; nothing was changed"),
    ),
    (
        SlowQueryError,
        unavailable(
            "query-too-slow",
            "the answer must be found in time (it took too long); ask also by one of"
            f" {', '.join(LOOKED_UP)}, which are looked up, or sort by -created_at",
            5,
        ),
    ),
    (SinkError, unavailable("database-unavailable", "the database cannot be read now")),
)
_DEFECT = Problem(
    "internal-error",
    500,
    "Internal Server Error",
    "the service has a defect; its log says more under the request's id",
)


def _not_allowed(method: str, allowed: str) -> Problem:
    error = FieldError(
        loc=("request", "method"), rule=f"must be one of {allowed}", value=method, way_out="use one"
    )
    return Problem(
        "method-not-allowed",
        405,
        "Method Not Allowed",
        f"this path answers {allowed}",
        errors=[error],
        headers={"Allow": allowed},
    )


class Application(FastAPI):
    """
    FastAPI without its layers: `guard` and the resources see to errors and to the end of a request.

    A path without a value in it is one look into a dictionary; all others are the router's.
    """

    def __init__(self, service: Service, operations: Iterable[Operation]) -> None:
        super().__init__(
            title="Telemetry",
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            lifespan=_lifespan,
        )
        self.state.service = service
        paths: dict[str, dict[str, Operation]] = {}
        for operation in operations:
            paths.setdefault(operation.path, {})[operation.method] = operation
        resources = {path: Resource(service, methods) for path, methods in paths.items()}
        self.router.routes.extend(Route(path, one) for path, one in resources.items())
        self.router.default = _not_found
        self._plain = {
            path: Resource(service, methods, *_hidden_by(path, paths))
            for path, methods in paths.items()
            if "{" not in path
        }
        self._guard = guard(self._dispatch, service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Answer a request, or live from startup to shutdown.
        """
        scope["app"] = self
        await self._guard(scope, receive, send)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        resource = self._plain.get(scope["path"]) if scope["type"] == "http" else None
        await (resource or self.router)(scope, receive, send)


def _with_head(operations: Mapping[str, Operation]) -> dict[str, Operation]:
    """
    Return operations by their methods; what can be read can be asked for without its body.
    """
    head = {"HEAD": operations["GET"]} if "GET" in operations else {}
    return {**head, **operations}


def _hidden_by(
    path: str, paths: Mapping[str, Mapping[str, Operation]]
) -> tuple[Mapping[str, Operation], Mapping[str, str]]:
    """
    Return what could be done at a path if it were a value of another one, and that value.

    A run may be called ``batch``, and is looked at and corrected like any other.
    """
    for template, operations in paths.items():
        found = compile_path(template)[0].match(path) if "{" in template else None
        if found:
            return operations, found.groupdict()
    return {}, {}


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    service.start()
    try:
        yield
    finally:
        service.close(CLOSE_TIMEOUT_S)


def create_app(config: TelemetryConfig, *, log: Optional[FilteringBoundLogger] = None) -> FastAPI:
    """
    Return the service as an ASGI application; it lives from its startup to its shutdown.

    Args:
        log: Where it says what it does; on standard error by default.
    """
    return Application(Service(config, log or make_log(config.service_log_level)), OPERATIONS)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """
    Answer where there is nothing.
    """
    if scope["type"] == "http":
        error = FieldError(
            loc=("request", "path"),
            rule="must be one of the API's, without a slash at its end",
            value=scope["path"],
            way_out="GET /openapi.json lists them",
        )
        problem = Problem("not-found", 404, "Not Found", "Not Found", errors=[error])
        await respond(problem, scope)(scope, receive, send)
