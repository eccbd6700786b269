"""
Runs that one record tells whole: row and state at once, without the steps of a fold.

What is handed over to a service is nearly always the first record of its run, and the only one. The
result is what `telemetry.model.fold.Fold` gives, at a quarter of its cost; a line with anything
unusual in it is left to the fold.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import compress
from operator import itemgetter, not_
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

import msgspec

from telemetry.model.claims import claimed_type
from telemetry.model.implied import BLANK, END_FIELDS
from telemetry.model.ranks import AGENT, RUNNING
from telemetry.model.records import DECODE_ERRORS, Change, RecordType
from telemetry.model.run import COLUMNS, Kind
from telemetry.model.values import is_canonical_time

if TYPE_CHECKING:
    from telemetry.model.records import Record
    from telemetry.model.values import SqlValue

#: Where each column has its place in a row.
PLACES = {name: place for place, name in enumerate(COLUMNS)}

_NAMES = tuple(COLUMNS)
_BLANKS = tuple(BLANK.values())
_ENVELOPE = (("lt", int), ("record_type", str), ("change", str), ("id", str), ("timestamp", str))
_FIRST, _END = len(_ENVELOPE), len(_ENVELOPE) + len(COLUMNS)
#: A line, column by column; None where it says nothing, or null, which is the same in a new run.
_Said = msgspec.defstruct(
    "_Said",
    [
        *_ENVELOPE,
        *((name, Optional[claimed_type(column)], None) for name, column in COLUMNS.items()),
        ("crc", str, ""),
    ],
    kw_only=True,
    forbid_unknown_fields=True,
    gc=False,
)
_decode = msgspec.json.Decoder(_Said).decode
_encode = msgspec.json.Encoder().encode
_astuple = msgspec.structs.astuple
_ALL = range(len(COLUMNS))
_JSONS, _FLAGS, _TIMES = (
    tuple(PLACES[name] for name, column in COLUMNS.items() if column.kind is kind)
    for kind in (Kind.JSON, Kind.FLAG, Kind.TIME)
)
#: With a number that is written as numbers are.
_is_usual_id = re.compile(r"[^-]*-(?:0|[1-9][0-9]{0,18})", re.ASCII | re.DOTALL).fullmatch
_times_of = itemgetter(*_TIMES)
_AGENT_NAME, _STATUS, _CREATED_AT, _UPDATED_AT = (
    PLACES[name] for name in ("agent_name", "status", "created_at", "updated_at")
)
#: Columns whose empty value needs no word in the state: the run's keys, and of a run that is over
#: what its end says even by leaving it out.
_KEYS = frozenset({PLACES["event_id"], PLACES["run_id"]})
_KEYS_AND_END = _KEYS.union(PLACES[name] for name in END_FIELDS)
_RUN = RecordType.RUN.value
_RECORDED = Change.RECORDED.value


class Whole(NamedTuple):
    """
    A run as its only record tells it.
    """

    #: Of each column, in their order.
    values: list[SqlValue]
    #: The places of the values that are null.
    nulls: tuple[int, ...]
    #: What `Fold.dump` gives.
    state: bytes


def read_whole(record: Record) -> Optional[Whole]:
    """
    Return a run that this record alone tells of; None where it takes a fold to know.
    """
    line, time = record.line, record.timestamp
    if (
        record.change != _RECORDED
        or record.record_type != _RUN
        or not _is_usual_id(record.id)
        or not is_canonical_time(time)
        # An escape may stand for NUL, which a row cannot hold.
        or (b"\\" in line and b"\\u" in line)
    ):
        return None
    try:
        values: list[Any] = [*_astuple(_decode(line))[_FIRST:_END]]
    except DECODE_ERRORS:
        return None
    if values[_AGENT_NAME] is None or values[_UPDATED_AT] is not None:
        return None
    for text in _times_of(values):
        if text is not None and not is_canonical_time(text):
            return None
    for place in _JSONS:
        if values[place] is not None:
            values[place] = str(_encode(values[place]), "utf-8")
    for place in _FLAGS:
        if values[place] is not None:
            values[place] = int(values[place])
    values[_CREATED_AT] = values[_CREATED_AT] or time
    values[_UPDATED_AT] = time
    is_over = values[_STATUS] is not None and values[_STATUS] != RUNNING
    return _filled(values, f"{AGENT} {time} {record.id}", is_over=is_over)


def _filled(values: list[Any], key: str, *, is_over: bool) -> Whole:
    """
    Put in what a row has where nothing is said, and say in the state what the row cannot tell.
    """
    places = (*compress(_ALL, map(not_, values)),)
    blanks, nulls, rest = _gaps(places, (*[values[place] is None for place in places],), is_over)
    for place, blank in blanks:
        values[place] = blank
    return Whole(values, nulls, b'{"*":%b%b' % (_encode(key), rest))


@lru_cache(maxsize=512)
def _gaps(
    places: tuple[int, ...],
    unsaid: tuple[bool, ...],
    is_over: bool,  # noqa: FBT001 (part of the key)
) -> tuple[list[tuple[int, SqlValue]], tuple[int, ...], bytes]:
    """
    Return what rows get that say nothing at some places: values, nulls, and the rest of the state.

    Args:
        places: Where a row is empty.
        unsaid: Of each of them, whether nothing is said, and not something empty.
    """
    nothing_said = [place for place, is_unsaid in zip(places, unsaid) if is_unsaid]
    implied = _KEYS_AND_END if is_over else _KEYS
    empty = [at for at, is_unsaid in zip(places, unsaid) if not is_unsaid and at not in implied]
    blanks = [(place, _BLANKS[place]) for place in nothing_said if _BLANKS[place] is not None]
    nulls = tuple(place for place in nothing_said if _BLANKS[place] is None)
    said_of = {"+": empty, "-": [place for place, blank in blanks if blank]}
    parts = [
        b',"%b":%b' % (sign.encode(), _encode(sorted(_NAMES[place] for place in found)))
        for sign, found in said_of.items()
        if found
    ]
    return blanks, nulls, b"".join([*parts, b"}"])
