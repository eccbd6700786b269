"""
A run's row from its records, in whatever order and however often they come.

Each field keeps the value whose key is highest: class, time, writer, number. Classes, lowest first:

    inferred   what the reaper concluded; what a person set of the status, the end or the duration
               of a run that was still running when they looked, and why, if that ended it
    agent      what the run's own process said
    edit       what a person set

So a clean-up never hides the real end of an agent that was only asleep, and a correction of a
finished run stands for ever. `running` from an agent never hides an end. The highest of a set does
not depend on order or repetition, so neither does the fold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

import msgspec

from telemetry.model.claims import fit, read_claims
from telemetry.model.errors import CodecError
from telemetry.model.implied import BLANK, END_FIELDS, implied_by
from telemetry.model.ranks import (
    AGENT,
    CLASSES,
    EDIT,
    INFERRED,
    LOWEST,
    RUNNING,
    key_text,
    parse_key,
    place_of,
)
from telemetry.model.records import DECODE_ERRORS, Change, RecordType, as_number
from telemetry.model.run import COLUMNS, Status, parse_status
from telemetry.model.values import canonical_time, run_from_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from telemetry.model.ranks import Key
    from telemetry.model.records import Record
    from telemetry.model.run import Run
    from telemetry.model.values import SqlValue

_RUN = RecordType.RUN.value
_COMMIT = RecordType.COMMIT.value
_RECORDED = Change.RECORDED.value
_DELETED = Change.DELETED.value
#: Changes whose time is that of the run's creation; all others only bound it.
_CREATING = frozenset({Change.STARTED.value, _RECORDED})
#: What an editor cannot know of a run that is still running.
_UNSETTLED = frozenset({"status", "end_time", "duration_ms"})
#: The same where the edit says that it has ended: the error is the reason for saying so.
_CONCLUDED = _UNSETTLED.union(END_FIELDS)
#: Fields that have a value in the row of a run of which nothing is said.
_NEVER_BLANK = frozenset(name for name, value in BLANK.items() if value)
_SAID_AT_END = _NEVER_BLANK.union(END_FIELDS)
#: Columns that records set; the others are the run's keys, and what follows from records' times.
_SETTABLE = tuple(
    name for name in COLUMNS if name not in {"event_id", "run_id", "created_at", "updated_at"}
)
#: There is no run without a status or a name.
_CLEARABLE = frozenset(
    name for name in _SETTABLE if name != "status" and not COLUMNS[name].required
)
#: Names that are put aside for one run; beyond that, those that sort first are kept.
MAX_ASIDE = 1000

_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
#: Above every creation that is known.
_UNKNOWN_CREATION = (True, "\uffff")


def end_is_concluded(state: bytes) -> bool:
    """
    Tell whether the status of a run was concluded by others: its agent's own word still counts.

    Args:
        state: What `Fold.dump` gave; of anything else, nothing was concluded.
    """
    try:
        said = _decode(state)
        others = said.get("keys", {}).items()
        key = next((key for key, names in others if "status" in names), said.get("*"))
        return key is not None and parse_key(key)[0] == INFERRED
    except (*DECODE_ERRORS, AttributeError, TypeError):
        return False


class Fold:
    """
    The state of one run: its fields, and the key of each.

    Give it the records of one run only. The state has two parts that are stored together: the row,
    and what `dump` returns.
    """

    __slots__ = (
        "_aside",
        "_common",
        "_created",
        "_exceptions",
        "_highest",
        "_updated",
        "_values",
        "deleted",
        "event_id",
        "run_id",
    )

    def __init__(self) -> None:
        self.event_id = ""
        self.run_id = ""
        #: Whether the run was deleted; nothing brings it back.
        self.deleted = False
        self._values: dict[str, SqlValue] = {}
        #: The key of each field that is not among the exceptions.
        self._common = LOWEST
        self._exceptions: dict[str, Key] = {}
        #: No field's key is higher.
        self._highest = LOWEST
        self._aside: dict[str, tuple[Key, Any]] = {}
        #: Whether it is only a bound, and the time; the lowest stands.
        self._created = _UNKNOWN_CREATION
        self._updated = ""

    @property
    def aside(self) -> dict[str, Any]:
        """
        Return what records said under unknown names, and the values that fit no column.
        """
        return {name: value for name, (_, value) in self._aside.items()}

    @property
    def refused_count(self) -> int:
        """
        Return how many fields were given a value that their column cannot hold.
        """
        return sum(name in COLUMNS for name in self._aside)

    def apply(self, record: Record) -> None:
        """
        Take one record into account. Never raises, whatever the record says.
        """
        if self.deleted:
            return
        time = canonical_time(record.timestamp) or ""
        self._name(record.event_id, record.run_id)
        if record.record_type == _RUN:
            if record.change == _DELETED:
                self._bury()
                return
            rank = CLASSES.get(record.change)
        else:
            rank = AGENT if record.record_type == _COMMIT else None
        if rank is None:
            self._see(time, (True, time))
        else:
            self._take(record, rank, time)

    def _take(self, record: Record, rank: int, time: str) -> None:
        """
        Take what a record says at its key.
        """
        fields, cleared, aside = read_claims(record)
        created_at = fields.pop("created_at", None)
        created = str(created_at) if created_at and record.change == _RECORDED else time
        self._see(time, (record.change not in _CREATING, created))
        writer, _, number = record.id.partition("-")
        key = (rank, time, writer, as_number(number))
        if aside:
            for name, value in aside.items():
                self._put_aside(name, value, key)
        if rank == EDIT:
            fields.update({name: BLANK[name] for name in cleared if name in _CLEARABLE})
            self._edit(record, fields, key)
        else:
            for name in implied_by(record, fields):
                fields.setdefault(name, None)
            self._set_all(fields, key)

    def _edit(self, record: Record, fields: dict[str, SqlValue], key: Key) -> None:
        """
        Set what a person set. What they cannot have known yet has the reaper's rank.
        """
        about = record.fields()
        is_sure = about.get("force") is True or (
            parse_status(about.get("base_status")) is not Status.RUNNING
        )
        if not is_sure:
            ends = fields.get("status", RUNNING) != RUNNING
            guessed = _CONCLUDED if ends else _UNSETTLED
            unsure = {name: fields.pop(name) for name in guessed & fields.keys()}
            self._set_all(unsure, (INFERRED, *key[1:]))
        self._set_all(fields, key)

    def _name(self, event_id: str, run_id: str) -> None:
        # All records of a run name it alike. Should some not, the lowest stands, in any order.
        if event_id != self.event_id and event_id:
            self.event_id = min(self.event_id, event_id) if self.event_id else event_id
        if run_id != self.run_id and run_id:
            self.run_id = min(self.run_id, run_id) if self.run_id else run_id

    def _see(self, time: str, created: tuple[bool, str]) -> None:
        if time > self._updated:  # noqa: PLR1730 (a call of max costs thrice as much)
            self._updated = time
        if created < self._created and created[1]:
            self._created = created

    def _bury(self) -> None:
        # What was deleted is nowhere kept: only that it was.
        self.deleted = True
        self.event_id = self.run_id = self._updated = ""
        self._created = _UNKNOWN_CREATION
        self._values, self._exceptions, self._aside = {}, {}, {}

    def _set_all(self, fields: dict[str, SqlValue], key: Key) -> None:
        """
        Set fields at one key: all at once where it is above the others, as in a run's usual life.

        Takes the dictionary over.
        """
        if not fields:
            return
        values = self._values
        if key > self._highest and (fields.get("status") != RUNNING or "status" not in values):
            self._highest = key
            if values.keys() <= fields.keys():
                self._values, self._exceptions, self._common = fields, {}, key
            else:
                values.update(fields)
                self._exceptions.update(dict.fromkeys(fields, key))
        else:
            for name, value in fields.items():
                self._set(name, value, key)

    def _set(self, name: str, value: SqlValue, key: Key) -> None:
        if name in self._values:
            old = self._exceptions.get(name, self._common)
            if place_of(name, value, key) <= place_of(name, self._values[name], old):
                return
        self._values[name] = value
        self._exceptions[name] = key
        self._highest = max(self._highest, key)

    def _keys(self) -> dict[str, Key]:
        """
        Return the key of each field that is set.
        """
        return {**dict.fromkeys(self._values, self._common), **self._exceptions}

    def _put_aside(self, name: str, value: Any, key: Key) -> None:
        old = self._aside.get(name)
        if old is None or (key, _encode(value)) > (old[0], _encode(old[1])):
            self._aside[name] = (key, value)
            if len(self._aside) > MAX_ASIDE:
                del self._aside[max(self._aside)]

    def merge(self, other: Fold) -> None:
        """
        Take into account every record that another state of the same run has seen.
        """
        if other.deleted:
            self._bury()
        if self.deleted:
            return
        self._name(other.event_id, other.run_id)
        self._see(other._updated, other._created)
        for name, key in other._keys().items():
            self._set(name, other._values[name], key)
        for name, (key, value) in other._aside.items():
            self._put_aside(name, value, key)

    def row(self) -> dict[str, SqlValue]:
        """
        Return the run as its row: each column with text, an integer or None.
        """
        row = {**BLANK, **self._values}
        row["event_id"] = self.event_id
        row["run_id"] = self.run_id
        row["created_at"] = self._created[1] if self._created is not _UNKNOWN_CREATION else None
        row["updated_at"] = self._updated or None
        return row

    def run(self) -> Run:
        """
        Return the run.
        """
        return run_from_row(self.row())

    def dump(self) -> bytes:
        """
        Return what must be stored beside the row, so that `load` gives the same state again.

        JSON. Most fields share one key, under ``*``; they are those that the row has a value for,
        with the end's own fields where it is finished, but for the exceptions in ``+`` and ``-``.
        """
        if self.deleted:
            return b'{"deleted":true}'
        state: dict[str, Any] = {}
        common, others = self._group()
        if common is not None:
            state["*"] = key_text(common)
        if others:
            state["keys"] = {key_text(key): sorted(names) for key, names in others.items()}
        ends = END_FIELDS if self._values.get("status", RUNNING) != RUNNING else ()
        empty = [name for name, value in self._values.items() if not value and name not in ends]
        if empty:
            state["+"] = sorted(empty)
        if not self._values.keys() >= (_SAID_AT_END if ends else _NEVER_BLANK):
            implied = {*_NEVER_BLANK, *ends}
            state["-"] = sorted(implied - self._values.keys())
        if self._created[0]:
            state["bound"] = True
        if self._aside:
            state["aside"] = {n: [key_text(key), value] for n, (key, value) in self._aside.items()}
        return _encode(state)

    def _group(self) -> tuple[Optional[Key], dict[Key, list[str]]]:
        """
        Return the key of most fields, and the names under each of the others.
        """
        if not self._exceptions:
            return (self._common if self._values else None), {}
        groups: dict[Key, list[str]] = {}
        if len(self._values) > 2 * len(self._exceptions):  # then no other group can be as large
            for name, key in self._exceptions.items():
                groups.setdefault(key, []).append(name)
            groups.pop(self._common, None)
            return self._common, groups
        for name, key in self._keys().items():
            groups.setdefault(key, []).append(name)
        common = max(groups, key=lambda key: (len(groups[key]), key))
        del groups[common]
        return common, groups

    @classmethod
    def load(cls, state: bytes, row: Mapping[str, Any]) -> Fold:
        """
        Return the state that was stored as this, beside this row.

        Args:
            row: Any mapping with a value for each column; of a deleted run, also an empty one.

        Raises:
            CodecError: It is no such state; the run's records must be folded anew.
        """
        try:
            return cls._restore(_decode(state), row)
        except (*DECODE_ERRORS, AttributeError, LookupError, TypeError) as error:
            raise CodecError(f"a fold's state must be as it was dumped ({error})") from error

    @classmethod
    def _restore(cls, state: dict[str, Any], row: Mapping[str, Any]) -> Fold:
        fold = cls()
        if state.get("deleted"):
            fold.deleted = True
            return fold
        fold.event_id = row["event_id"]
        fold.run_id = row["run_id"]
        fold._updated = row["updated_at"] or ""
        if row["created_at"]:
            fold._created = ("bound" in state, row["created_at"])
        names = {name for name in _SETTABLE if row[name]}
        if row["status"] != RUNNING:
            names.update(END_FIELDS)
        names.update(state.get("+", ()))
        names.difference_update(state.get("-", ()))
        for text, others in state.get("keys", {}).items():
            fold._exceptions.update(dict.fromkeys(others, parse_key(text)))
        if not fold._exceptions.keys() <= names:
            raise ValueError("it has keys of fields that are not set")
        if "*" in state:
            fold._common = parse_key(state["*"])
        fold._values = {name: row[name] for name in names}
        fold._highest = max([fold._common, *fold._exceptions.values()])
        for name, (text, value) in state.get("aside", {}).items():
            fold._restore_aside(name, value, parse_key(text))
        return fold

    def _restore_aside(self, name: str, value: Any, key: Key) -> None:
        """
        Take back what was put aside; a name that has become a field since is one now.
        """
        found = fit(COLUMNS[name], value) if name in COLUMNS else None
        if found is None:
            self._aside[name] = (key, value)
        else:
            self._set(name, found, key)


def fold(records: Iterable[Record]) -> Run:
    """
    Return the run that these records tell of.
    """
    state = Fold()
    for record in records:
        state.apply(record)
    return state.run()
