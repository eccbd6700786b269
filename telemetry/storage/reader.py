"""
Plain questions to the database, for the command line, the client and the reaper.

Standard library only, and read-only: it can neither write nor checkpoint, and it works while
writers write. A database that does not exist yet has no rows.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Optional

import attrs

from telemetry.storage.ddl import RUN_COLUMNS
from telemetry.storage.looking import look_into
from telemetry.storage.owners import HAS_HEARTBEAT, OWNER
from telemetry.storage.sqlite import translated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

Row = dict[str, Any]

LAST = "@last"
DEFAULT_LIMIT = 100
SEARCHED = ("run_id", "agent_name", "job_type", "item_name", "error_summary", "output_summary")
_RUNS = f"SELECT {', '.join(RUN_COLUMNS)} FROM agent_runs"
#: Newest first; the key breaks ties, so that a page always is the same.
_NEWEST_FIRST = " ORDER BY start_time DESC, event_id DESC"
_OPEN_SQL = (
    f"SELECT {', '.join(RUN_COLUMNS)}, {OWNER} AS owner, {HAS_HEARTBEAT} AS has_heartbeat"
    " FROM agent_runs r WHERE status = 'running'"
)
_LAST_SIGN_SQL = (
    "SELECT max(timestamp) AS last_sign FROM (SELECT timestamp FROM run_records"
    " WHERE event_id = :event_id AND id > :owner || '-' AND id < :owner || '.'"
    " UNION ALL SELECT timestamp FROM run_events WHERE event_id = :event_id)"
)
_UNPOSTED = "WHERE api_posted = 0 AND status <> 'running'"
_UNPOSTED_SQL = (
    f"{_RUNS} {_UNPOSTED} AND event_id > :after AND coalesce(end_time, updated_at, '') >= :since"
    " AND coalesce(end_time, updated_at, '') < :until ORDER BY event_id LIMIT :limit"
)
_UNPOSTED_COUNT_SQL = (
    f"SELECT count(*) AS runs FROM agent_runs {_UNPOSTED}"
    " AND coalesce(end_time, updated_at, '') >= ? AND coalesce(end_time, updated_at, '') < ?"
)
#: After every time there is.
_NEVER = "~"
_EVENTS_SQL = (
    "SELECT id, event_id, run_id, event_type, timestamp, payload_json FROM run_events"
    " WHERE event_id = :event_id"
    " UNION ALL SELECT id, event_id, run_id, event_type, timestamp, payload_json FROM run_events"
    " WHERE event_id = '' AND run_id = :run_id ORDER BY timestamp, id LIMIT :limit"
)
_AGENTS_SQL = (
    "SELECT agent_name, count(*) AS runs, sum(status = 'success') AS successes,"
    " sum(status = 'running') AS running, max(start_time) AS last_start,"
    " avg(duration_ms) AS mean_duration_ms FROM agent_runs GROUP BY agent_name ORDER BY agent_name"
)
_P95_SQL = (
    "SELECT duration_ms FROM agent_runs WHERE duration_ms IS NOT NULL ORDER BY duration_ms"
    " LIMIT 1 OFFSET max(0, ((SELECT count(duration_ms) FROM agent_runs) * 95 + 99) / 100 - 1)"
)


@attrs.frozen(kw_only=True)
class RunFilter:
    """
    Which runs are meant; what is None does not matter.
    """

    agent: Optional[str] = None
    status: Optional[str] = None
    job_type: Optional[str] = None
    #: ISO text in UTC, as the columns hold it: from the first on, and before the second.
    since: Optional[str] = None
    until: Optional[str] = None
    #: Anywhere in the names and summaries, case ignored.
    text: Optional[str] = None
    parent: Optional[str] = None
    insight_id: Optional[str] = None

    def where(self) -> tuple[str, list[Any]]:
        """
        Return the condition, every value bound.
        """
        asked = (
            ("agent_name = ?", self.agent),
            ("status = ?", self.status),
            ("job_type = ?", self.job_type),
            ("start_time >= ?", self.since),
            ("start_time < ?", self.until),
            ("parent_run_id = ?", self.parent),
            ("insight_id = ?", self.insight_id),
        )
        claims = [claim for claim, value in asked if value is not None]
        values = [value for _, value in asked if value is not None]
        if self.text is not None:
            claims.append(f"({' OR '.join(f'instr(lower({name}), ?)' for name in SEARCHED)})")
            values += [self.text.lower()] * len(SEARCHED)
        return (f" WHERE {' AND '.join(claims)}" if claims else ""), values


class Reader:
    """
    Answers from the database as it stands at each call.

    Thread safe: each call opens a connection of its own.

    Raises:
        TransientSinkError: The database cannot be read now.
        MalformedDatabaseError: It is damaged.
    """

    def __init__(self, db_path: Path) -> None:
        self._path = db_path

    def runs(self, wanted: Optional[RunFilter] = None, *, limit: int = DEFAULT_LIMIT) -> list[Row]:
        """
        Return runs, newest first.

        Args:
            limit: At most so many; -1 for all.
        """
        where, values = (wanted or RunFilter()).where()
        return self._all(f"{_RUNS}{where}{_NEWEST_FIRST} LIMIT ?", [*values, limit])

    def run(self, name: str) -> Optional[Row]:
        """
        Return the run of that name: a run id or event id, the beginning or end of one, ``@last``.

        None where no run has it, or several do.
        """
        found = self.matching(name, limit=2)
        return found[0] if len(found) == 1 else None

    def matching(self, name: str, *, limit: int = DEFAULT_LIMIT) -> list[Row]:
        """
        Return the runs that a name may mean: those called so, else those with it at either end.
        """
        if name == LAST:
            return self.runs(limit=1)
        if not name:
            return []
        values = {"name": name, "limit": limit}
        exact = self._all(
            f"{_RUNS} WHERE event_id = :name OR run_id = :name{_NEWEST_FIRST} LIMIT :limit", values
        )
        if exact:
            return exact
        ends = " OR ".join(
            f"substr({column}, 1, length(:name)) = :name"
            f" OR substr({column}, -length(:name)) = :name"
            for column in ("event_id", "run_id")
        )
        return self._all(f"{_RUNS} WHERE {ends}{_NEWEST_FIRST} LIMIT :limit", values)

    def by_run_id(self, run_id: str) -> Optional[Row]:
        """
        Return the newest run of that run id.
        """
        return self._one(f"{_RUNS} WHERE run_id = ?{_NEWEST_FIRST} LIMIT 1", [run_id])

    def event_id_of(self, run_id: str) -> Optional[str]:
        """
        Return the key of the newest run of that run id.
        """
        found = self._one(
            f"SELECT event_id FROM agent_runs WHERE run_id = ?{_NEWEST_FIRST} LIMIT 1", [run_id]
        )
        return found["event_id"] if found else None

    def children(self, run_id: str, *, limit: int = -1) -> list[Row]:
        """
        Return the runs nested in one, oldest first.
        """
        sql = f"{_RUNS} WHERE parent_run_id = ? ORDER BY start_time, event_id LIMIT ?"
        return self._all(sql, [run_id, limit])

    def events(self, event_id: str, *, run_id: str = "", limit: int = -1) -> list[Row]:
        """
        Return a run's events, oldest first.

        Args:
            run_id: Also those whose writer knew only the run id.
        """
        wanted = {"event_id": event_id, "run_id": run_id or None, "limit": limit}
        return self._all(_EVENTS_SQL, wanted)

    def records(self, event_id: str) -> list[Row]:
        """
        Return a run's history: every record but its updates and events, oldest first.
        """
        sql = "SELECT * FROM run_records WHERE event_id = ? ORDER BY timestamp, id"
        return self._all(sql, [event_id])

    def commits(self, event_id: str) -> list[Row]:
        """
        Return the commits that came of a run, oldest first.
        """
        return self._all(
            "SELECT * FROM commits WHERE event_id = ? ORDER BY timestamp, id", [event_id]
        )

    def open_runs(self) -> list[Row]:
        """
        Return the runs that have not ended, oldest first.

        Each has two columns more: ``owner``, its writer, or None where that process shows nowhere
        here whether it lives; ``has_heartbeat``, whether a process says of it that it goes on.
        """
        # Not sorted by SQLite, which would walk all runs in that order to find the few.
        return sorted(self._all(_OPEN_SQL), key=lambda row: str(row["start_time"] or ""))

    def last_sign(self, row: Mapping[str, Any]) -> Optional[str]:
        """
        Return when an open run was last heard of, by a record of its owner or by an event.

        What others find out of it afterwards, such as its branch, is no sign of life. None where
        the owner is not known.

        Args:
            row: As `open_runs` returns it.
        """
        if row["owner"] is None:
            return None
        found = self._one(_LAST_SIGN_SQL, {"event_id": row["event_id"], "owner": row["owner"]})
        return found["last_sign"] if found else None

    def unposted(
        self, *, limit: int = DEFAULT_LIMIT, since: str = "", until: str = _NEVER, after: str = ""
    ) -> list[Row]:
        """
        Return the finished runs that no webhook has taken, oldest first.

        Args:
            since: Only those that ended then or later.
            until: Only those that ended before.
            after: Only those with a larger key.
        """
        values = {"limit": limit, "since": since, "until": until, "after": after}
        return self._all(_UNPOSTED_SQL, values)

    def unposted_count(self, *, since: str, until: str) -> int:
        """
        Return how many finished runs that no webhook has taken ended in a stretch of time.
        """
        found = self._one(_UNPOSTED_COUNT_SQL, [since, until])
        return int(found["runs"]) if found else 0

    def stats(self) -> dict[str, Any]:
        """
        Return counts and durations over all runs.
        """
        day_ago = datetime.now(timezone.utc) - timedelta(hours=24)
        by_status = self._all("SELECT status, count(*) AS runs FROM agent_runs GROUP BY status")
        agents = self._all(_AGENTS_SQL)
        recent = self._one(
            "SELECT count(*) AS runs FROM agent_runs WHERE start_time >= ?",
            [day_ago.strftime("%Y-%m-%dT%H:%M:%S.%fZ")],
        )
        pending = self._one(
            "SELECT count(*) AS runs FROM agent_runs WHERE api_posted = 0 AND status <> 'running'"
        )
        mean = self._one("SELECT avg(duration_ms) AS ms FROM agent_runs")
        p95 = self._one(_P95_SQL)
        return {
            "total_runs": sum(row["runs"] for row in by_status),
            "status_counts": {row["status"]: row["runs"] for row in by_status},
            "agents": {row.pop("agent_name"): row for row in agents},
            "recent_24h": recent["runs"] if recent else 0,
            "pending_api_posts": pending["runs"] if pending else 0,
            "mean_duration_ms": mean["ms"] if mean else None,
            "p95_duration_ms": p95["duration_ms"] if p95 else None,
        }

    def _one(self, sql: str, values: Any = ()) -> Optional[Row]:
        found = self._all(sql, values)
        return found[0] if found else None

    def _all(self, sql: str, values: Any = ()) -> list[Row]:
        if not self._path.exists():
            return []
        with translated(self._path), closing(look_into(self._path)) as connection:
            try:
                return list(_rows(connection.execute(sql, values)))
            except sqlite3.OperationalError as error:
                # Between the file's creation and its first transaction there are no tables yet.
                if "no such table" in str(error):
                    return []
                raise


def _rows(cursor: sqlite3.Cursor) -> Iterable[Row]:
    names = [column[0] for column in cursor.description]
    return (dict(zip(names, row)) for row in cursor)
