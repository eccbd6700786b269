"""
How an answer of the service becomes a result.

Each reader takes an `Answer` and raises UnexpectedAnswerError where it is not what was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Callable, Generic, Optional, TypeVar
from urllib.parse import parse_qs, urlsplit

import attrs
import httpx
import msgspec

from telemetry.api.answers import Answer
from telemetry.api.results import (
    EditResult,
    Health,
    HistoryRecord,
    Items,
    Page,
    RunEvent,
    StoredRun,
)

ResultType = TypeVar("ResultType")


def of(cls: type[ResultType]) -> Callable[[Answer], ResultType]:
    """
    Return the reader of answers that are an object of a class.
    """

    def read(answer: Answer) -> ResultType:
        return convert(answer, answer.json(), cls)

    return read


def convert(answer: Answer, document: Any, cls: type[ResultType]) -> ResultType:
    """
    Return a part of an answer as an object of a class.

    Raises:
        UnexpectedAnswerError: It is none.
    """
    try:
        return msgspec.convert(document, cls)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        raise answer.unexpected(f"it says what this client cannot read: {error}") from None


def stored_run(answer: Answer) -> StoredRun:
    """
    Read an answer that is one run.
    """
    return attrs.evolve(_run(answer, answer.json()), etag=answer.etag)


def _run(answer: Answer, document: Any) -> StoredRun:
    if isinstance(document, dict):
        # Null is nothing: the field's default.
        document = {name: value for name, value in document.items() if value is not None}
    return convert(answer, document, StoredRun)


def page(answer: Answer) -> Page:
    """
    Read an answer that is a page of runs.
    """
    links = cursors(answer)
    return Page(
        runs=tuple(_run(answer, each) for each in rows(answer)),
        next=links.get("next"),
        previous=links.get("prev"),
    )


def rows(answer: Answer) -> Sequence[Any]:
    """
    Return the items of an answer that is an array.
    """
    document = answer.json()
    if not isinstance(document, list):
        raise answer.unexpected("it is no array")
    return document


def cursors(answer: Answer) -> dict[str, str]:
    """
    Return the cursors of the pages beside a page, by relation, as `Link` names them.
    """
    text = answer.headers.get("link")
    if text is None:
        return {}
    links = httpx.Response(answer.status, headers={"Link": text}).links
    found = {}
    for relation, link in links.items():
        cursor = parse_qs(urlsplit(link.get("url", "")).query).get("cursor")
        if relation and cursor:
            found[relation] = cursor[0]
    return found


@attrs.frozen
class Beside(Generic[ResultType]):
    """
    A list that each run has: its name in the path, and how a row of it is read.
    """

    name: str
    read_row: Callable[[Answer, Any], ResultType]

    def read(self, answer: Answer) -> Items[ResultType]:
        """
        Read a page of it.
        """
        items = [self.read_row(answer, each) for each in rows(answer)]
        return Items(items=items, next=cursors(answer).get("next"))


EVENTS = Beside("events", partial(convert, cls=RunEvent))
HISTORY = Beside("history", partial(convert, cls=HistoryRecord))
CHILDREN = Beside("children", _run)


def edited(answer: Answer) -> EditResult:
    """
    Read the answer to a correction.
    """
    return attrs.evolve(of(EditResult)(answer), etag=answer.etag)


def health(answer: Answer) -> Health:
    """
    Read what the service says of itself.
    """
    found = document(answer)
    return attrs.evolve(convert(answer, found, Health), details=found)


def document(answer: Answer) -> dict[str, Any]:
    """
    Read an answer that is any object.
    """
    return convert(answer, answer.json(), dict[str, Any])


def link(key: str) -> Callable[[Answer], Optional[str]]:
    """
    Return the reader of answers that hold an address, or null.
    """

    def read(answer: Answer) -> Optional[str]:
        found: Optional[str] = convert(answer, document(answer).get(key), Optional[str])  # type: ignore[arg-type]
        return found

    return read


def nothing(_: Answer) -> None:
    """
    Read an answer that only says that it was done.
    """
