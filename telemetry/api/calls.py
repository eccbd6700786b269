"""
What is asked of the service: one description of each call, for both clients.

A `Call` says what is sent and how the answer is read; it does nothing. Times are written in UTC;
one without a zone is refused here, because the service cannot know which was meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from enum import Enum
from typing import Any, Callable, Generic, Optional, TypeVar, Union
from urllib.parse import quote

import attrs
import msgspec

from telemetry.api import readers, results
from telemetry.api.answers import Answer
from telemetry.api.errors import FieldProblem, InvalidError
from telemetry.model.run import COLUMNS, Kind, Run
from telemetry.model.values import canonical_time, time_text

AnswerType = TypeVar("AnswerType")
Value = Union[str, int, bool, datetime, Enum, None]
#: What a filter may be: a value, or several of which one must fit.
FilterValue = Union[Value, Sequence[Value]]
#: A run to be created: its fields by name, or the run itself.
NewRun = Union[Run, Mapping[str, Any]]

API = "/api/v1"
RUNS = f"{API}/runs"
JSON = "application/json"
NDJSON = "application/x-ndjson"
#: Runs in one request of `create_runs`.
MAX_BATCH_RUNS = 1000
#: Rows in one page.
MAX_PAGE_ROWS = 1000
#: Records in one request of `send_records`.
MAX_RECORDS = 10_000
#: Bytes of what goes in one request beside other of its kind, well below what the service takes.
MAX_BODY_BYTES = 4 << 20
NEWEST_FIRST = "-created_at"

_TIMES = frozenset(name for name, column in COLUMNS.items() if column.kind is Kind.TIME)
_TIME_FILTERS = ("_from", "_to", "_before", "_after")
#: Columns that the service sets itself.
_NOT_POSTED = frozenset({"updated_at", "schema_version"})
_GOOD_TIME = "2026-11-22T05:13:00Z"
_encode = msgspec.json.Encoder().encode


class Repeat(Enum):
    """
    When a call may be made again after it failed.
    """

    #: Doing it twice is as doing it once.
    ALWAYS = "always"
    #: Only where it was certainly not done: nobody was reached, or the service said so.
    UNDONE = "undone"


@attrs.frozen(kw_only=True)
class Call(Generic[AnswerType]):
    """
    One request, and how its answer is read.
    """

    method: str
    path: str
    read: Callable[[Answer], AnswerType]
    params: tuple[tuple[str, str], ...] = ()
    body: Optional[bytes] = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    repeat: Repeat = Repeat.ALWAYS

    def options(self) -> dict[str, Any]:
        """
        Return what httpx sends.
        """
        return {"params": list(self.params), "content": self.body, "headers": dict(self.headers)}


def create_run(run: NewRun) -> Call[results.CreateResult]:
    """
    Hand over one run.
    """
    return _with_json("POST", RUNS, _document(run), readers.of(results.CreateResult))


def create_runs(runs: Iterable[NewRun]) -> Iterator[Call[results.BatchResult]]:
    """
    Hand over any number of runs, as many in a call as a body may hold.
    """
    for chunk in _chunks(_json(_document(run)) for run in runs):
        yield Call(
            method="POST",
            path=f"{RUNS}/batch",
            body=b"[%b]" % b",".join(chunk),
            headers={"Content-Type": JSON},
            read=readers.of(results.BatchResult),
        )


def page(
    filters: Mapping[str, FilterValue],
    *,
    limit: int,
    offset: int = 0,
    cursor: Optional[str] = None,
    sort: str = NEWEST_FIRST,
) -> Call[results.Page]:
    """
    Ask for a page of the runs that fit.
    """
    asked: dict[str, FilterValue] = {**filters, "sort": sort, "limit": limit}
    if offset:
        asked["offset"] = offset
    if cursor is not None:
        asked["cursor"] = cursor
    return Call(method="GET", path=RUNS, params=_params(asked), read=readers.page)


def run(event_id: str) -> Call[results.StoredRun]:
    """
    Ask for one run.
    """
    return Call(method="GET", path=_path(event_id), read=readers.stored_run)


def update_run(
    event_id: str, fields: Mapping[str, Any], *, if_match: Optional[str]
) -> Call[results.EditResult]:
    """
    Correct fields of a run; None clears one.
    """
    document = {name: _plain(name, value) for name, value in fields.items()}
    read = readers.edited
    return _edit("PATCH", _path(event_id), document, read, if_match=if_match)


def delete_run(event_id: str, *, if_match: Optional[str]) -> Call[None]:
    """
    Delete a run.
    """
    return _edit("DELETE", _path(event_id), None, readers.nothing, if_match=if_match)


def associate_commit(
    event_id: str,
    commit_hash: str,
    commit_source: str,
    *,
    commit_author: Optional[str],
    commit_timestamp: Union[datetime, str, None],
) -> Call[results.CommitResult]:
    """
    Link the commit that came of a run.
    """
    said = {
        "commit_hash": commit_hash,
        "commit_source": commit_source,
        "commit_author": commit_author,
        "commit_timestamp": None
        if commit_timestamp is None
        else _time("commit_timestamp", commit_timestamp),
    }
    document = {name: value for name, value in said.items() if value is not None}
    path = _path(event_id, "associate-commit")
    return _edit("POST", path, document, readers.of(results.CommitResult), if_match=None)


def beside(
    event_id: str,
    what: readers.Beside[AnswerType],
    *,
    cursor: Optional[str] = None,
    limit: int = MAX_PAGE_ROWS,
) -> Call[results.Items[AnswerType]]:
    """
    Ask for a page of what belongs to a run.
    """
    asked: dict[str, FilterValue] = {"limit": limit}
    if cursor is not None:
        asked["cursor"] = cursor
    path = _path(event_id, what.name)
    return Call(method="GET", path=path, params=_params(asked), read=what.read)


def link(event_id: str, what: str) -> Call[Optional[str]]:
    """
    Ask for a run's ``commit-url`` or ``repo-url``.
    """
    key = what.replace("-", "_")
    return Call(method="GET", path=_path(event_id, what), read=readers.link(key))


def stats(name: str, filters: Mapping[str, FilterValue]) -> Call[dict[str, Any]]:
    """
    Ask for one of the statistics.
    """
    path = f"{API}/stats/{quote(name, safe='')}"
    return Call(method="GET", path=path, params=_params(filters), read=readers.document)


def send_records(lines: Iterable[bytes]) -> Iterator[Call[results.RecordsResult]]:
    """
    Ship lines of a journal, as many in a call as a body may hold.
    """
    whole = (line if line.endswith(b"\n") else line + b"\n" for line in lines)
    for chunk in _chunks(whole, count=MAX_RECORDS):
        yield Call(
            method="POST",
            path=f"{API}/records",
            body=b"".join(chunk),
            headers={"Content-Type": NDJSON},
            read=readers.of(results.RecordsResult),
        )


def _chunks(pieces: Iterable[bytes], *, count: int = MAX_BATCH_RUNS) -> Iterator[list[bytes]]:
    """
    Yield so many pieces at a time as are not too many, nor too large together.
    """
    chunk: list[bytes] = []
    size = 0
    for piece in pieces:
        if chunk and (len(chunk) >= count or size + len(piece) > MAX_BODY_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(piece)
        size += len(piece)
    if chunk:
        yield chunk


def _with_json(
    method: str, path: str, document: Any, read: Callable[[Answer], AnswerType]
) -> Call[AnswerType]:
    return Call(
        method=method,
        path=path,
        body=_json(document),
        headers={"Content-Type": JSON},
        read=read,
    )


def _edit(
    method: str,
    path: str,
    document: Optional[Mapping[str, Any]],
    read: Callable[[Answer], AnswerType],
    *,
    if_match: Optional[str],
) -> Call[AnswerType]:
    headers = {} if document is None else {"Content-Type": JSON}
    if if_match is not None:
        headers["If-Match"] = if_match
    return Call(
        method=method,
        path=path,
        body=None if document is None else _json(document),
        headers=headers,
        read=read,
        # With If-Match a second time cannot undo what somebody else did in between.
        repeat=Repeat.UNDONE if if_match is None else Repeat.ALWAYS,
    )


def _json(document: Any) -> bytes:
    try:
        return bytes(_encode(document))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _refused("body", f"must be JSON: {error}", "send plain data", None) from None


def _path(event_id: str, what: str = "") -> str:
    if not event_id or event_id in {".", ".."}:
        raise _refused("event_id", "must be the key of a run", "see `runs`", event_id)
    try:
        name = quote(event_id, safe="")
    except UnicodeEncodeError:
        raise _refused("event_id", "must be Unicode text", "see `runs`", None) from None
    return f"{RUNS}/{name}/{what}" if what else f"{RUNS}/{name}"


def _document(run: NewRun) -> dict[str, Any]:
    if isinstance(run, Run):
        # Not before it is needed: most callers read, and cattrs is slow to import.
        from telemetry.model.converters import run_to_plain

        plain = run_to_plain(run).items()
        return {
            name: value for name, value in plain if name not in _NOT_POSTED and value is not None
        }
    return {name: _plain(name, value) for name, value in run.items() if value is not None}


def _plain(name: str, value: Any) -> Any:
    """
    Return a field's value as a body holds it.
    """
    if value is not None and (name in _TIMES or isinstance(value, datetime)):
        return _time(name, value)
    return value.value if isinstance(value, Enum) else value


def _params(asked: Mapping[str, FilterValue]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, _text(name, one))
        for name, value in asked.items()
        for one in (value if isinstance(value, (list, tuple)) else (value,))
        if one is not None
    )


def _text(name: str, value: Any) -> str:
    if isinstance(value, datetime) or (value and name.endswith(_TIME_FILTERS)):
        return _time(name, value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value.value if isinstance(value, Enum) else value)


def _time(name: str, value: Any) -> str:
    """
    Return a time as the service reads it.
    """
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            right = value.replace(tzinfo=timezone.utc).isoformat()
            raise _refused(name, "must carry a time zone", f"such as {right}", value.isoformat())
        return time_text(value)
    if not isinstance(value, str) or canonical_time(value) is None:
        raise _refused(name, "must be an ISO 8601 time", f"such as {_GOOD_TIME}", value)
    if not _has_zone(value.strip()):
        right = f"{value.strip().replace(' ', 'T')}Z"
        raise _refused(name, "must carry a time zone", f"such as {right}", value)
    return value


def _has_zone(text: str) -> bool:
    # Behind the date, where a minus can only begin an offset.
    return text[-1] in "Zz" or any(sign in text[10:] for sign in "+-")


def _refused(name: str, rule: str, way_out: str, value: Any) -> InvalidError:
    got = "" if value is None else f" (got {value!r})"
    problem = FieldProblem(field=name, rule=rule, value=value, way_out=way_out)
    return InvalidError(f"{name} {rule}{got}; {way_out}", errors=[problem])


HEALTH = Call(method="GET", path="/health", read=readers.health)
READY = Call(method="GET", path="/readyz", read=readers.health)
METRICS = Call(method="GET", path="/metrics", read=readers.of(results.Metrics))
METADATA = Call(method="GET", path=f"{API}/metadata", read=readers.of(results.Metadata))
