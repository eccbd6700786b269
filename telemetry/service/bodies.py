"""
A run that is handed over, from the bytes of a request to those of a line.

The usual body is decoded and checked by msgspec alone, by a struct that derives from the run's
fields. Whatever that refuses is looked at again by `telemetry.service.checks`, field by field:
either it is good after all (an unusual spelling), or each problem in it is named.
"""

from __future__ import annotations

from datetime import datetime
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import msgspec

from telemetry.model.ids import run_id_problem
from telemetry.model.records import DECODE_ERRORS
from telemetry.model.run import COLUMNS, MAX_INTEGER, STATUS_ALIASES, Column, Kind, Status
from telemetry.model.values import clean_text, cut, is_canonical_time, time_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from telemetry.model.payload import PayloadEncoder
    from telemetry.model.scrub import Scrubber

#: Containers within containers.
MAX_DEPTH = 32
#: Columns that follow from the records' own times, or from the version of the field list.
_DERIVED = frozenset({"updated_at", "schema_version"})
#: What a run that is handed over must say.
REQUIRED = (*(name for name, column in COLUMNS.items() if column.required), "start_time")
#: What a run may say when it is handed over.
POSTED: Mapping[str, Column] = {n: c for n, c in COLUMNS.items() if n not in _DERIVED}
#: What a person may correct, and what a run that is handed over again may still add.
PATCHABLE: Mapping[str, Column] = {n: c for n, c in COLUMNS.items() if c.patchable}
#: Each spelling of a status, and the one that is stored.
SPELLINGS: Mapping[str, str] = {
    **{status.value: status.value for status in Status},
    **{alias: status.value for alias, status in STATUS_ALIASES.items()},
}
#: The keys of a run: never changed, so they are checked and not cleaned.
KEYS = ("event_id", "run_id")
#: Texts found clean that are remembered; most fields of most runs say what the last ones said.
MAX_KNOWN_TEXTS = 8192
MAX_KNOWN_CHARS = 256
#: A longer text is bounded and scrubbed by the careful encoder.
MAX_TEXT_CHARS = 1 << 16
#: A JSON column with more keys is bounded and scrubbed by the careful encoder.
MAX_PLAIN_KEYS = 64
#: An object that begins with this key could look like a record; the careful encoder sees to it.
_MARKER_KEY = "lt"

_RUNNING = Status.RUNNING.value


def json_type(column: Column, *, is_required: bool = False) -> Any:
    """
    Return the type that msgspec checks a column's value by.
    """
    if column.kind is Kind.STATUS:
        return Literal[tuple(SPELLINGS)]
    if column.choices:
        return Literal[column.choices]
    plain: dict[Kind, Any] = {
        Kind.COUNT: Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)],
        Kind.FLAG: bool,
        # Looked at as text: most are as they must be, and then no time is made of it.
        Kind.TIME: str,
        Kind.JSON: dict[str, Any],
    }
    least = 1 if is_required else None
    text = Annotated[str, msgspec.Meta(min_length=least, max_length=column.max_length)]
    return plain.get(column.kind, text)


#: A run that is handed over, column by column; None where it is not said.
RunBody: type[Any] = msgspec.defstruct(
    "RunBody",
    [
        (name, json_type(column, is_required=True))
        if name in REQUIRED
        else (name, Optional[json_type(column)], None)
        for name, column in POSTED.items()
    ],
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    gc=False,
)

decode_run = msgspec.json.Decoder(RunBody).decode
decode_runs = msgspec.json.Decoder(list[RunBody]).decode  # type: ignore[valid-type]

_TIMES = tuple(name for name, column in POSTED.items() if column.kind is Kind.TIME)
_JSONS = tuple(name for name, column in POSTED.items() if column.kind is Kind.JSON)
_TEXTS = tuple(n for n, c in POSTED.items() if c.kind is Kind.TEXT and n not in KEYS)
_NAMES = tuple(name for name in REQUIRED if name in _TEXTS)
_keys_of = attrgetter(*KEYS)
_times_of = attrgetter(*_TIMES)
_jsons_of = attrgetter(*_JSONS)
_texts_of = attrgetter(*_TEXTS)
_names_of = attrgetter(*_NAMES)
_status_of = attrgetter("status")
_encode = msgspec.json.Encoder().encode
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]
_decode_moments = msgspec.json.Decoder(list[_Moment]).decode
_decode_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
#: From the beginning of a stored time to the next one's, both in quotes and with a comma.
_TIME_STEP = len('2026-11-22T05:13:00.123456Z","')
_flat = chain.from_iterable
_CANONICAL: frozenset[Optional[str]] = frozenset({None, *SPELLINGS.values()})


class _StatusOnly(msgspec.Struct):
    status: Optional[str] = None


_decode_status = msgspec.json.Decoder(_StatusOnly).decode


class UnusualError(Exception):
    """
    A body that must be looked at field by field.
    """


class Settler:
    """
    Makes decoded bodies into what a line says: canonical, bounded and scrubbed.

    Many bodies are looked at together: nearly all are as they must be, and then only a few steps
    are taken for each. Encoding them anew costs no more than making sure that the client's own
    bytes say each thing once. For one thread.
    """

    def __init__(self, encoder: PayloadEncoder, scrubber: Scrubber) -> None:
        self._encoder = encoder
        self._look = scrubber.look_assigned
        self._needs_care = scrubber.needs_care
        self._known: set[Any] = {None}

    def run(self, body: Any) -> bytes:
        """
        Return one run as `runs` does.
        """
        return self.runs([body])[0]

    def runs(self, bodies: Sequence[Any]) -> list[bytes]:
        """
        Return runs as the insides of lines' objects, their keys first; the bodies become canonical.

        Nothing in them looks like the beginning of a record.

        Raises:
            UnusualError: A value is not as it must be, or in a form that is not looked at here.
        """
        _check_keys(bodies)
        if not _CANONICAL.issuperset(map(_status_of, bodies)):
            for body in bodies:
                body.status = SPELLINGS.get(body.status)
        if not _are_canonical({*_flat(map(_times_of, bodies))}):
            _settle_times(bodies)
        texts = {*_flat(map(_texts_of, bodies))}
        self._look_at_jsons(bodies, texts)
        texts -= self._known
        unknown = {text for text in texts if type(text) is str}
        if unknown and not self._are_clean(unknown):
            self._settle_texts(bodies, unknown)
        integers = [value for value in texts if type(value) is int]
        if integers and (max(integers) > MAX_INTEGER or min(integers) < -MAX_INTEGER):
            self._settle_jsons(bodies)
        return [_encode(body)[1:-1] for body in bodies]

    def _settle_jsons(self, bodies: Sequence[Any]) -> None:
        """
        Settle every JSON column: one has an integer that only the careful encoder can write.
        """
        for body in bodies:
            for name, value in zip(_JSONS, _jsons_of(body)):
                if type(value) is dict:
                    self._settle_json(body, name, value)

    def fields(self, columns: Mapping[str, Column], values: Mapping[str, Any]) -> dict[str, Any]:
        """
        Return checked values of columns as a line holds them; None stays.
        """
        return {name: self._field(columns[name], value) for name, value in values.items()}

    def _field(self, column: Column, value: Any) -> Any:
        if column.kind is Kind.TEXT and value is not None:
            return self._clean(column, value)
        if column.kind is Kind.JSON and value is not None:
            return msgspec.Raw(self._encoder.encode(value))
        return value

    def _look_at_jsons(self, bodies: Sequence[Any], texts: set[Any]) -> None:
        """
        Settle the JSON columns that need it, and add the values of the others to the texts.
        """
        values = [value for value in _flat(map(_jsons_of, bodies)) if type(value) is dict]
        if not values or self._are_plain(values, texts):
            return
        for body in bodies:
            for name, value in zip(_JSONS, _jsons_of(body)):
                if type(value) is dict and not self._are_plain([value], texts):
                    self._settle_json(body, name, value)

    def _are_plain(self, values: Sequence[dict[str, Any]], texts: set[Any]) -> bool:
        """
        Tell whether JSON columns need no more than a look at their values, which are added.
        """
        names = set().union(*values)
        if max(map(len, values)) > MAX_PLAIN_KEYS or _MARKER_KEY in names:
            return False
        if any(map(self._needs_care, names)):
            return False
        try:
            texts.update(*map(dict.values, values))
        except TypeError:  # a container, which has no hash
            return False
        return True

    def _settle_json(self, body: Any, name: str, value: Any) -> None:
        if is_too_deep(value):
            raise UnusualError
        setattr(body, name, msgspec.Raw(self._encoder.encode(value)))

    def _are_clean(self, texts: set[Any]) -> bool:
        """
        Tell whether nothing in texts must be changed, by one look at all of them.
        """
        joined = "\n".join(texts)
        if "\0" in joined or self._look.search(joined) is not None:
            return False
        if max(map(len, texts)) > MAX_TEXT_CHARS or any(map(str.isspace, texts)):
            return False
        known = self._known
        if len(known) >= MAX_KNOWN_TEXTS:
            known.clear()
            known.add(None)
        known.update([text for text in texts if len(text) <= MAX_KNOWN_CHARS])
        return True

    def _settle_texts(self, bodies: Sequence[Any], texts: set[Any]) -> None:
        """
        Look at each text, and clean those that must be.
        """
        if any(name.isspace() for names in map(_names_of, bodies) for name in names):
            raise UnusualError
        dirty = {text for text in texts if not self._are_clean({text})}
        for body in bodies:
            for name, text in zip(_TEXTS, _texts_of(body)):
                if text in dirty:
                    setattr(body, name, self._clean(POSTED[name], text))
            for name, value in zip(_JSONS, _jsons_of(body)):
                if type(value) is dict and not dirty.isdisjoint(
                    [item for item in value.values() if type(item) is str]
                ):
                    self._settle_json(body, name, value)

    def _clean(self, column: Column, text: str) -> str:
        clean = clean_text(str(self._encoder.clean(text)))
        return clean if clean == text else cut(clean, column.max_length or len(clean))


def _check_keys(bodies: Sequence[Any]) -> None:
    """
    Make sure that all keys are good: usually by one look at all of them.
    """
    keys = [*_flat(map(_keys_of, bodies))]
    joined = "".join(keys)
    if (
        joined.isascii()
        and joined.isprintable()
        and not (" " in joined or "/" in joined or "\\" in joined)
    ):
        return
    if any(map(run_id_problem, keys)):
        raise UnusualError


def _are_canonical(times: set[Optional[str]]) -> bool:
    """
    Tell whether all times are as they are stored: then the encoder writes them as they were read.

    It writes no fraction where that is nothing, so such a time is looked at alone.
    """
    joined = '","'.join(filter(None, times))
    count = len(times) - (None in times)
    if len(joined) != count * _TIME_STEP - bool(count) * len('","'):
        return False
    quoted = f'["{joined}"]' if count else "[]"
    try:
        moments = _decode_moments(quoted)
        # A text with quotes in it may pass for several times.
        return len(moments) == count and bytes(_encode(moments)) == quoted.encode()
    except DECODE_ERRORS:
        return False


def _settle_times(bodies: Sequence[Any]) -> None:
    for body in bodies:
        for name, text in zip(_TIMES, _times_of(body)):
            if text is not None and not is_canonical_time(text):
                setattr(body, name, _time(text))


def _time(text: str) -> str:
    """
    Return a time as it is stored.
    """
    try:
        return time_text(msgspec.convert(text, _Moment))
    except (*DECODE_ERRORS, OverflowError):
        raise UnusualError from None


def outcome(said: bytes) -> bytes:
    """
    Return what a run that was settled says beyond its keys of what may still be added.
    """
    found = _decode_raw(b"{%b}" % said)
    return bytes(_encode({n: raw for n, raw in found.items() if n in KEYS or n in PATCHABLE})[1:-1])


def status_in(said: bytes) -> Optional[str]:
    """
    Return the status that a run that was settled says.
    """
    return _decode_status(b"{%b}" % said).status


def is_too_deep(value: Any, levels: int = MAX_DEPTH) -> bool:
    """
    Tell whether plain data has more levels of containers than it may.
    """
    if levels <= 0:
        return True
    for item in value.values() if type(value) is dict else value:
        if (type(item) is dict or type(item) is list) and is_too_deep(item, levels - 1):
            return True
    return False


def is_final(status: Optional[str]) -> bool:
    """
    Tell whether a settled status is an end.
    """
    return status is not None and status != _RUNNING
