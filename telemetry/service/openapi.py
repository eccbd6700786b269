"""
The OpenAPI document, made from the operations and the run's fields alone.

It is the same under every version of the libraries; ``docs/reference/openapi.json`` is this text.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from telemetry.model.run import Kind
from telemetry.service.bodies import SPELLINGS
from telemetry.service.catalogue import OPERATIONS
from telemetry.service.queries import BY_PART, DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET
from telemetry.service.schemas import KEY_PATTERN, example_run, schemas
from telemetry.storage.queries import NEWEST_FIRST, PARAMETERS, SORTABLE, STATS, STATS_PARAMETERS

if TYPE_CHECKING:
    from telemetry.service.operations import Operation
    from telemetry.storage.queries import Parameter

_REF = "#/components"
#: What any operation may answer, by its status.
_COMMON = {
    401: "No token, or none that is taken",
    403: "The token, the host or the origin may not do this",
    408: "The request took too long",
    414: "The URL is too long",
    429: "Too many requests",
    431: "Too many headers, or too large ones",
    500: "A defect of the service",
    503: "Not now; Retry-After says when",
}
_WORDS = {
    400: "A value means nothing here",
    404: "There is no such run",
    409: "The run has ended, and stays so",
    412: "The run is not any more as If-Match says",
    413: "The body is too large",
    415: "The body is of a kind that is not taken",
    422: "A value cannot be taken; errors name each",
}
_OK = {
    200: "Done",
    201: "Taken: it is in the journal",
    304: "The run is as If-None-Match says",
    503: "Not ready",
}
#: What headers of an answer say, by their names.
_HEADERS = {
    "X-Request-ID": "The name of the request, also in the service's log.",
    "Telemetry-Base": "The identity of the service's data.",
    "ETag": "The run's state, for If-Match and If-None-Match.",
    "Link": "The pages beside this one.",
    "Retry-After": "Seconds after which to ask again.",
    "WWW-Authenticate": "How to say who asks.",
    "X-RateLimit-Limit": "Requests that a client may send in a minute, where they are limited.",
    "X-RateLimit-Remaining": "Requests that are left of these.",
    "X-RateLimit-Reset": "When they are counted anew, a Unix time.",
    "Accept-Post": "The types of body that are taken.",
    "Accept-Encoding": "The encodings of a body that are taken.",
}
_ALWAYS = ("X-Request-ID", "Telemetry-Base")
_LIMITS = tuple(name for name in _HEADERS if name.startswith("X-RateLimit-"))
_HEADERS_OF = {
    401: ("WWW-Authenticate",),
    403: ("WWW-Authenticate",),
    412: ("ETag",),
    415: ("Accept-Post", "Accept-Encoding"),
    429: ("Retry-After", *_LIMITS),
    503: ("Retry-After",),
}


@lru_cache(maxsize=1)
def text() -> str:
    """
    Return the document as it is served and committed.
    """
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def document() -> dict[str, Any]:
    """
    Return the document.
    """
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Telemetry",
            "version": version("telemetry"),
            "description": "Runs of agents: handed over, listed, corrected and counted. "
            "An answer of 2xx to a write means that it is in the journal.",
        },
        "servers": [{"url": "http://127.0.0.1:8765"}],
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "parameters": _parameters(),
            "responses": {
                str(status): _problem(words, *_HEADERS_OF.get(status, ()))
                for status, words in _problem_words()
            },
            "headers": {
                name: {"description": words, "schema": {"type": "string"}}
                for name, words in _HEADERS.items()
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _problem_words() -> list[tuple[int, str]]:
    return sorted({**_COMMON, **_WORDS}.items())


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": " ".join((operation.handler.__doc__ or "").split()),
    }
    parameters = [*_in_path(operation.path), *operation.parameters]
    if parameters:
        described["parameters"] = [{"$ref": f"{_REF}/parameters/{name}"} for name in parameters]
    if operation.body:
        described["requestBody"] = {
            # No records at all are as good as none.
            "required": operation.body != "Records",
            "content": {operation.body_type: _content(operation.body)},
        }
    described["responses"] = _responses(operation)
    if operation.tag == "health" and operation.path != "/metrics":
        described["security"] = [{}]
    return described


def _content(name: str) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": _schema(name)}
    if name == "RunCreate[]":
        content["example"] = [example_run()]
    return content


def _schema(name: str) -> dict[str, Any]:
    if name.endswith("[]"):
        return {"type": "array", "items": _schema(name[:-2])}
    return {"$ref": f"{_REF}/schemas/{name}"}


def _responses(operation: Operation) -> dict[str, Any]:
    problems = {*_COMMON, *operation.problems, *((413, 415) if operation.body else ())}
    responses: dict[str, Any] = {
        str(status): {"$ref": f"{_REF}/responses/{status}"} for status in sorted(problems)
    }
    for status, name in operation.answers.items():
        responses[str(status)] = {
            "description": _OK[status],
            "headers": _headers(*_said_by(name), *_LIMITS),
            **_contents(operation, name),
        }
    responses["default"] = _problem("The request was refused")
    return dict(sorted(responses.items()))


def _said_by(name: str) -> tuple[str, ...]:
    """
    Return the headers of an answer by its schema; one without any is a run that has not changed.
    """
    if name.endswith("[]"):
        return ("Link",)
    return ("ETag",) if name in {"", "Run", "UpdateResult"} else ()


def _contents(operation: Operation, name: str) -> dict[str, Any]:
    if not name:
        return {}
    content = {"application/json": {"schema": _schema(name)}}
    if operation.path == "/metrics":
        content["text/plain"] = {"schema": {"type": "string"}}
    return {"content": content}


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"{_REF}/headers/{name}"} for name in (*_ALWAYS, *names)}


def _problem(words: str, *headers: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": f"{_REF}/schemas/Problem"}}}
    return {"description": words, "headers": _headers(*headers), "content": content}


def _in_path(path: str) -> list[str]:
    return [f"path_{name}" for name in ("event_id", "name") if f"{{{name}}}" in path]


def _parameters() -> dict[str, Any]:
    paths = {
        "event_id": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": KEY_PATTERN},
        "name": {"type": "string", "enum": list(STATS)},
    }
    # The run's own key is also a filter; in a path it is another parameter of that name.
    keys = {
        f"path_{name}": {"name": name, "in": "path", "required": True, "schema": schema}
        for name, schema in paths.items()
    }
    filters = {name: _filter(one) for name, one in PARAMETERS.items()}
    return {**filters, **_stats(), **_paging(), **keys}


def _filter(parameter: Parameter) -> dict[str, Any]:
    column = parameter.column
    schema: dict[str, Any] = {"type": "string"}
    if column.kind is Kind.COUNT:
        schema = {"type": "integer", "format": "int64", "minimum": 0, "maximum": MAX_OFFSET}
    elif column.kind is Kind.FLAG:
        schema = {"type": "boolean"}
    elif column.kind is Kind.TIME:
        schema = _or_empty({"type": "string", "format": "date-time"})
    elif column.choices:
        choices = list(SPELLINGS) if column.kind is Kind.STATUS else list(column.choices)
        schema = {"type": "string", "enum": choices}
    elif column.max_length:
        schema["maxLength"] = column.max_length
    if parameter.takes_several:
        schema = {"type": "array", "items": schema, "maxItems": 50}
    return _query(parameter.name, parameter.doc, schema)


def _or_empty(schema: dict[str, Any]) -> dict[str, Any]:
    """
    Return what a parameter may be that is no condition where it is empty.
    """
    return {"anyOf": [schema, {"type": "string", "maxLength": 0}]}


def _stats() -> dict[str, Any]:
    return {
        name: _query(name, words, _or_empty({"type": "string", "format": "date"}))
        for name, words in STATS_PARAMETERS.items()
        if name not in PARAMETERS
    }


def _paging() -> dict[str, Any]:
    columns = [f"{sign}{name}" for name in sorted(SORTABLE) for sign in ("", "-")]
    limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
    offset = {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0}
    sort = {"type": "string", "enum": columns, "default": NEWEST_FIRST}
    part = {"type": "string"}
    return {
        BY_PART: _query(BY_PART, "Runs whose event_id or run_id begins or ends with this.", part),
        "limit": _query("limit", "Rows in one page.", limit),
        "offset": _query("offset", "Rows to pass over; a cursor is cheaper.", offset),
        "cursor": _query("cursor", "Where a page begins, as Link says.", {"type": "string"}),
        "sort": _query("sort", "A column, after a minus for the highest first.", sort),
        "If-Match": _precondition("If-Match", "The ETag that the run must still have."),
        "If-None-Match": _precondition("If-None-Match", "The ETag of a run that is there already."),
    }


def _precondition(name: str, words: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": words, "schema": {"type": "string"}}


def _query(name: str, words: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": words, "schema": schema}
