"""
A run that is handed over, from the bytes of a request to those of a line.

The usual body is decoded and checked by msgspec alone, by a struct that derives from the run's
fields. Whatever that refuses is looked at again by `telemetry.service.checks`, field by field:
either it is good after all (an unusual spelling), or each problem in it is named.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import msgspec

from telemetry.model.ids import run_id_problem
from telemetry.model.run import COLUMNS, MAX_INTEGER, STATUS_ALIASES, Column, Kind, Status
from telemetry.model.values import clean_text, cut, time_text

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
#: Keys and types of JSON columns that are remembered; one with more keys is not.
MAX_SHAPES = 4096
MAX_SHAPE_KEYS = 64
_FORBIDDEN = re.compile(r"[/\\ ]")

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
        Kind.TIME: Annotated[datetime, msgspec.Meta(tz=True)],
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
_utc = timezone.utc
_flat = chain.from_iterable
_CANONICAL: frozenset[Optional[str]] = frozenset({None, *SPELLINGS.values()})
#: What the encoder writes as it is, or refuses.
_SHAPE_TYPES = frozenset({str, int, float, bool, type(None)})


class UnusualError(Exception):
    """
    A body that must be looked at field by field.
    """


class Settler:
    """
    Makes decoded bodies into what a line says: canonical, bounded and scrubbed.

    Many bodies are looked at together: nearly all are as they must be, and then only a few steps
    are taken for each. For one thread.
    """

    def __init__(self, encoder: PayloadEncoder, scrubber: Scrubber) -> None:
        self._encoder = encoder
        self._suspect = scrubber.suspect_assigned
        self._needs_care = scrubber.needs_care
        self._known: set[Optional[str]] = {None}
        #: Keys and types of JSON columns in which only the texts must be looked at.
        self._shapes: set[tuple[Any, ...]] = set()

    def run(self, body: Any) -> bytes:
        """
        Return one run as `runs` does.
        """
        return self.runs([body])[0]

    def runs(self, bodies: Sequence[Any]) -> list[bytes]:
        """
        Return runs as the insides of lines' objects, their keys first; the bodies become canonical.

        Raises:
            UnusualError: A value is not as it must be, or in a form that is not looked at here.
        """
        _check_keys(bodies)
        if not _CANONICAL.issuperset(map(_status_of, bodies)):
            for body in bodies:
                body.status = SPELLINGS.get(body.status)
        if not all(map(_is_canonical, _flat(map(_times_of, bodies)))):
            _settle_times(bodies)
        unknown = {*_flat(map(_texts_of, bodies))} - self._known
        self._look_at_jsons(bodies, unknown)
        if unknown and not self._are_clean(unknown):
            self._settle_texts(bodies, unknown)
        return self._encoded(bodies)

    def _encoded(self, bodies: Sequence[Any]) -> list[bytes]:
        try:
            return [_encode(body)[1:-1] for body in bodies]
        except OverflowError:  # an integer that only the careful encoder can write
            for body in bodies:
                for name, value in zip(_JSONS, _jsons_of(body)):
                    if type(value) is dict:
                        self._settle_json(body, name, value)
            return [_encode(body)[1:-1] for body in bodies]

    def outcome(self, body: Any) -> bytes:
        """
        Return what a run that was settled says beyond its keys of what may still be added.
        """
        said = {name: value for name in PATCHABLE if (value := getattr(body, name)) is not None}
        keys = {name: getattr(body, name) for name in KEYS}
        return bytes(_encode({**keys, **said})[1:-1])

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
        Settle the JSON columns that need it, and add the texts of the others.
        """
        for body in bodies:
            for name, value in zip(_JSONS, _jsons_of(body)):
                if value is not None and not self._is_plain(value, texts):
                    self._settle_json(body, name, value)

    def _is_plain(self, value: Any, texts: set[Any]) -> bool:
        """
        Tell whether a JSON column needs no more than a look at its texts, which are added.
        """
        if type(value) is not dict:
            return True
        types = tuple(map(type, value.values()))
        shape = (*value, *types)
        if shape not in self._shapes:
            if not self._is_good_shape(value, types):
                return False
            if len(self._shapes) >= MAX_SHAPES:
                self._shapes.clear()
            self._shapes.add(shape)
        if str in types:
            texts.update([item for item in value.values() if type(item) is str])
        return True

    def _is_good_shape(self, value: dict[str, Any], types: tuple[type, ...]) -> bool:
        if len(value) > MAX_SHAPE_KEYS or not _SHAPE_TYPES.issuperset(types):
            return False
        return not any(map(self._needs_care, value))

    def _settle_json(self, body: Any, name: str, value: Any) -> None:
        if is_too_deep(value):
            raise UnusualError
        setattr(body, name, msgspec.Raw(self._encoder.encode(value)))

    def _are_clean(self, texts: set[Any]) -> bool:
        """
        Tell whether nothing in texts must be changed, by one look at all of them.
        """
        joined = "\n".join(texts)
        if "\0" in joined or self._suspect(joined, 0) is not None:
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
    if joined.isascii() and joined.isprintable() and not _FORBIDDEN.search(joined):
        return
    if any(map(run_id_problem, keys)):
        raise UnusualError


def _is_canonical(moment: Any) -> bool:
    """
    Tell whether the encoder writes a time as it is stored.
    """
    if moment is None or type(moment) is str:
        return True
    return moment.tzinfo is _utc and moment.microsecond != 0


def _settle_times(bodies: Sequence[Any]) -> None:
    for body in bodies:
        for name, moment in zip(_TIMES, _times_of(body)):
            if not _is_canonical(moment):
                setattr(body, name, _time(moment))


def _time(moment: datetime) -> str:
    """
    Return a time as it is stored.
    """
    try:
        return time_text(moment)
    except (ValueError, OverflowError):
        raise UnusualError from None


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
