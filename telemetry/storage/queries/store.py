"""
The read side's face: runs, what belongs to them, and what is known of all of them.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar

from telemetry.model.run import COLUMNS
from telemetry.model.values import clean_text, time_text
from telemetry.storage.queries.connections import DEFAULT_TIME_LIMIT_S, Connections
from telemetry.storage.queries.ends import MAX_LENGTH, keys_with_end
from telemetry.storage.queries.errors import FilterError
from telemetry.storage.queries.filters import Condition, Filters, Operator
from telemetry.storage.queries.known import Known, concluded, highest, is_text, known
from telemetry.storage.queries.orders import NEWEST_FIRST, Order, order_of_runs
from telemetry.storage.queries.paging import Listing, Page
from telemetry.storage.queries.ranges import StatsFilters
from telemetry.storage.queries.stats import STATS, nothing
from telemetry.storage.queries.sums import STATUSES, added_up
from telemetry.storage.tables import METADATA

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_Answer = TypeVar("_Answer")

_RUN_SQL = f"SELECT {', '.join(COLUMNS)} FROM agent_runs WHERE event_id = ?"
_RECENT_SQL = "SELECT count(*) FROM agent_runs WHERE start_time >= ?"
_OLDEST_FIRST = Order(column="timestamp", key="id", descending=False)
_ALL = StatsFilters()
_DAY = timedelta(hours=24)


class Store:
    """
    Answers questions from the database as it stands at each call.

    Safe from any thread; each has a connection of its own, which can only read. A database that
    does not exist yet has no rows.

    Args:
        time_limit_s: How long one question may take, in seconds.

    Raises:
        FilterError: What is asked means nothing.
        SlowQueryError: The answer took too long.
        TransientSinkError: The database cannot be read now.
        MalformedDatabaseError: It is damaged.
    """

    def __init__(self, db_path: Path, *, time_limit_s: float = DEFAULT_TIME_LIMIT_S) -> None:
        self._connections = Connections(db_path, time_limit_s=time_limit_s)

    def runs(  # noqa: PLR0913 (what a list can be asked)
        self,
        filters: Optional[Filters] = None,
        *,
        limit: int,
        offset: int = 0,
        after: Optional[str] = None,
        sort: str = NEWEST_FIRST,
        columns: Optional[Sequence[str]] = None,
    ) -> Page:
        """
        Return a page of the runs that fit, as their rows are stored.

        Args:
            after: A cursor of another page of this list: that page's ``next`` or ``previous``.
            sort: A column, after a minus for the highest first; null is the lowest.
            columns: What of each run is wanted; None for all of it.
        """
        listing = Listing(
            name="runs",
            table="agent_runs",
            columns=_wanted(columns),
            conditions=(filters or Filters()).conditions,
            order=order_of_runs(sort),
        )
        return self._page(listing, limit=limit, offset=offset, after=after)

    def run(self, event_id: str) -> Optional[dict[str, Any]]:
        """
        Return a run's row as it is stored; None for a run that is not there, or was deleted.
        """

        def ask(connection: sqlite3.Connection) -> Optional[dict[str, Any]]:
            found = connection.execute(_RUN_SQL, (event_id,)).fetchone()
            return dict(zip(COLUMNS, found)) if found else None

        return self._ask(ask, None) if is_text(event_id) else None

    def known(self, event_ids: Sequence[str]) -> dict[str, Known]:
        """
        Return what is known of those of the runs that were recorded, the deleted ones too.

        Some microseconds a run: cheap enough to be asked on an event loop before each write.
        """
        return self._ask(lambda connection: known(connection, event_ids), {})

    def concluded(self, event_ids: Sequence[str]) -> set[str]:
        """
        Return those of the known runs whose end others concluded, so that their own still counts.
        """
        return self._ask(lambda connection: concluded(connection, event_ids), set())

    def keys_with_end(self, part: str) -> list[str]:
        """
        Return the keys of the runs one of whose ids begins or ends with a text, at most a hundred.
        """
        if not part or len(part) > MAX_LENGTH or clean_text(part) != part:
            return []
        return self._ask(lambda connection: keys_with_end(connection, part), [])

    def rows(self, event_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """
        Return the rows of those of the runs that are there, by their keys.
        """

        def ask(connection: sqlite3.Connection) -> dict[str, dict[str, Any]]:
            found = (connection.execute(_RUN_SQL, (one,)).fetchone() for one in event_ids)
            rows = (dict(zip(COLUMNS, row)) for row in found if row)
            return {row["event_id"]: row for row in rows}

        return self._ask(ask, {})

    def highest(self) -> str:
        """
        Return the highest key of all runs, the deleted ones too; an empty text where there is none.
        """
        return self._ask(highest, "")

    def children(self, event_id: str, *, limit: int, after: Optional[str] = None) -> Page:
        """
        Return the runs nested in one, oldest first.
        """
        parent = self.run(event_id)
        if parent is None:
            return Page([])
        nested = Condition("parent_run_id", Operator.IS, (parent["run_id"],))
        return self.runs(Filters((nested,)), limit=limit, after=after, sort="start_time")

    def events(self, event_id: str, *, limit: int, after: Optional[str] = None) -> Page:
        """
        Return a run's events, oldest first, also those whose writer knew only its run id.
        """
        run = self.run(event_id)
        run_id = run["run_id"] if run else None
        return self._beside("run_events", event_id, run_id, limit=limit, after=after)

    def history(self, event_id: str, *, limit: int, after: Optional[str] = None) -> Page:
        """
        Return a run's records but its updates and events, oldest first; of a deleted run, that.
        """
        return self._beside("run_records", event_id, None, limit=limit, after=after)

    def commits(self, event_id: str, *, limit: int, after: Optional[str] = None) -> Page:
        """
        Return the commits that came of a run, oldest first.
        """
        return self._beside("commits", event_id, None, limit=limit, after=after)

    def metadata(self) -> dict[str, Any]:
        """
        Return the names of agents and job types, each sorted, and how many there are.
        """
        found = self._by(("agent_name", "job_type"))
        agents, jobs = ({pair[place] for pair in found} for place in (0, 1))
        return {
            "agent_names": sorted(agents),
            "job_types": sorted(jobs),
            "counts": {"agent_names": len(agents), "job_types": len(jobs)},
        }

    def totals(self) -> dict[str, Any]:
        """
        Return how many runs there are, by agent, by status, and begun in the last 24 hours.
        """
        day_ago = time_text(datetime.now(timezone.utc) - _DAY)

        found = self._by(("agent_name",))
        recent = self._ask(
            lambda connection: int(connection.execute(_RECENT_SQL, (day_ago,)).fetchone()[0]), 0
        )
        return {
            "total_runs": sum(sum(statuses.values()) for statuses in found.values()),
            "agents": {agent: sum(statuses.values()) for (agent,), statuses in found.items()},
            "recent_24h": recent,
            "statuses": {
                status: sum(statuses[status] for statuses in found.values()) for status in STATUSES
            },
        }

    def stats(self, name: str, filters: Optional[StatsFilters] = None) -> dict[str, Any]:
        """
        Return the data of one chart, or the summary.

        Args:
            name: One of `STATS`.
        """
        if name not in STATS:
            raise FilterError(
                "name", f"must be one of {', '.join(STATS)}", name, "use one of these", status=404
            )

        def ask(connection: sqlite3.Connection) -> dict[str, Any]:
            # One transaction: what several statements find is of one moment.
            connection.execute("BEGIN")
            try:
                return STATS[name](connection, filters or StatsFilters())
            finally:
                connection.execute("ROLLBACK")

        return self._ask(ask, nothing(name))

    def close(self) -> None:
        """
        Close the connections of all threads; a later question opens another.
        """
        self._connections.close()

    def _beside(
        self, table: str, event_id: str, run_id: Optional[str], *, limit: int, after: Optional[str]
    ) -> Page:
        if not is_text(event_id):
            return Page([])
        listing = Listing(
            name=f"{table} of {event_id}",
            table=table,
            columns=tuple(METADATA.tables[table].c.keys()),
            conditions=[Condition("event_id", Operator.IS, (event_id,))],
            order=_OLDEST_FIRST,
            stray_run_id=run_id,
        )
        return self._page(listing, limit=limit, after=after)

    def _page(
        self, listing: Listing, *, limit: int, offset: int = 0, after: Optional[str] = None
    ) -> Page:
        with self._connections.reading() as connection:
            try:
                return listing.page(connection, limit=limit, offset=offset, after=after)
            except sqlite3.OperationalError as error:
                return _without_tables(error, Page([]))

    def _by(self, columns: tuple[str, ...]) -> dict[tuple[str, ...], dict[str, int]]:
        none: dict[tuple[str, ...], dict[str, int]] = {}
        return self._ask(lambda connection: added_up(connection, _ALL, by=columns), none)

    def _ask(self, ask: Callable[[sqlite3.Connection], _Answer], default: _Answer) -> _Answer:
        with self._connections.reading() as connection:
            if connection is None:
                return default
            try:
                return ask(connection)
            except sqlite3.OperationalError as error:
                return _without_tables(error, default)


def _without_tables(error: sqlite3.OperationalError, default: _Answer) -> _Answer:
    # Between the file's creation and its first transaction there are no tables yet.
    if "no such table" in str(error):
        return default
    raise error


def _wanted(columns: Optional[Sequence[str]]) -> tuple[str, ...]:
    """
    Return the columns, all of which there are.
    """
    return tuple(COLUMNS) if columns is None else tuple(COLUMNS[name].name for name in columns)
