"""
A service instead of the files, for the commands that only read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import click

from telemetry.api import NotFoundError, TelemetryAPI
from telemetry.cli.exits import Exit, fail
from telemetry.cli.ids import LAST
from telemetry.cli.times import as_moment
from telemetry.model.values import time_text, to_row
from telemetry.storage.reader import DEFAULT_LIMIT, SEARCHED

if TYPE_CHECKING:
    from telemetry.api import HistoryRecord, RunEvent, StoredRun
    from telemetry.cli.session import Session
    from telemetry.config.secret import Secret
    from telemetry.storage.reader import RunFilter

Row = dict[str, Any]

TIMEOUT_S = 30.0
#: A person waits: a service that is down is said to be so within a second.
RETRIES = 2
MAX_TOKEN_BYTES = 4096
_PAGE = 1000
#: What the history calls a link to a commit.
COMMIT = "commit"


def connect(session: Session) -> RemoteReader:
    """
    Return the service that the line names, until the command has ended.

    Raises:
        SettingsError: Its address or the token cannot be used.
    """
    if session.base_dir is not None:
        raise click.UsageError(
            "--url must stand without --base-dir (got both); leave one of them out"
        )
    token: str | Secret = (
        session.config.api_token if session.token_file is None else _read_token(session.token_file)
    )
    api = TelemetryAPI(session.url, token, timeout_s=TIMEOUT_S, retries=RETRIES)
    click.get_current_context().find_root().call_on_close(api.close)
    return RemoteReader(api)


def _read_token(path: str) -> str:
    try:
        with Path(path).open(encoding="utf-8") as file:
            return file.read(MAX_TOKEN_BYTES).strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        fail(
            f"--token-file must be a file with the token in it (got {path!r}: {reason});"
            " name another, or set TELEMETRY_API_TOKEN",
            Exit.NOT_FOUND,
        )


class RemoteReader:
    """
    Answers like `telemetry.storage.reader.Reader`, from a service.

    Raises:
        APIError: The service did not answer.
    """

    def __init__(self, api: TelemetryAPI) -> None:
        self.api = api

    @property
    def place(self) -> str:
        """
        Return where the answers come from.
        """
        return self.api.target.shown

    def runs(self, wanted: Optional[RunFilter] = None, *, limit: int = DEFAULT_LIMIT) -> list[Row]:
        """
        Return runs, newest first.

        Args:
            limit: At most so many; -1 for all.
        """
        found = self._newest(_filters(wanted), None if limit < 0 else limit, wanted)
        return list(map(to_row, found))

    def _newest(
        self, filters: dict[str, Any], limit: Optional[int], wanted: Optional[RunFilter]
    ) -> Iterator[StoredRun]:
        text = None if wanted is None else wanted.text
        asked = limit if text is None else None
        found = self.api.runs(sort="-start_time", limit=asked, page_size=_PAGE, **filters)
        if text is None:
            return found
        return islice((run for run in found if _holds(run, text)), limit)

    def matching(self, name: str, *, limit: int = DEFAULT_LIMIT) -> list[Row]:
        """
        Return the runs that a name may mean: those called so, else those with it at either end.
        """
        if name == LAST:
            return self.runs(limit=1)
        if not name:
            return []
        exact = self._called(name, limit)
        if exact:
            return list(map(to_row, exact[:limit]))
        return list(map(to_row, self.api.runs(id=name, sort="-start_time", limit=limit)))

    def _called(self, name: str, limit: int) -> list[StoredRun]:
        found = {run.event_id: run for run in self.api.runs(run_id=name, limit=limit)}
        try:
            run = self.api.run(name)
        except (NotFoundError, ValueError):
            # What cannot be the key of a run is the key of none.
            return list(found.values())
        return list({run.event_id: run, **found}.values())

    def by_run_id(self, run_id: str) -> Optional[Row]:
        """
        Return the newest run of that run id.
        """
        found = list(self.api.runs(run_id=run_id, sort="-start_time", limit=1))
        return to_row(found[0]) if found else None

    def children(self, run_id: str, *, limit: int = -1) -> list[Row]:
        """
        Return the runs nested in one, oldest first.
        """
        found = self.api.runs(
            parent_run_id=run_id, sort="start_time", limit=None if limit < 0 else limit
        )
        return list(map(to_row, found))

    def events(self, event_id: str, *, run_id: str = "", limit: int = -1) -> list[Row]:
        """
        Return a run's events, oldest first.
        """
        found = self.api.events(event_id)
        return [event_row(event) for event in islice(found, None if limit < 0 else limit)]

    def records(self, event_id: str) -> list[Row]:
        """
        Return a run's history: every record but its updates and events, oldest first.
        """
        return [_record_row(record) for record in self.api.history(event_id)]

    def commits(self, event_id: str) -> list[Row]:
        """
        Return the commits that came of a run, oldest first.
        """
        linked = (record for record in self.api.history(event_id) if is_commit(record))
        return [_commit_row(record) for record in linked]

    def stats(self) -> dict[str, Any]:
        """
        Return counts and durations over all runs.
        """
        metrics, took = self.api.metrics(), self.api.stats("durations")
        agents = self.api.stats("success-rate")["agents"]
        return {
            "total_runs": metrics.total_runs,
            "status_counts": {name: count for name, count in metrics.statuses.items() if count},
            "agents": {agent["agent_name"]: self._agent(agent) for agent in agents},
            "recent_24h": metrics.recent_24h,
            "mean_duration_ms": took["mean_ms"],
            "p95_duration_ms": self._p95(took["runs"]),
        }

    def _agent(self, agent: dict[str, Any]) -> dict[str, Any]:
        name = agent["agent_name"]
        last = next(iter(self.api.runs(agent_name=name, sort="-start_time", limit=1)), None)
        start = None if last is None else last.start_time
        return {
            "runs": agent["runs"],
            "successes": agent["statuses"].get("success", 0),
            "running": agent["statuses"].get("running", 0),
            "last_start": None if start is None else time_text(start),
            "mean_duration_ms": self.api.stats("durations", agent_name=name)["mean_ms"],
        }

    def _p95(self, count: int) -> Optional[int]:
        if not count:
            return None
        rank = (count * 95 + 99) // 100 - 1
        page = self.api.page(limit=1, offset=rank, sort="duration_ms", min_duration_ms=0)
        return page.runs[0].duration_ms if page.runs else None


def event_row(event: RunEvent) -> Row:
    """
    Return an event as the table of events has it.
    """
    payload = None if event.payload is None else _json(event.payload)
    return {
        "id": event.id,
        "event_id": event.event_id,
        "run_id": event.run_id,
        "event_type": event.event_type,
        "timestamp": time_text(event.timestamp),
        "payload_json": payload,
    }


def is_commit(record: HistoryRecord) -> bool:
    """
    Return whether a record of the history links a commit.
    """
    return record.change == COMMIT


def _record_row(record: HistoryRecord) -> Row:
    return {
        "id": record.id,
        "event_id": record.event_id,
        "run_id": record.run_id,
        "change": record.change,
        "timestamp": time_text(record.timestamp),
        "body": _json(record.fields),
    }


def _commit_row(record: HistoryRecord) -> Row:
    names = ("commit_hash", "commit_source", "commit_author", "commit_timestamp")
    return {
        "id": record.id,
        "event_id": record.event_id,
        "run_id": record.run_id,
        **{name: record.fields.get(f"git_{name}") for name in names},
        "timestamp": time_text(record.timestamp),
    }


def _filters(wanted: Optional[RunFilter]) -> dict[str, Any]:
    if wanted is None:
        return {}
    return {
        "agent_name": wanted.agent,
        "status": wanted.status,
        "job_type": wanted.job_type,
        "start_time_from": wanted.since,
        "start_time_to": None if wanted.until is None else _just_before(wanted.until),
        "parent_run_id": wanted.parent,
        "insight_id": wanted.insight_id,
    }


def _just_before(text: str) -> str:
    """
    Return the last moment before one: the service includes the end of a stretch.
    """
    moment = as_moment(text)
    return text if moment is None else time_text(moment - timedelta(microseconds=1))


def _holds(run: StoredRun, text: str) -> bool:
    wanted = text.lower()
    return any(wanted in value.lower() for value in _texts(run, SEARCHED))


def _texts(run: StoredRun, names: Iterable[str]) -> Iterator[str]:
    values = (getattr(run, name) for name in names)
    return (value for value in values if isinstance(value, str))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
