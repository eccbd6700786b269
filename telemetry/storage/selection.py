"""
Many runs as they stand at one moment, row by row, however many they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Optional

import attrs

from telemetry.model.run import COLUMNS, Group, Status
from telemetry.storage.looking import look_into
from telemetry.storage.reader import RunFilter
from telemetry.storage.sqlite import translated

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

Row = tuple[Any, ...]
ROWS_AT_ONCE = 1000
TEST_JOB_TYPE = "test"
ITEM_COUNTS = tuple(name for name, column in COLUMNS.items() if column.group is Group.ITEMS)
_ENDED = f"status <> '{Status.RUNNING.value}'"
_ORDER = " ORDER BY start_time DESC, event_id DESC"
#: What is counted over many runs: name and expression.
_TOTALS: tuple[tuple[str, str], ...] = (
    ("runs", "count(*)"),
    *((status.value, f"total(status = '{status.value}')") for status in Status),
    ("success_rate", f"total(status = '{Status.SUCCESS.value}') / nullif(total({_ENDED}), 0)"),
    *((name, f"total({name})") for name in ITEM_COUNTS),
    ("min_duration_ms", "min(duration_ms)"),
    ("mean_duration_ms", "avg(duration_ms)"),
    ("max_duration_ms", "max(duration_ms)"),
    ("first_start", "min(start_time)"),
    ("last_start", "max(start_time)"),
)
TOTALS = tuple(name for name, _ in _TOTALS)
_TOTALS_SQL = ", ".join(f"{expression} AS {name}" for name, expression in _TOTALS)
#: Columns that the totals need of each run.
_TOTALLED = ", ".join(("agent_name", "status", *ITEM_COUNTS, "duration_ms", "start_time"))


@attrs.frozen(kw_only=True)
class Selection:
    """
    Which runs are meant: those of a filter, with more to narrow it.
    """

    filter: RunFilter = attrs.field(factory=RunFilter)
    #: Any of these; of all where none is named.
    statuses: Sequence[str] = ()
    #: The beginning of the hash of the commit that came of the run.
    commit: Optional[str] = None
    exclude_test: bool = False
    #: The newest so many; -1 for all.
    limit: int = -1

    def where(self) -> tuple[str, list[Any]]:
        """
        Return the condition, every value bound.
        """
        condition, values = self.filter.where()
        claims = [condition[len(" WHERE ") :]] if condition else []
        if self.statuses:
            claims.append(f"status IN ({', '.join('?' * len(self.statuses))})")
            values += self.statuses
        if self.commit is not None:
            claims.append("substr(git_commit_hash, 1, length(?)) = ?")
            values += [self.commit.lower()] * 2
        if self.exclude_test:
            claims.append("job_type <> ?")
            values.append(TEST_JOB_TYPE)
        return (f" WHERE {' AND '.join(claims)}" if claims else ""), values


class Snapshot:
    """
    The database as it stood when the first question was asked; get one from `snapshot`.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def count(self, selection: Selection) -> int:
        """
        Return how many runs are chosen.
        """
        where, values = selection.where()
        sql = f"SELECT count(*) FROM agent_runs{where}"
        count = int(self._connection.execute(sql, values).fetchone()[0])
        return count if selection.limit < 0 else min(count, selection.limit)

    def batches(self, selection: Selection, columns: Sequence[str]) -> Iterator[list[Row]]:
        """
        Yield the chosen runs, newest first, some at a time.
        """
        where, values = selection.where()
        names = ", ".join(COLUMNS[name].name for name in columns)
        sql = f"SELECT {names} FROM agent_runs{where}{_ORDER} LIMIT ?"
        cursor = self._connection.execute(sql, [*values, selection.limit])
        while True:
            batch = cursor.fetchmany(ROWS_AT_ONCE)
            if not batch:
                return
            yield batch

    def totals(self, selection: Selection) -> Row:
        """
        Return what `TOTALS` names, over all the chosen runs.
        """
        inner, values = self._totalled(selection)
        row: Row = self._connection.execute(
            f"SELECT {_TOTALS_SQL} FROM ({inner})", values
        ).fetchone()
        return row

    def totals_by_agent(self, selection: Selection) -> Iterator[Row]:
        """
        Yield the name of each agent with its totals, by name.
        """
        inner, values = self._totalled(selection)
        sql = f"SELECT agent_name, {_TOTALS_SQL} FROM ({inner}) GROUP BY agent_name ORDER BY 1"
        return iter(self._connection.execute(sql, values))

    def durations(self, selection: Selection, share: float) -> Optional[int]:
        """
        Return the duration in ms below or at which that share of the chosen finished runs lie.
        """
        where, values = selection.where()
        inner = f"SELECT duration_ms FROM agent_runs{where}{_ORDER} LIMIT ?"
        known = f"SELECT duration_ms FROM ({inner}) WHERE duration_ms IS NOT NULL"
        bound = [*values, selection.limit]
        count = self._connection.execute(f"SELECT count(*) FROM ({known})", bound).fetchone()[0]
        if not count:
            return None
        place = min(count - 1, max(0, -int(-count * share // 1) - 1))
        sql = f"{known} ORDER BY duration_ms LIMIT 1 OFFSET ?"
        return int(self._connection.execute(sql, [*bound, place]).fetchone()[0])

    def _totalled(self, selection: Selection) -> tuple[str, list[Any]]:
        where, values = selection.where()
        order = _ORDER.replace(", event_id DESC", ", event_id DESC LIMIT ?")
        if selection.limit < 0:
            return f"SELECT {_TOTALLED} FROM agent_runs{where}", values
        return f"SELECT {_TOTALLED} FROM agent_runs{where}{order}", [*values, selection.limit]


@contextmanager
def snapshot(db_path: Path) -> Iterator[Snapshot]:
    """
    Give the database as it stands, unchanged by what is written meanwhile.

    Raises:
        TransientSinkError, MalformedDatabaseError: It cannot be read.
    """
    with translated(db_path), closing(look_into(db_path)) as connection:
        connection.execute("BEGIN")
        yield Snapshot(connection)
