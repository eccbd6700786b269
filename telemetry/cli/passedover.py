"""
Runs that ended before there was a webhook: passed over, until ``telemetry posts retry --since``.

They are put among the dead letters and sent again from there, so that what a server refuses, or an
interrupted command leaves, is where every other unsent run is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timezone
from itertools import count
from typing import TYPE_CHECKING, Any

from telemetry.cli.times import clock
from telemetry.cli.unsent import POSTS
from telemetry.model.codec import decode_line, encode_line
from telemetry.model.errors import PermanentSinkError
from telemetry.model.ids import new_writer
from telemetry.model.records import Change, RecordType
from telemetry.model.values import time_text
from telemetry.storage.beginning import read_beginning
from telemetry.storage.reader import Reader

if TYPE_CHECKING:
    from telemetry.cli.session import Session
    from telemetry.config import TelemetryConfig

#: Runs that are put among the dead letters at once.
AT_ONCE = 1000
_REASON = "ended before METRICS_API_URL was set"


def count_passed_over(config: TelemetryConfig, since: str = "") -> int:
    """
    Return how many runs ended before there was a webhook and were not posted.

    Args:
        since: Only those that ended then or later.
    """
    until = read_beginning(config.state_dir, POSTS).since
    return Reader(config.db_path).unposted_count(since=since, until=until)


def passed_over_runs(config: TelemetryConfig, since: str, after: str) -> Sequence[dict[str, Any]]:
    """
    Return the next of these runs.

    Args:
        after: The key of the last one so far.
    """
    until = read_beginning(config.state_dir, POSTS).since
    return Reader(config.db_path).unposted(limit=AT_ONCE, since=since, until=until, after=after)


def put_among_letters(config: TelemetryConfig, runs: Sequence[dict[str, Any]]) -> Collection[str]:
    """
    Make a dead letter of each run, and return their ids.

    Raises:
        OSError: They cannot be written.
    """
    from telemetry.runtime.deadletters import DeadLetters
    from telemetry.runtime.redelivery import letters_of

    known = {decode_line(one.line.encode()).event_id for one in letters_of(config.state_dir, POSTS)}
    letters = DeadLetters(config.state_dir, POSTS)
    writer, numbers = new_writer(), count(1)
    now = time_text(datetime.now(timezone.utc))
    made = set()
    for run in runs:
        if run["event_id"] in known:
            continue
        line = encode_line(
            RecordType.RUN.value,
            id=f"{writer}-{next(numbers)}",
            timestamp=now,
            event_id=run["event_id"],
            run_id=run["run_id"],
            # The rest of the run is in the database.
            change=Change.RECORDED.value,
            body={"status": run["status"]},
        )
        record = decode_line(line.rstrip(b"\n"))
        letters.add(record, PermanentSinkError(_REASON))
        made.add(record.id)
    return made


def tell_passed_over(session: Session, number: int) -> None:
    """
    Say that there are such runs, and how they are sent.
    """
    since = clock(read_beginning(session.config.state_dir, POSTS).since, utc=session.utc)
    session.screen.note(
        f"{number} runs ended before posting began ({since}) and are not posted;"
        " telemetry posts retry --since TIME sends them"
    )
