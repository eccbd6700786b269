"""
Roll-ups: counts and sums over runs, kept true by whoever changes `agent_runs`.

A batch's changes are added up in memory, and each roll-up that they touch gets one row, whose
numbers may be negative; only now and then are a roll-up's rows made one, for that means to read and
write the whole of it. What a run adds is a function of its row alone, so taking away what the old
row added and adding what the new one does is exact, whatever happened to the run.
"""

from __future__ import annotations

from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from telemetry.model.records import DECODE_ERRORS
from telemetry.storage.ddl import ROLLUP_KEYS, ROLLUP_NUMBERS, STATUS_COUNTS, SUMMED
from telemetry.storage.durations import bucket_of
from telemetry.storage.sqlite import MalformedDatabaseError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

#: Span, period, agent and job type.
Key = tuple[str, str, str, str]

#: What of a run's row its roll-ups are made of.
SOURCES = ("start_time", "agent_name", "job_type", "status", *SUMMED)

LOW_BITS = 32
_LOW = (1 << LOW_BITS) - 1
_DAY_LENGTH = len("2026-11-22")
_MONTH_LENGTH = len("2026-11")
_STATUS_PLACES = {status: place for place, status in enumerate(STATUS_COUNTS)}
_SUM_PLACES = tuple(len(STATUS_COUNTS) + 2 * number for number in range(len(SUMMED)))
_DURATION = SUMMED.index("duration_ms")
_sources_of = itemgetter(*SOURCES)
_NOTHING = (0,) * len(ROLLUP_NUMBERS)

_VALUES = (*ROLLUP_NUMBERS, "durations_json")
_IS_THIS = " AND ".join(f"{name} = ?" for name in ROLLUP_KEYS)
_LAST_PART_SQL = f"SELECT max(part) FROM run_rollups WHERE {_IS_THIS}"
_READ_SQL = f"SELECT {', '.join(_VALUES)} FROM run_rollups WHERE {_IS_THIS}"
_READ_ALL_SQL = f"SELECT {', '.join((*ROLLUP_KEYS, *_VALUES))} FROM run_rollups"
_WRITE_SQL = (
    f"INSERT INTO run_rollups ({', '.join((*ROLLUP_KEYS, 'part', *_VALUES))})"
    f" VALUES ({', '.join('?' * (len(ROLLUP_KEYS) + 1 + len(_VALUES)))})"
)
_DELETE_SQL = f"DELETE FROM run_rollups WHERE {_IS_THIS}"
#: Rows of one roll-up before they are made one.
MAX_PARTS = 32
#: Runs of one day and kind that are added up together: a tenth of the cost of one by one.
MAX_HELD = 1000
_SOURCES_SQL = f"SELECT {', '.join(SOURCES)} FROM agent_runs"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[int, int]).decode


class _Sums:
    """
    What one roll-up holds, or what is to be added to it.
    """

    __slots__ = ("_values", "durations", "numbers")

    def __init__(self) -> None:
        self.numbers: list[int] = list(_NOTHING)
        self.durations: dict[int, int] = {}
        self._values: tuple[Any, ...] = ()

    def __bool__(self) -> bool:
        return any(self.numbers) or any(self.durations.values())

    def add_runs(self, runs: Sequence[Sequence[Any]], sign: int) -> None:
        """
        Add what runs say, each its status and then the columns `SUMMED`.
        """
        numbers = self.numbers
        statuses, *columns = zip(*runs)
        for status, count in Counter(statuses).items():
            numbers[_STATUS_PLACES[status]] += sign * count
        for place, column in zip(_SUM_PLACES, columns):
            values = [value for value in column if value]
            numbers[place] += sign * sum([value & _LOW for value in values])
            numbers[place + 1] += sign * sum([value >> LOW_BITS for value in values])
        durations = [value for value in columns[_DURATION] if value is not None]
        for bucket, count in Counter(map(bucket_of, durations)).items():
            self.durations[bucket] = self.durations.get(bucket, 0) + sign * count

    def add(self, other: _Sums) -> None:
        self.numbers = [one + more for one, more in zip(self.numbers, other.numbers)]
        for bucket, count in other.durations.items():
            self.durations[bucket] = self.durations.get(bucket, 0) + count

    def values(self) -> tuple[Any, ...]:
        """
        Return them as a row has them, when nothing more is added.
        """
        if not self._values:
            durations = {bucket: n for bucket, n in sorted(self.durations.items()) if n}
            self._values = (*self.numbers, _encode(durations).decode("ascii"))
        return self._values


_NOTHING_VALUES = _Sums().values()


class Tally:
    """
    The changes of a batch, added up in memory until they are written.
    """

    def __init__(self) -> None:
        self._by_day: dict[tuple[str, str, str], _Sums] = {}
        #: What is still to be added up, by day and by sign: of each run what `_Sums` wants.
        self._runs: dict[tuple[tuple[str, str, str], int], list[Sequence[Any]]] = {}

    def move(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """
        Take into account that a run's row became another; empty where there was or is none.
        """
        old, new = (_sources_of(row) if row else None for row in (before, after))
        if old == new:
            return
        if old:
            self.add(old, -1)
        if new:
            self.add(new)

    def add(self, sources: Sequence[Any], sign: int = 1) -> None:
        """
        Take into account what a row adds, or with -1 that it adds nothing any more.

        Args:
            sources: Its values of the columns `SOURCES`.
        """
        start_time, agent_name, job_type = sources[:3]
        key = (((start_time or "")[:_DAY_LENGTH], agent_name, job_type), sign)
        runs = self._runs.setdefault(key, [])
        runs.append(sources[3:])
        if len(runs) == MAX_HELD:
            self._add_up()

    def _add_up(self) -> None:
        for (day, sign), runs in self._runs.items():
            self._by_day.setdefault(day, _Sums()).add_runs(runs, sign)
        self._runs.clear()

    def write(self, connection: sqlite3.Connection) -> None:
        """
        Bring the stored roll-ups up to date, inside the caller's transaction.
        """
        written = []
        for key, sums in self._by_key().items():
            (last,) = connection.execute(_LAST_PART_SQL, key).fetchone()
            part, added = (0 if last is None else last + 1), sums
            if part >= MAX_PARTS:
                stored = connection.execute(_READ_SQL, key).fetchall()
                part, added = 0, _together([sums, *map(_restored, stored)])
                connection.execute(_DELETE_SQL, key)
            if added:
                written.append((*key, part, *added.values()))
        connection.executemany(_WRITE_SQL, written)

    def totals(self) -> dict[Key, tuple[Any, ...]]:
        """
        Return the roll-ups that these changes make of none.
        """
        return {key: sums.values() for key, sums in self._by_key().items() if sums}

    def _by_key(self) -> dict[Key, _Sums]:
        self._add_up()
        found: dict[Key, list[_Sums]] = {}
        for (day, agent, job), change in self._by_day.items():
            if change:
                for span, period in (("day", day), ("month", day[:_MONTH_LENGTH]), ("all", "")):
                    found.setdefault((span, period, agent, job), []).append(change)
        return {key: _together(changes) for key, changes in found.items()}


def _together(several: Sequence[_Sums]) -> _Sums:
    """
    Return sums added up; a single one is itself, as nearly always where a batch is of one day.
    """
    if len(several) == 1:
        return several[0]
    total = _Sums()
    for sums in several:
        total.add(sums)
    return total


def recount(connection: sqlite3.Connection) -> None:
    """
    Make all roll-ups anew from the runs' rows, inside the caller's transaction.
    """
    connection.execute("DELETE FROM run_rollups")
    connection.executemany(
        _WRITE_SQL, ((*key, 0, *values) for key, values in _counted(connection).totals().items())
    )


def wrong_rollups(connection: sqlite3.Connection) -> Iterator[str]:
    """
    Yield a description of each roll-up that is not what the runs' rows give.
    """
    expected = _counted(connection).totals()
    found: dict[Key, _Sums] = {}
    for row in connection.execute(_READ_ALL_SQL):
        sums = found.setdefault(row[: len(ROLLUP_KEYS)], _Sums())
        sums.add(_restored(row[len(ROLLUP_KEYS) :]))
    for key, sums in found.items():
        if expected.pop(key, _NOTHING_VALUES) != sums.values():
            yield f"{_shown(key)} is not what its runs give"
    for key in expected:
        yield f"{_shown(key)} is missing"


def _counted(connection: sqlite3.Connection) -> Tally:
    tally = Tally()
    for values in connection.execute(_SOURCES_SQL):
        tally.add(values)
    return tally


def read_durations(text: str) -> dict[int, int]:
    """
    Return how many runs a roll-up has in each bucket.

    Raises:
        MalformedDatabaseError: It is not as it was stored.
    """
    try:
        return _decode(text)
    except (*DECODE_ERRORS, TypeError) as error:
        raise MalformedDatabaseError(
            f"the durations of a roll-up must be as they were stored (got {error}); the database is"
            " rebuilt from the journal"
        ) from error


def _restored(stored: tuple[Any, ...]) -> _Sums:
    sums = _Sums()
    sums.numbers = list(stored[:-1])
    sums.durations = read_durations(stored[-1])
    return sums


def _shown(key: Key) -> str:
    span, period, agent, job = key
    return f"roll-up of {agent!r}, {job!r}, {period or span}"
