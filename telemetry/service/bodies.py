"""
A run that is handed over, from the bytes of a request to those of a line.

The usual body is decoded and checked by msgspec alone, by a struct that derives from the run's
fields. Whatever that refuses is looked at again by `telemetry.service.checks`, field by field:
either it is good after all (an unusual spelling), or each problem in it is named.
"""

from __future__ import annotations

from datetime import datetime, timezone
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import msgspec

from telemetry.model.ids import run_id_problem
from telemetry.model.run import COLUMNS, MAX_INTEGER, STATUS_ALIASES, Column, Kind, Status
from telemetry.model.values import clean_text, cut, time_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from telemetry.model.payload import PayloadEncoder

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
)

decode_run = msgspec.json.Decoder(RunBody).decode
decode_runs = msgspec.json.Decoder(list[RunBody]).decode  # type: ignore[valid-type]

_TIMES = tuple(name for name, column in POSTED.items() if column.kind is Kind.TIME)
_JSONS = tuple(name for name, column in POSTED.items() if column.kind is Kind.JSON)
_TEXTS = tuple(n for n, c in POSTED.items() if c.kind is Kind.TEXT and n not in KEYS)
_NAMES = tuple(name for name in REQUIRED if name in _TEXTS)
_times_of = attrgetter(*_TIMES)
_jsons_of = attrgetter(*_JSONS)
_texts_of = attrgetter(*_TEXTS)
_names_of = attrgetter(*_NAMES)
_encode = msgspec.json.Encoder().encode
_utc = timezone.utc


class UnusualError(Exception):
    """
    A body that must be looked at field by field.
    """


class Settler:
    """
    Makes decoded bodies into what a line says: canonical, bounded and scrubbed.

    For one thread.
    """

    def __init__(self, encoder: PayloadEncoder) -> None:
        self._encoder = encoder
        self._known: set[Optional[str]] = {None}

    def run(self, body: Any) -> bytes:
        """
        Return a run as the inside of a line's object, its keys first; the body becomes canonical.

        Raises:
            UnusualError: A value is not as it must be, or in a form that is not looked at here.
        """
        self._settle(body)
        return bytes(_encode(body)[1:-1])

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

    def _settle(self, body: Any) -> None:
        if run_id_problem(body.event_id) or run_id_problem(body.run_id):
            raise UnusualError
        for name, moment in zip(_TIMES, _times_of(body)):
            if moment is not None:
                setattr(body, name, _time(moment))
        for name, value in zip(_JSONS, _jsons_of(body)):
            if value is not None:
                if is_too_deep(value):
                    raise UnusualError
                setattr(body, name, msgspec.Raw(self._encoder.encode(value)))
        if body.status is not None:
            body.status = SPELLINGS[body.status]
        texts = _texts_of(body)
        if not self._known.issuperset(texts):
            self._settle_texts(body, texts)

    def _settle_texts(self, body: Any, texts: tuple[Optional[str], ...]) -> None:
        for name in _NAMES:
            if getattr(body, name).isspace():
                raise UnusualError
        known = self._known
        for name, text in zip(_TEXTS, texts):
            if text is None or text in known:
                continue
            clean = self._clean(POSTED[name], text)
            if clean != text:
                setattr(body, name, clean)
            elif len(text) <= MAX_KNOWN_CHARS:
                if len(known) >= MAX_KNOWN_TEXTS:
                    known.clear()
                    known.add(None)
                known.add(text)

    def _clean(self, column: Column, text: str) -> str:
        clean = clean_text(str(self._encoder.clean(text)))
        return clean if clean == text else cut(clean, column.max_length or len(clean))


def _time(moment: Any) -> str:
    """
    Return a time as it is stored.
    """
    if type(moment) is str:
        return moment
    if moment.tzinfo is _utc:
        return f"{moment.isoformat(timespec='microseconds')[:26]}Z"
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
