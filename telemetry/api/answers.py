"""
One HTTP answer, and the error that it means.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Optional

import attrs
import msgspec

from telemetry.api.errors import (
    APIError,
    BrokenServiceError,
    ConflictError,
    FieldProblem,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    PreconditionFailedError,
    RateLimitedError,
    UnauthorizedError,
    UnavailableError,
    UnexpectedAnswerError,
)
from telemetry.model.records import DECODE_ERRORS

#: Answers that mean "not now": nothing was done, and the same request may be made again.
NOT_NOW = frozenset({429, 502, 503, 504})
PROBLEM = "application/problem+json"
#: Each answer of the service has this one.
MARK = "telemetry-base"
_MAX_SHOWN = 300
#: Said of a path that no version of the service has; a run that is not there has another type.
_NO_SUCH_PAGE = "urn:telemetry:problem:not-found"
_REDIRECTS = range(300, 400)
_BY_STATUS: Mapping[int, type[APIError]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    412: PreconditionFailedError,
    429: RateLimitedError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}
#: What a person can do about it where the service itself does not say.
_WAYS_OUT: Mapping[int, str] = {
    401: "set TELEMETRY_API_TOKEN to a token that `telemetry token create` has made",
    403: "use a token with the scope, see `telemetry token list`",
}


@attrs.frozen(kw_only=True)
class Answer:
    """
    What came back: names of headers in lower case.
    """

    method: str
    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after_s(self) -> Optional[float]:
        """
        Return how long the service wants to be left alone; None where it does not say.
        """
        text = self.headers.get("retry-after", "")
        if text.isascii() and text.isdigit():
            return float(text)
        try:
            moment = parsedate_to_datetime(text)
        except (TypeError, ValueError):
            return None
        if moment.tzinfo is None:  # HTTP's dates are UTC, also in the form that says no zone
            moment = moment.replace(tzinfo=timezone.utc)
        return max(0.0, (moment - datetime.now(timezone.utc)).total_seconds())

    @property
    def etag(self) -> Optional[str]:
        """
        Return the state of the run that was answered, for `if_match`.
        """
        return self.headers.get("etag")

    @property
    def is_ours(self) -> bool:
        """
        Return whether the telemetry service itself speaks, not a proxy or another program.
        """
        return MARK in self.headers or self.headers.get("content-type", "").startswith(PROBLEM)

    def json(self) -> Any:
        """
        Return the document in it.

        Raises:
            UnexpectedAnswerError: There is none.
        """
        try:
            return msgspec.json.decode(self.body)
        except DECODE_ERRORS:
            raise self.unexpected("its answer is no JSON") from None

    def unexpected(self, what: str) -> UnexpectedAnswerError:
        """
        Return the error for an answer that this client cannot read.
        """
        kind = self.headers.get("content-type", "no content type")
        return UnexpectedAnswerError(
            f"{self.method} {self.url} must be answered by a telemetry service, but {what}"
            f" (got {self.status}, {kind}); check the address, TELEMETRY_API_URL",
            status=self.status,
            request_id=self.headers.get("x-request-id", ""),
        )

    def check(self) -> Answer:
        """
        Return this answer if it is a success.

        Raises:
            APIError: The one that its status means.
        """
        if 200 <= self.status < 300:  # noqa: PLR2004 (what HTTP calls a success)
            return self
        raise self.error()

    def error(self) -> APIError:
        """
        Return the error that this answer means.
        """
        if self.status in _REDIRECTS:
            place = self.headers.get("location", "nowhere")
            return self.unexpected(f"it sends elsewhere, to {place[:_MAX_SHOWN]}")
        known = _BY_STATUS.get(self.status)
        if not self.is_ours and (known is None or known is NotFoundError):
            return self.unexpected("something else answers there")
        if self._problem().get("type") == _NO_SUCH_PAGE:
            return self.unexpected("it has no such page")
        return (known or self._other())(self._message(), **self._members())

    def _other(self) -> type[APIError]:
        return InvalidError if self.status < 500 else BrokenServiceError  # noqa: PLR2004 (as HTTP)

    def _members(self) -> dict[str, Any]:
        document = self._problem()
        return {
            "type": _text(document.get("type")),
            "title": _text(document.get("title")),
            "status": self.status,
            "detail": document.get("detail"),
            "errors": _fields(document.get("errors")),
            "request_id": _text(document.get("request_id")) or self.headers.get("x-request-id", ""),
            "retry_after_s": self.retry_after_s,
        }

    def _problem(self) -> Mapping[str, Any]:
        try:
            document = msgspec.json.decode(self.body)
        except DECODE_ERRORS:
            return {}
        return document if isinstance(document, dict) else {}

    def _message(self) -> str:
        document = self._problem()
        said = [_told(problem) for problem in _fields(document.get("errors"))]
        if not said:
            detail = document.get("detail")
            told = (detail, document.get("title"), document.get("status"))
            said = [next(filter(None, map(_text, told)), "")]
        text = "; ".join(filter(None, said))[:_MAX_SHOWN]
        message = f"{self.method} {self.url} was answered {self.status}"
        way_out = _WAYS_OUT.get(self.status, "")
        return "; ".join(filter(None, [f"{message}: {text}" if text else message, way_out]))


def _told(problem: FieldProblem) -> str:
    text = f"{problem.field} {problem.rule}".strip()
    if problem.value is not None:
        text += f" (got {problem.value})"
    return f"{text}, {problem.way_out}" if problem.way_out else text


def _fields(found: Any) -> tuple[FieldProblem, ...]:
    if not isinstance(found, list):
        return ()
    return tuple(
        FieldProblem(
            field=_text(each.get("field")),
            rule=_text(each.get("rule")),
            value=each.get("value"),
            way_out=_text(each.get("way_out")),
        )
        for each in found
        if isinstance(each, dict)
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
