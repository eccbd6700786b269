"""
What has not reached the servers that records and runs are sent to, and what a name means of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional

import attrs

from telemetry.cli.exits import Exit, fail
from telemetry.cli.freshness import bring_up_to_date
from telemetry.storage.beginning import read_beginning
from telemetry.storage.reader import Reader

if TYPE_CHECKING:
    from telemetry.cli.session import Session
    from telemetry.config import TelemetryConfig
    from telemetry.runtime.deadletters import DeadLetter

POSTS = "http_posts"
#: The sinks that send to a server, and the setting that each follows.
SINKS = {POSTS: "METRICS_API_URL", "http_records": "TELEMETRY_API_URL"}
_ALL_ROWS = -1


@attrs.frozen(kw_only=True)
class Unsent:
    """
    A run, or a record of one, that a server does not have.
    """

    state: str
    sink: str
    event_id: str
    run_id: str
    #: Of the dead letter; empty where the run waits.
    record_id: str = ""
    since: str = ""
    attempts: int = 0
    reason: str = ""


def failed_of(config: TelemetryConfig) -> list[Unsent]:
    """
    Return what servers refused for good, of each sink.
    """
    from telemetry.runtime.redelivery import letters_of

    attempts = _attempts(config)
    return [
        _unsent(sink, letter, attempts)
        for sink in SINKS
        for letter in letters_of(config.state_dir, sink)
    ]


def _attempts(config: TelemetryConfig) -> dict[str, int]:
    from telemetry.storage.attempts import Attempts

    attempts = Attempts(config.state_dir, POSTS)
    attempts.refresh()
    return {event_id: attempt.count for event_id, attempt in attempts.all().items()}


def _unsent(sink: str, letter: DeadLetter, attempts: dict[str, int]) -> Unsent:
    event_id, run_id = _keys(letter)
    return Unsent(
        state="failed",
        sink=sink,
        event_id=event_id,
        run_id=run_id,
        record_id=letter.id,
        since=letter.timestamp,
        attempts=attempts.get(event_id, 0) if sink == POSTS else 0,
        reason=letter.reason,
    )


def _keys(letter: DeadLetter) -> tuple[str, str]:
    """
    Return the keys of the run that a letter is about, as far as its line says them.
    """
    from telemetry.model.codec import decode_line
    from telemetry.model.errors import CodecError

    try:
        record = decode_line(letter.line.encode())
    except CodecError:
        return "", ""
    return record.event_id, record.run_id


def waiting_of(session: Session, failed: Sequence[Unsent], limit: Optional[int]) -> list[Unsent]:
    """
    Return the finished runs that were not posted and not refused; none where nothing is posted.

    Args:
        limit: At most so many; all of them for None.
    """
    config = session.config
    if not is_posting(config):
        return []
    buried = {each.event_id for each in failed if each.sink == POSTS}
    attempts = _attempts(config)
    bring_up_to_date(session)
    most = _ALL_ROWS if limit is None else limit + len(buried)
    since = read_beginning(config.state_dir, POSTS).since
    rows = Reader(config.db_path).unposted(limit=most, since=since)
    found = [
        Unsent(
            state="waiting",
            sink=POSTS,
            event_id=row["event_id"],
            run_id=row["run_id"],
            since=row["end_time"] or "",
            attempts=attempts.get(row["event_id"], 0),
        )
        for row in rows
        if row["event_id"] not in buried
    ]
    return found[:limit]


def is_posting(config: TelemetryConfig) -> bool:
    """
    Tell whether finished runs are posted to a webhook.
    """
    return bool(config.metrics_api_url) and config.metrics_api_enabled


def chosen_of(session: Session, failed: Sequence[Unsent], names: Sequence[str]) -> list[Unsent]:
    """
    Return what the names mean; an unknown one ends the command with 3.
    """
    waiting = waiting_of(session, failed, None)
    chosen: dict[tuple[str, str, str], Unsent] = {}
    for name in names:
        meant = [each for each in [*failed, *waiting] if _is_meant(each, name)]
        if not meant:
            fail(
                f"a RUN must be one that is unsent (got {name!r}); see telemetry posts list",
                Exit.NOT_FOUND,
            )
        chosen.update({(each.sink, each.event_id, each.record_id): each for each in meant})
    return list(chosen.values())


def _is_meant(unsent: Unsent, name: str) -> bool:
    return bool(name) and (unsent.run_id.startswith(name) or unsent.event_id.startswith(name))
