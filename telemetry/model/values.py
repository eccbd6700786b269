"""
What a caller gives for a field, made into what the field holds.

A value has two plain forms. In a line and in the API's bodies: text, integer, boolean, or for a
JSON column objects and arrays; times are ISO 8601 in UTC with microseconds and Z, 27 characters, so
that they sort as text. In a row: the same, with flags as 0 and 1 and JSON columns as text.
"""

from __future__ import annotations

import math
import operator
import os
import re
from datetime import date, datetime, time, timedelta, timezone
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Union

import msgspec

from telemetry.model.records import DECODE_ERRORS
from telemetry.model.run import COLUMNS, MAX_INTEGER, Group, Kind, Run, Status, parse_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from telemetry.model.run import Column

SqlValue = Union[str, int, None]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_MAX_SHOWN_LENGTH = 80
_CANONICAL_TIME_LENGTH = len("2026-11-22T00:42:17.123456Z")
_TIME = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)"
    r"(?:[T ](\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9}))?)?)?"
    r" ?(Z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)
_WHOLE_NUMBER = re.compile(r"\s*[+-]?\d{1,30}\s*", re.ASCII)
_FLAGS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


class Accepted(NamedTuple):
    """
    A value as its field holds it.

    ``problem`` says what was wrong with what came in, empty where nothing was. Where there is one,
    ``value`` is the nearest thing that can be stored, or None where nothing can.
    """

    value: Any
    problem: str = ""


class _RefusedError(Exception):
    """
    A value that its field cannot hold; carries the rule it breaks.
    """


def accept(column: Column, value: object) -> Accepted:
    """
    Return what a column holds for a caller's value. Never raises, whatever the value's methods do.

    None is nothing: the column's default. Naive times are local ones, with their ``fold``. A text
    that is too long loses its middle.
    """
    if value is None:
        return _accept_none(column)
    try:
        return _ACCEPT[column.kind](column, value)
    except _RefusedError as refusal:
        rule = str(refusal)
    except Exception as error:  # noqa: BLE001 (any method of a caller's object may raise anything)
        rule = f"must be a usable value, its own code raised {type(error).__name__}"
    return Accepted(None, f"{column.name} {rule} (got {_shown(value)}); it was left out")


def _accept_none(column: Column) -> Accepted:
    if column.required or column.kind is Kind.STATUS:
        return Accepted(None, f"{column.name} must have a value (got None); it was left as it was")
    return Accepted(column.default)


def _accept_text(column: Column, value: object) -> Accepted:
    text = clean_text(_as_text(value))
    limit = column.max_length
    if limit is None or len(text) <= limit:
        return Accepted(text)
    return Accepted(
        cut(text, limit),
        f"{column.name} must have at most {limit} characters (got {len(text)}); its middle was cut",
    )


def _as_text(value: object) -> str:
    if type(value) is str:
        return value
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (dict, list, tuple)):
        return bytes(_encode(value)).decode()
    if isinstance(value, (str, int, float)) or type(value).__str__ is not object.__str__:
        return str(value)
    raise _RefusedError("must be text")


def clean_text(text: str) -> str:
    """
    Return text that UTF-8 and SQLite can hold: NUL and lone surrogates become U+FFFD.
    """
    if text.isascii():
        return text.replace("\0", "\ufffd") if "\0" in text else str(text)
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return joined.replace("\0", "\ufffd")


def cut(text: str, limit: int) -> str:
    """
    Return a text of at most ``limit`` characters: its beginning, how much is missing, its end.
    """
    if len(text) <= limit:
        return text
    mark = f"…[{len(text) - limit} more]…"
    keep = limit - len(mark)
    if keep <= 0:
        return text[:limit]
    head = keep // 2
    return f"{text[:head]}{mark}{text[len(text) - (keep - head) :]}"


def _accept_count(column: Column, value: object) -> Accepted:
    number = _as_integer(value)
    if not 0 <= number <= MAX_INTEGER:
        raise _RefusedError(f"must be from 0 to {MAX_INTEGER}")
    if isinstance(value, float) and value != number:
        problem = f"{column.name} must be an integer (got {value}); {number} was stored"
        return Accepted(number, problem)
    return Accepted(number)


def _as_integer(value: Any) -> int:
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value):
        return int(value)
    if isinstance(value, (bool, str, bytes)):
        raise _RefusedError("must be an integer")
    try:
        return operator.index(value)
    except TypeError:
        pass
    real = _as_float(value)
    if not math.isfinite(real):
        raise _RefusedError("must be an integer")
    return math.floor(real)


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except TypeError:
        raise _RefusedError(f"must be a number, not {type(value).__name__}") from None


def _accept_flag(_: Column, value: object) -> Accepted:
    if isinstance(value, bool):
        return Accepted(value)
    flag = _FLAGS.get(str(value).strip().lower())
    if flag is None:
        raise _RefusedError("must be true or false")
    return Accepted(flag)


def _accept_time(_: Column, value: object) -> Accepted:
    if isinstance(value, str):
        text = canonical_time(value)
        if text is None:
            raise _RefusedError("must be an ISO 8601 time")
        return Accepted(text)
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime.combine(value, time())
    else:
        moment = datetime.fromtimestamp(_as_float(value), timezone.utc)
    return Accepted(time_text(moment))


def time_text(moment: datetime) -> str:
    """
    Return a time as it is stored. A naive one is local.

    Raises:
        ValueError, OverflowError, OSError: UTC has no such time, or the platform cannot tell.
    """
    moment = moment.astimezone(timezone.utc)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def canonical_time(text: str) -> Optional[str]:
    """
    Return an ISO 8601 text as it is stored; None for anything else.

    Basic and extended forms, a date alone, offsets and Z are understood; digits beyond the
    microsecond are dropped; without a zone it is local.
    """
    if is_canonical_time(text):
        return text
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups("")
    try:
        moment = datetime(
            int(year),
            int(month),
            int(day),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            int(fraction[:6].ljust(6, "0")),
            _zone(zone),
        )
        return time_text(moment)
    except (ValueError, OverflowError, OSError):
        return None


def _zone(text: str) -> Optional[timezone]:
    if not text:
        return None
    if text in "Zz":
        return timezone.utc
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)


@lru_cache(maxsize=256)
def is_canonical_time(text: str) -> bool:
    """
    Tell whether a text is a time exactly as it is stored.
    """
    if len(text) != _CANONICAL_TIME_LENGTH or text[10] + text[19] + text[26] != "T.Z":
        return False
    try:
        msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return False
    return True


def _accept_json(column: Column, value: object) -> Accepted:
    if isinstance(value, str):
        try:
            parsed = _decode(value)
        except DECODE_ERRORS:
            parsed = None
        if isinstance(parsed, (dict, list)):
            return Accepted(parsed)
        value = clean_text(value)
    try:
        _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise _RefusedError("must be JSON") from None
    if isinstance(value, (dict, list, tuple)):
        return Accepted(value)
    problem = f"{column.name} must be a JSON object or array (got {_shown(value)}); stored as it is"
    return Accepted(value, problem)


def _accept_status(column: Column, value: object) -> Accepted:
    status = parse_status(value)
    return _accept_choice(column, value) if status is None else Accepted(status.value)


def _accept_choice(column: Column, value: object) -> Accepted:
    text = str(value.value if isinstance(value, Enum) else value).strip().lower()
    if text not in column.choices:
        raise _RefusedError(f"must be one of {', '.join(column.choices)}")
    return Accepted(text)


_ACCEPT: Mapping[Kind, Callable[[Column, object], Accepted]] = {
    Kind.TEXT: _accept_text,
    Kind.COUNT: _accept_count,
    Kind.FLAG: _accept_flag,
    Kind.TIME: _accept_time,
    Kind.JSON: _accept_json,
    Kind.STATUS: _accept_status,
    Kind.TRIGGER: _accept_choice,
    Kind.COMMIT_SOURCE: _accept_choice,
}


def _shown(value: object) -> str:
    """
    Return a value for a message: short, and nothing that its own code says where that raises.
    """
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001 (a caller's object)
        shown = f"a {type(value).__name__}"
    return cut(clean_text(shown), _MAX_SHOWN_LENGTH)


def suggest(name: str) -> str:
    """
    Return the field whose name is nearest to this one; empty text where none is near.
    """
    from telemetry.model.hints import nearest

    return nearest(
        name,
        (
            column.name
            for column in COLUMNS.values()
            if column.group not in (Group.BOOKKEEPING, Group.DELIVERY)
        ),
    )


def to_sql(column: Column, value: Any) -> SqlValue:
    """
    Return an accepted value as a row holds it. Enums and aware times will do too.
    """
    if value is None:
        return None
    if column.kind is Kind.JSON:
        return bytes(_encode(value)).decode()
    if isinstance(value, datetime):
        return time_text(value)
    if column.kind in (Kind.FLAG, Kind.COUNT):
        return int(value)
    return str(value.value if isinstance(value, Enum) else value)


def to_row(run: Run) -> dict[str, SqlValue]:
    """
    Return a run as the row that a table holds of it.
    """
    return {name: to_sql(column, getattr(run, name)) for name, column in COLUMNS.items()}


def _time_from_row(text: str) -> datetime:
    return msgspec.convert(text, datetime)


def _json_from_row(text: str) -> Any:
    """
    Return the data of a JSON column; what is no JSON text stands for itself.
    """
    try:
        return _decode(text)
    except DECODE_ERRORS:
        return text


_FROM_ROW: Mapping[Kind, Callable[[Any], object]] = {
    Kind.FLAG: bool,
    Kind.TIME: _time_from_row,
    Kind.JSON: _json_from_row,
    Kind.STATUS: Status,
}
_READ = tuple(
    (name, _FROM_ROW[column.kind]) for name, column in COLUMNS.items() if column.kind in _FROM_ROW
)


def run_from_row(row: Mapping[str, Any]) -> Run:
    """
    Return the run that a row holds; columns that are no fields are passed over, as are nulls.

    A worker in the agent's process does this for each run, so it is ten times what cattrs does.
    """
    said = {name: value for name, value in row.items() if value is not None and name in COLUMNS}
    for name, read in _READ:
        if name in said:
            said[name] = read(said[name])
    return Run(**said)
