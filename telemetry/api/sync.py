"""
The client that waits for each answer.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Optional, TypeVar, Union

import httpx

from telemetry.api import calls, readers, results
from telemetry.api.base import DEFAULT_RETRIES, DEFAULT_TIMEOUT_S, Caller, Walk
from telemetry.api.calls import Call, FilterValue, NewRun

if TYPE_CHECKING:
    from types import TracebackType

    from telemetry.config.secret import Secret

ResultType = TypeVar("ResultType")


class TelemetryAPI(Caller):
    """
    The telemetry service, as Python calls.

    Safe from any thread. Use it as a context manager, or call `close`; after a fork, the child
    makes one of its own.

    Reads, and what is handed over (its event_id makes a second time harmless), are tried again
    where the connection fails or the service says "not now". A correction is tried again only where
    it was certainly not done, or where ``if_match`` makes a second time harmless.

    Args:
        url: Where the service is; TELEMETRY_API_URL by default.
        token: What is shown to it; TELEMETRY_API_TOKEN by default, empty for none.
        timeout_s: How long to wait for each part of an answer, in seconds.
        retries: How often a call is tried again.

    Raises:
        SettingsError: The address or the token cannot be used.
        ValueError: timeout_s is not above 0, or retries is below it.
        APIError: From every call; its classes say what happened.
    """

    def __init__(
        self,
        url: Optional[str] = None,
        token: Union[str, Secret, None] = None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retries: int = DEFAULT_RETRIES,
    ) -> None:
        super().__init__(url, token, timeout_s=timeout_s, retries=retries)
        self._http = httpx.Client(**self.options())

    def create_run(self, run: NewRun) -> results.CreateResult:
        """
        Hand over one run: its fields by name, or a `Run`.

        One whose event_id is known is a duplicate and changes nothing, but brings the outcome of a
        run that was still running.
        """
        return self._do(calls.create_run(run))

    def create_runs(self, runs: Iterable[NewRun]) -> results.BatchResult:
        """
        Hand over any number of runs, in chunks; one that is refused spoils nothing.
        """
        done = results.BatchResult(inserted=0, duplicates=0, total=0)
        for call in calls.create_runs(runs):
            done = done.with_next(self._do(call))
        return done

    def runs(
        self,
        *,
        limit: Optional[int] = None,
        page_size: int = calls.MAX_PAGE_ROWS,
        sort: str = calls.NEWEST_FIRST,
        **filters: FilterValue,
    ) -> Iterator[results.StoredRun]:
        """
        Yield the runs that fit, page after page as they are consumed.

        Args:
            limit: At most so many; all of them by default.
            page_size: Runs in one request.
            sort: A field, after a minus for the highest first.
            filters: What fields must be, by name: ``agent_name="a"``, ``status=["failed",
                "timeout"]``, ``created_before=moment``; docs/reference/http-api.md lists them.
        """
        walk = Walk(filters, limit=limit, page_size=page_size, sort=sort)
        return self._runs(walk)

    def page(
        self,
        *,
        limit: int = 100,
        offset: int = 0,
        cursor: Optional[str] = None,
        sort: str = calls.NEWEST_FIRST,
        **filters: FilterValue,
    ) -> results.Page:
        """
        Return one page of the runs that fit.

        Args:
            limit: Runs in it, at most 1,000.
            offset: How many to pass over, where there is no cursor.
            cursor: ``next`` or ``previous`` of another page of the same list.
            sort: A field, after a minus for the highest first.
            filters: As in `runs`.
        """
        return self._do(calls.page(filters, limit=limit, offset=offset, cursor=cursor, sort=sort))

    def run(self, event_id: str) -> results.StoredRun:
        """
        Return one run, with its ``etag``.
        """
        return self._do(calls.run(event_id))

    def update_run(
        self, event_id: str, fields: Mapping[str, Any], *, if_match: Optional[str] = None
    ) -> results.EditResult:
        """
        Correct fields of a run; None clears one.

        Args:
            if_match: The run's ``etag``; where it has changed since, `PreconditionFailedError`.
        """
        return self._do(calls.update_run(event_id, fields, if_match=if_match))

    def delete_run(self, event_id: str, *, if_match: Optional[str] = None) -> None:
        """
        Delete a run.
        """
        self._do(calls.delete_run(event_id, if_match=if_match))

    def associate_commit(
        self,
        event_id: str,
        commit_hash: str,
        commit_source: str,
        *,
        commit_author: Optional[str] = None,
        commit_timestamp: Union[datetime, str, None] = None,
    ) -> results.CommitResult:
        """
        Link the commit that came of a run.

        Args:
            commit_hash: 7 to 40 hex digits.
            commit_source: ``manual``, ``llm`` or ``ci``.
        """
        return self._do(
            calls.associate_commit(
                event_id,
                commit_hash,
                commit_source,
                commit_author=commit_author,
                commit_timestamp=commit_timestamp,
            )
        )

    def events(self, event_id: str) -> Iterator[results.RunEvent]:
        """
        Yield what a run logged, oldest first.
        """
        return self._beside(event_id, readers.EVENTS)

    def event_page(
        self, event_id: str, *, cursor: Optional[str] = None, limit: int = calls.MAX_PAGE_ROWS
    ) -> results.Items[results.RunEvent]:
        """
        Return a page of what a run logged, oldest first, and the cursor of the page behind it.
        """
        return self._do(calls.beside(event_id, readers.EVENTS, cursor=cursor, limit=limit))

    def history(self, event_id: str) -> Iterator[results.HistoryRecord]:
        """
        Yield what made a run what it is, oldest first; also of a deleted run.
        """
        return self._beside(event_id, readers.HISTORY)

    def children(self, event_id: str) -> Iterator[results.StoredRun]:
        """
        Yield the runs nested in one, oldest first.
        """
        return self._beside(event_id, readers.CHILDREN)

    def commit_url(self, event_id: str) -> Optional[str]:
        """
        Return the page of a run's commit; None where it cannot be told.
        """
        return self._do(calls.link(event_id, "commit-url"))

    def repo_url(self, event_id: str) -> Optional[str]:
        """
        Return the page of a run's repository; None where it cannot be told.
        """
        return self._do(calls.link(event_id, "repo-url"))

    def metadata(self) -> results.Metadata:
        """
        Return the names of all agents and job types.
        """
        return self._do(calls.METADATA)

    def stats(self, name: str, **filters: FilterValue) -> dict[str, Any]:
        """
        Return one of the statistics, as docs/reference/http-api.md describes it.
        """
        return self._do(calls.stats(name, filters))

    def health(self) -> results.Health:
        """
        Return what the service says of itself.
        """
        return self._do(calls.HEALTH)

    def ready(self) -> results.Health:
        """
        Return what the service says once it can record and read; `UnavailableError` until then.
        """
        return self._do(calls.READY)

    def metrics(self) -> results.Metrics:
        """
        Return how many runs there are.
        """
        return self._do(calls.METRICS)

    def send_records(self, lines: Iterable[bytes]) -> results.RecordsResult:
        """
        Ship lines of a journal; one that the service has already is passed over.
        """
        done = results.RecordsResult(stored=0, duplicates=0, total=0)
        for call in calls.send_records(lines):
            done = done.with_next(self._do(call))
        return done

    def close(self) -> None:
        """
        Close the connections; a later call is an error.
        """
        self._http.close()

    def __enter__(self) -> TelemetryAPI:  # noqa: PYI034 (Self is not in 3.9's typing)
        """
        Return the client itself.
        """
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """
        Close it.
        """
        self.close()

    def _runs(self, walk: Walk) -> Iterator[results.StoredRun]:
        call = walk.first()
        while call is not None:
            found = self._do(call)
            yield from found.runs
            call = walk.then(found)

    def _beside(self, event_id: str, what: readers.Beside[ResultType]) -> Iterator[ResultType]:
        cursor: Optional[str] = None
        while True:
            found = self._do(calls.beside(event_id, what, cursor=cursor))
            yield from found.items
            cursor = found.next
            if cursor is None:
                return

    def _do(self, call: Call[ResultType]) -> ResultType:
        attempts = self.attempts(call)
        while True:
            try:
                response = self._http.request(call.method, self.address(call), **call.options())
            except httpx.RequestError as error:
                time.sleep(attempts.after_failure(error))
                continue
            answer = attempts.answer(response)
            pause = attempts.after_answer(answer)
            if pause is None:
                return call.read(answer.check())
            time.sleep(pause)
