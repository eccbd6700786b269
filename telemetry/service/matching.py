"""
Whether a run is still, or again, what a client has seen: If-Match and If-None-Match.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telemetry.service.answers import Answer
from telemetry.service.problems import FieldError, Problem

if TYPE_CHECKING:
    from starlette.requests import Request

_ANY = "*"
_WEAK = "W/"


def check_match(request: Request, now: str) -> None:
    """
    Refuse an edit of a run that is not any more what the editor saw.

    Args:
        now: The run's ETag.

    Raises:
        Problem: 412; the run has changed.
    """
    wanted = _tags(request, "if-match")
    if not wanted or _ANY in wanted or now in wanted:
        return
    error = FieldError(
        loc=("header", "If-Match"),
        rule="must be the ETag that the run has now",
        value=", ".join(wanted),
        way_out="read it again and decide anew",
    )
    raise Problem(
        "precondition-failed",
        412,
        "The run has changed",
        "The run is not any more as If-Match says; read it again and decide anew",
        errors=[error],
        headers={"ETag": now},
    )


def is_known(request: Request, now: str) -> bool:
    """
    Tell whether a client that reads a run has it already as it is.
    """
    known = [one.removeprefix(_WEAK) for one in _tags(request, "if-none-match")]
    return _ANY in known or now in known


def not_modified(now: str) -> Answer:
    """
    Return the answer to a client that has the run as it is: there is nothing new in it.
    """
    answer = Answer(b"", 304)
    answer.headers = [(b"etag", now.encode())]
    return answer


def _tags(request: Request, header: str) -> list[str]:
    said = ",".join(request.headers.getlist(header))
    return [one.strip() for one in said.split(",") if one.strip()]
