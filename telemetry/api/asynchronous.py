"""
The client for asyncio: the same calls, awaited.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
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


class AsyncTelemetryAPI(Caller):
    """
    The telemetry service, as Python coroutines; all else is as in `TelemetryAPI`.

    For one event loop: use it as an asynchronous context manager, or await `close`. What yields is
    iterated with ``async for``.
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
        self._http = httpx.AsyncClient(**self.options())

    async def create_run(self, run: NewRun) -> results.CreateResult:
        """
        Hand over one run: its fields by name, or a `Run`.

        One whose event_id is known is a duplicate and changes nothing, but brings the outcome of a
        run that was still running.
        """
        return await self._do(calls.create_run(run))

    async def create_runs(self, runs: Iterable[NewRun]) -> results.BatchResult:
        """
        Hand over any number of runs, in chunks; one that is refused spoils nothing.
        """
        done = results.BatchResult(inserted=0, duplicates=0, total=0)
        for call in calls.create_runs(runs):
            done = done.with_next(await self._do(call))
        return done

    def runs(
        self,
        *,
        limit: Optional[int] = None,
        page_size: int = calls.MAX_PAGE_ROWS,
        sort: str = calls.NEWEST_FIRST,
        **filters: FilterValue,
    ) -> AsyncIterator[results.StoredRun]:
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

    async def page(
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
        return await self._do(
            calls.page(filters, limit=limit, offset=offset, cursor=cursor, sort=sort)
        )

    async def run(self, event_id: str) -> results.StoredRun:
        """
        Return one run, with its ``etag``.
        """
        return await self._do(calls.run(event_id))

    async def update_run(
        self, event_id: str, fields: Mapping[str, Any], *, if_match: Optional[str] = None
    ) -> results.EditResult:
        """
        Correct fields of a run; None clears one.

        Args:
            if_match: The run's ``etag``; where it has changed since, `PreconditionFailedError`.
        """
        return await self._do(calls.update_run(event_id, fields, if_match=if_match))

    async def delete_run(self, event_id: str, *, if_match: Optional[str] = None) -> None:
        """
        Delete a run.
        """
        await self._do(calls.delete_run(event_id, if_match=if_match))

    async def associate_commit(
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
        return await self._do(
            calls.associate_commit(
                event_id,
                commit_hash,
                commit_source,
                commit_author=commit_author,
                commit_timestamp=commit_timestamp,
            )
        )

    def events(self, event_id: str) -> AsyncIterator[results.RunEvent]:
        """
        Yield what a run logged, oldest first.
        """
        return self._beside(event_id, readers.EVENTS)

    async def event_page(
        self, event_id: str, *, cursor: Optional[str] = None, limit: int = calls.MAX_PAGE_ROWS
    ) -> results.Items[results.RunEvent]:
        """
        Return a page of what a run logged, oldest first, and the cursor of the page behind it.
        """
        return await self._do(calls.beside(event_id, readers.EVENTS, cursor=cursor, limit=limit))

    def history(self, event_id: str) -> AsyncIterator[results.HistoryRecord]:
        """
        Yield what made a run what it is, oldest first; also of a deleted run.
        """
        return self._beside(event_id, readers.HISTORY)

    def children(self, event_id: str) -> AsyncIterator[results.StoredRun]:
        """
        Yield the runs nested in one, oldest first.
        """
        return self._beside(event_id, readers.CHILDREN)

    async def commit_url(self, event_id: str) -> Optional[str]:
        """
        Return the page of a run's commit; None where it cannot be told.
        """
        return await self._do(calls.link(event_id, "commit-url"))

    async def repo_url(self, event_id: str) -> Optional[str]:
        """
        Return the page of a run's repository; None where it cannot be told.
        """
        return await self._do(calls.link(event_id, "repo-url"))

    async def metadata(self) -> results.Metadata:
        """
        Return the names of all agents and job types.
        """
        return await self._do(calls.METADATA)

    async def stats(self, name: str, **filters: FilterValue) -> dict[str, Any]:
        """
        Return one of the statistics, as docs/reference/http-api.md describes it.
        """
        return await self._do(calls.stats(name, filters))

    async def health(self) -> results.Health:
        """
        Return what the service says of itself.
        """
        return await self._do(calls.HEALTH)

    async def ready(self) -> results.Health:
        """
        Return what the service says once it can record and read; `UnavailableError` until then.
        """
        return await self._do(calls.READY)

    async def metrics(self) -> results.Metrics:
        """
        Return how many runs there are.
        """
        return await self._do(calls.METRICS)

    async def send_records(self, lines: Iterable[bytes]) -> results.RecordsResult:
        """
        Ship lines of a journal; one that the service has already is passed over.
        """
        done = results.RecordsResult(stored=0, duplicates=0, total=0)
        for call in calls.send_records(lines):
            done = done.with_next(await self._do(call))
        return done

    async def close(self) -> None:
        """
        Close the connections; a later call is an error.
        """
        await self._http.aclose()

    async def __aenter__(self) -> AsyncTelemetryAPI:  # noqa: PYI034 (Self is not in 3.9's typing)
        """
        Return the client itself.
        """
        return self

    async def __aexit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """
        Close it.
        """
        await self.close()

    async def _runs(self, walk: Walk) -> AsyncIterator[results.StoredRun]:
        call = walk.first()
        while call is not None:
            found = await self._do(call)
            for run in found.runs:
                yield run
            call = walk.then(found)

    async def _beside(
        self, event_id: str, what: readers.Beside[ResultType]
    ) -> AsyncIterator[ResultType]:
        cursor: Optional[str] = None
        while True:
            found = await self._do(calls.beside(event_id, what, cursor=cursor))
            for item in found.items:
                yield item
            cursor = found.next
            if cursor is None:
                return

    async def _do(self, call: Call[ResultType]) -> ResultType:
        attempts = self.attempts(call)
        while True:
            try:
                response = await self._http.request(
                    call.method, self.address(call), **call.options()
                )
            except httpx.RequestError as error:
                await asyncio.sleep(attempts.after_failure(error))
                continue
            answer = attempts.answer(response)
            pause = attempts.after_answer(answer)
            if pause is None:
                return call.read(answer.check())
            await asyncio.sleep(pause)
