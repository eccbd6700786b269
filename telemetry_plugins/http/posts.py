"""
Each finished run, posted once as one JSON object to any webhook.

Delivery is at least once. A run is posted again only where a process was killed, or a connection
broke, between the server's taking it and our knowing: then the one run in flight, under the same
``Idempotency-Key``, its ``event_id``. What has become of each run is written down before and after
each request (`telemetry.storage.attempts`), and in the journal as the run's ``posted`` record. A
process that ends begins no request that would probably be cut off (`telemetry_plugins.http.haste`).

What the journal had before there was an address is not posted (`telemetry.storage.beginning`).

An end that was inferred is posted like any other. If the agent's own end comes after it with
another status, the run is posted once more, under the key ``<event_id>.<status>``; with the same
status it is not.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Optional
from urllib.parse import quote

import msgspec

from telemetry.model.errors import OutOfTimeError, PausedSinkError, PermanentSinkError, SinkError
from telemetry.model.records import Change, RecordType
from telemetry.model.values import time_text
from telemetry.storage.attempts import Attempt, Attempts
from telemetry.storage.baseid import HEADER
from telemetry.storage.beginning import ALL, Beginning, begin_now
from telemetry_plugins.http.answers import Answer, Request, Verdict
from telemetry_plugins.http.finished import Finish, Runs, body_of, complete, is_postable
from telemetry_plugins.http.haste import Stopwatch, expected_s
from telemetry_plugins.http.line import Line

if TYPE_CHECKING:
    from pathlib import Path

    from telemetry.config import Secret
    from telemetry.model.records import Record
    from telemetry.sinks import Cursor, Desk
    from telemetry_plugins.http.wire import Wire

#: Of an answer only its beginning is of use, and only where the run was refused.
WANTED_BYTES = 4096
#: A POST answered so after it was processed: the answer is to be fetched elsewhere, which nobody
#: needs. Google's Apps Script says 302 once the row is stored.
STORED_ELSEWHERE = frozenset({302, 303})
#: What a telemetry service answers at an address that takes no runs: the original system called the
#: service by this variable, too.
NOT_A_WEBHOOK = frozenset({401, 403, 404, 405})
MAX_REMEMBERED = 10_000


class PostsSink:
    """
    Posts finished runs to ``METRICS_API_URL``.

    Used by one thread at a time.
    """

    name = "http_posts"
    does_without = (RecordType.EVENT,)
    #: What is found out about a run right after its end, such as its commit, is posted with it.
    linger_s = 1.0

    def __init__(self, url: str, token: Secret, state_dir: Path, *, timeout_s: float) -> None:
        self._line = Line(url, token, timeout_s=timeout_s)
        self._state_dir = state_dir
        self._timeout_s = timeout_s
        self._beginning: Beginning = ALL
        self._desk: Optional[Desk] = None
        self._attempts = Attempts(state_dir, self.name)
        self._runs = Runs()
        # Posted by this process; what could not be written down is known here at least.
        self._posted: OrderedDict[str, Attempt] = OrderedDict()
        # Of a batch that was not done in one go.
        self._refused: dict[str, str] = {}
        self._done: set[str] = set()

    def attach(self, desk: Desk) -> None:
        """
        Take what the process offers: a say in the journal, and a memory of runs.

        The first time ever, what the journal has by now is passed over.

        Raises:
            OSError: That cannot be written down; this process posts what it finds.
        """
        self._desk = desk
        self._beginning = begin_now(self._state_dir, self.name, desk.sizes())

    def write(self, batch: Sequence[Record], cursor: Cursor, /) -> None:
        """
        Post the runs that finish in a batch, one after another.

        Raises:
            TransientSinkError: The server cannot be reached, or cannot take runs now.
            PermanentSinkError: It refused some of them; it has the others.
            PausedSinkError: It does not let this process in, or has another address.
            OutOfTimeError: The process ends, and leaves them to the next one.
            OSError: What becomes of the runs cannot be written down, so nothing is sent.
        """
        old_bytes = self._beginning.segments.get(cursor.segment, 0)
        if cursor.segment and cursor.offset <= old_bytes:
            return
        self._runs.expect(cursor)
        finished = self._runs.take(batch)
        if cursor.segment and cursor.start < old_bytes:
            # Some of it was there before, and only the time says which.
            finished = [one for one in finished if one.record.timestamp >= self._beginning.since]
        if finished:
            self._attempts.refresh()
            self._attempts.shorten([finish.record.event_id for finish in finished])
        for finish in finished:
            if finish.record.id not in self._done:
                self._deliver(finish)
        if self._refused:
            reasons, self._refused = self._refused, {}
            raise PermanentSinkError(
                f"{self._line.wire().shown} must take each run ({next(iter(reasons.values()))})",
                reasons=reasons,
            )
        for finish in finished:
            self._runs.close(finish.record.event_id)
        self._done = set()
        self._runs.passed(cursor)

    def close(self) -> None:
        """
        Close the connection.
        """
        self._line.close()

    def after_fork(self) -> None:
        """
        Leave the connection to the parent, and learn anew what became of each run.
        """
        self._line.after_fork()
        self._runs.forget()
        self._attempts.after_fork()

    def _deliver(self, finish: Finish) -> None:
        """
        Post a run, unless that has been done.
        """
        event_id = finish.record.event_id
        attempt = self._posted.get(event_id) or self._attempts.of(event_id)
        complete(finish, self._desk)
        row = finish.fold.row()
        if is_postable(row, finish.fold) and self._is_news(attempt, finish, row):
            self._post(attempt, finish, row)
        elif attempt.posted_at and not row["api_posted"] and event_id not in self._posted:
            # A process was killed between writing it down and saying it.
            self._say(attempt, finish)
        self._done.update(finish.record_ids)

    def _is_news(self, attempt: Attempt, finish: Finish, row: dict[str, Any]) -> bool:
        """
        Return whether the run was never posted, or as something that it turned out not to be.
        """
        if not attempt.posted_at:
            return not row["api_posted"]
        return attempt.is_guess and not finish.is_guess and attempt.status != row["status"]

    def _post(self, attempt: Attempt, finish: Finish, row: dict[str, Any]) -> None:
        self._check_time()
        wire = self._line.wire()
        key = f"{attempt.event_id}.{row['status']}" if attempt.posted_at else attempt.event_id
        attempt = msgspec.structs.replace(attempt, count=attempt.count + 1, took_ms=0)
        self._attempts.put(attempt)
        headers = {"Content-Type": "application/json", "Idempotency-Key": quote(key, safe="")}
        request = Request(body=body_of(row), headers=headers, wanted_bytes=WANTED_BYTES)
        watch = Stopwatch()
        try:
            answer = wire.exchange(request)
        except SinkError:
            self._attempts.put(msgspec.structs.replace(attempt, took_ms=watch.ms()))
            raise
        attempt = msgspec.structs.replace(attempt, took_ms=watch.ms())
        if answer.verdict is Verdict.DONE or answer.status in STORED_ELSEWHERE:
            wire.patience.reset()
            self._note(attempt, finish, row)
        else:
            self._attempts.put(attempt)
            self._judge(wire, answer, finish)

    def _check_time(self) -> None:
        """
        Begin nothing that the end of the process would cut off.

        Raises:
            OutOfTimeError: It would, as far as can be known.
        """
        left_s = None if self._desk is None else self._desk.time_left_s()
        if left_s is not None and left_s < expected_s(self._attempts, self._timeout_s):
            raise OutOfTimeError("the process ends before the next run could be posted")

    def _note(self, attempt: Attempt, finish: Finish, row: dict[str, Any]) -> None:
        """
        Write down that a run was posted.
        """
        attempt = Attempt(
            attempt.event_id,
            count=attempt.count,
            posted_at=time_text(datetime.now(timezone.utc)),
            status=row["status"],
            is_guess=finish.is_guess,
            took_ms=attempt.took_ms,
        )
        self._posted[attempt.event_id] = attempt
        while len(self._posted) > MAX_REMEMBERED:
            self._posted.popitem(last=False)
        try:
            self._attempts.put(attempt)
        finally:
            self._say(attempt, finish)

    def _say(self, attempt: Attempt, finish: Finish) -> None:
        """
        Have the journal say that a run was posted; the same words again change nothing.
        """
        if self._desk is not None:
            said = {
                "api_posted": True,
                "api_posted_at": attempt.posted_at,
                "api_retry_count": max(0, attempt.count - 1),
            }
            self._desk.record(Change.POSTED, attempt.event_id, finish.record.run_id, said)
            self._posted.setdefault(attempt.event_id, attempt)

    def _judge(self, wire: Wire, answer: Answer, finish: Finish) -> None:
        """
        Do what an answer other than success asks for.
        """
        said = wire.masked(answer.excerpt())
        if answer.verdict is Verdict.TRANSIENT:
            raise wire.patience.failure(
                f"{wire.shown} must take runs now (answered {answer.status}: {said})",
                answer.retry_after_s(),
            )
        if answer.status in NOT_A_WEBHOOK and HEADER.lower() in answer.headers:
            raise PausedSinkError(
                f"METRICS_API_URL must be a webhook ({wire.shown} is a telemetry service, and"
                f" answered {answer.status}); name that one in TELEMETRY_API_URL instead"
            )
        if answer.verdict is Verdict.DENIED:
            raise PausedSinkError(
                f"METRICS_API_TOKEN must be one that {wire.shown} accepts"
                f" (answered {answer.status}); set another, the journal keeps everything"
            )
        if answer.verdict is Verdict.MOVED:
            raise PausedSinkError(_moved(wire, answer))
        wire.patience.reset()
        self._refused[finish.record.id] = f"{answer.status}: {said or 'no reason given'}"


def _moved(wire: Wire, answer: Answer) -> str:
    from telemetry.config.rules import masked_url

    where = wire.masked(masked_url(answer.headers.get("location", "")))[:200]
    return (
        f"METRICS_API_URL must be the address itself ({wire.shown} answered {answer.status}"
        f" and names {where or 'no other'}); set that, redirects are not followed"
    )
