"""
What a call to the service can end in, in one tree.

    TelemetryError
    └── APIError                           the service did not do what was asked
        ├── UnavailableError (ConnectionError)   nobody answers, or not now: 502, 503, 504
        │   └── TimedOutError (TimeoutError)     no answer in time; it may still have been done
        ├── RateLimitedError                     429: too many requests of this client
        ├── UnauthorizedError (PermissionError)  401: no token, or one that is not known
        ├── ForbiddenError (PermissionError)     403: the token, or the address, may not do this
        ├── NotFoundError (LookupError)          404: no such run, or no such page
        ├── ConflictError                        409: something stands against it
        │   └── PreconditionFailedError          412: the run is not what If-Match says it was
        ├── InvalidError (ValueError)            any other 4xx, and what is refused unsent
        ├── BrokenServiceError (RuntimeError)    any other 5xx
        └── UnexpectedAnswerError (RuntimeError) a redirect, or an answer that is not the service's

Each carries what the service's problem document (RFC 9457) said; `status` is None where no answer
came at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import attrs

from telemetry.model.errors import TelemetryError


@attrs.frozen(kw_only=True)
class FieldProblem:
    """
    What is wrong with one field of a request.
    """

    #: The field, as a dotted path where it is nested; empty for the request as a whole.
    field: str = ""
    #: What a value must be, to stand after the field's name.
    rule: str = ""
    #: The value that broke the rule, cut where it is long.
    value: Any = None
    #: What to do about it.
    way_out: str = ""


class APIError(TelemetryError):
    """
    The service did not do what was asked.

    Args:
        message: What happened, for a person.
        type: The problem's stable name, ``urn:telemetry:problem:…``; empty where none came.
        title: The kind of problem in a few words.
        status: The HTTP status; None where no answer came.
        detail: What the service said: a text, or for 422 a list of objects.
        errors: The fields that are at fault.
        request_id: The name of the request in the service's log.
        retry_after_s: How long the service wants to be left alone, in seconds.
    """

    def __init__(  # noqa: PLR0913 (the members of a problem document)
        self,
        message: str,
        *,
        type: str = "",  # noqa: A002 (the member's name in RFC 9457)
        title: str = "",
        status: Optional[int] = None,
        detail: Any = None,
        errors: Sequence[FieldProblem] = (),
        request_id: str = "",
        retry_after_s: Optional[float] = None,
    ) -> None:
        super().__init__(message)
        self.type = type
        self.title = title
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.request_id = request_id
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        """
        Return the message, whatever else is carried.
        """
        return str(self.args[0])


class UnavailableError(APIError, ConnectionError):
    """
    Nobody answers at that address, or the service cannot do it now; nothing was changed.
    """


class TimedOutError(UnavailableError, TimeoutError):
    """
    No answer came in time. What was asked may still have been done.
    """


class RateLimitedError(APIError):
    """
    This client asks too often; `retry_after_s` says when it may again.
    """


class UnauthorizedError(APIError, PermissionError):
    """
    The service asks for a token and got none, or one that it does not know.
    """


class ForbiddenError(APIError, PermissionError):
    """
    The token lacks the scope, or the service refuses the address it was asked by.
    """


class NotFoundError(APIError, LookupError):
    """
    There is no such run.
    """


class ConflictError(APIError):
    """
    What is there already stands against what was asked.
    """


class PreconditionFailedError(ConflictError):
    """
    The run has changed since the `if_match` of the call was read; read it again.
    """


class InvalidError(APIError, ValueError):
    """
    The request means nothing to the service, or was refused before it was sent.
    """


class BrokenServiceError(APIError, RuntimeError):
    """
    The service met a defect of its own; its log says more under `request_id`.
    """


class UnexpectedAnswerError(APIError, RuntimeError):
    """
    What answers at that address is not this service, or not a version that this client knows.
    """
