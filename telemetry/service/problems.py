"""
What the service answers when it does not do what it was asked: RFC 9457 problem details.

``type`` is a URN that never changes, ``detail`` is what FastAPI's clients expect there (a text, or
for a body that cannot be taken a list), ``errors`` names each field, its rule, the value and the
way out. No body ever holds a path, a statement or a stack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, Union

import attrs
import msgspec

from telemetry.model.values import clean_text
from telemetry.service.answers import PROBLEM_JSON, Answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.types import Scope

URN = "urn:telemetry:problem:"
MAX_SHOWN_CHARS = 80
#: Problems that one answer names; the count of the others follows.
MAX_ERRORS = 100

_encode = msgspec.json.Encoder().encode

Detail = Union[str, "Sequence[Mapping[str, Any]]"]


@attrs.frozen(kw_only=True)
class FieldError:
    """
    What is wrong with one value.
    """

    #: Where it stands: ``("body", 3, "status")``, ``("query", "limit")``.
    loc: tuple[Union[str, int], ...]
    rule: str
    value: Any = None
    way_out: str = ""
    #: One word for programs, in pydantic's manner.
    type: str = "value_error"

    @property
    def field(self) -> str:
        """
        Return the field's name; the place's, where the whole body is meant, or an item of it.
        """
        last = self.loc[-1]
        return last if isinstance(last, str) else f"item {last}"

    @property
    def message(self) -> str:
        """
        Return all of it as one line.
        """
        way_out = f"; {self.way_out}" if self.way_out else ""
        return f"{self.field} {self.rule} (got {shown(self.value)}){way_out}"


class Problem(Exception):  # noqa: N818 (the name that RFC 9457 gives it)
    """
    A request that cannot be answered as asked.
    """

    def __init__(  # noqa: PLR0913 (what an answer says)
        self,
        slug: str,
        status: int,
        title: str,
        detail: Detail = "",
        *,
        errors: Sequence[FieldError] = (),
        headers: Optional[Mapping[str, str]] = None,
    ) -> None:
        super().__init__(title)
        self.slug = slug
        self.status = status
        self.title = title
        self.detail = detail or (errors[0].message if errors else title)
        self.errors = errors
        self.headers = dict(headers or {})


def shown(value: Any) -> str:
    """
    Return a value for a message: short, and on one line.
    """
    try:
        text = value if isinstance(value, str) else bytes(_encode(value)).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        text = f"a {type(value).__name__}"
    if isinstance(value, str):
        text = f"'{clean_text(text[: MAX_SHOWN_CHARS + 1])}'"
    return text if len(text) <= MAX_SHOWN_CHARS + 2 else f"{text[:MAX_SHOWN_CHARS]}…"


def invalid(errors: Sequence[FieldError]) -> Problem:
    """
    Return the problem of a request whose values cannot be taken.
    """
    named = errors[:MAX_ERRORS]
    detail = [
        {
            "type": error.type,
            "loc": list(error.loc),
            "msg": error.message,
            "input": shown(error.value),
        }
        for error in named
    ]
    return Problem("invalid-request", 422, "The request holds invalid values", detail, errors=named)


def bad_filter(error: FieldError) -> Problem:
    """
    Return the problem of a filter that means nothing.
    """
    return Problem("invalid-filter", 400, "A filter cannot be used", error.message, errors=[error])


def not_found(event_id: str) -> Problem:
    """
    Return the problem of a run that is not there.
    """
    error = FieldError(
        loc=("path", "event_id"),
        rule="must be that of a run that is here, and was not deleted",
        value=event_id,
        way_out="GET /api/v1/runs lists them",
    )
    detail = f"Run not found: {event_id[:255]}"
    return Problem("run-not-found", 404, "Run not found", detail, errors=[error])


def unavailable(slug: str, detail: str, retry_after_s: int = 1) -> Problem:
    """
    Return the problem of a service that could do it, but not now.
    """
    return Problem(
        slug,
        503,
        "Service unavailable",
        detail,
        headers={"Retry-After": str(retry_after_s)},
    )


def problem_response(problem: Problem, *, request_id: str = "", instance: str = "") -> Answer:
    """
    Return a problem as an answer; any ASGI code can send it.
    """
    body: dict[str, Any] = {
        "type": f"{URN}{problem.slug}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.errors:
        body["errors"] = [
            {
                "field": error.field,
                "rule": error.rule,
                "value": shown(error.value),
                "way_out": error.way_out,
            }
            for error in problem.errors
        ]
    if request_id:
        body["request_id"] = request_id
    if instance:
        body["instance"] = instance
    return Answer(_encode(body), problem.status, problem.headers, media_type=PROBLEM_JSON)


def respond(problem: Problem, scope: Scope) -> Answer:
    """
    Return a problem as the answer to a request.
    """
    return problem_response(
        problem,
        request_id=str(scope.get("state", {}).get("request_id", "")),
        instance=clean_text(scope.get("path", ""))[:1024],
    )
