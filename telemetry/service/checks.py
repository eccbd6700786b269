"""
Values of a body one by one: what is wrong with each, and the way out.

The slow way, for bodies that msgspec refuses, and for the few that a person sends.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Union

import attrs
import msgspec

from telemetry.model.ids import run_id_problem
from telemetry.model.records import DECODE_ERRORS
from telemetry.model.run import MAX_INTEGER, Column, Kind, parse_status
from telemetry.model.values import canonical_time, suggest
from telemetry.service.bodies import KEYS, MAX_DEPTH, POSTED, REQUIRED, RunBody, is_too_deep
from telemetry.service.problems import FieldError, Problem, invalid

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Loc = tuple[Union[str, int], ...]

GOOD_TIME = "2026-11-22T05:13:00Z"
#: Names in `ignored` that one answer repeats, and the characters of each.
MAX_IGNORED = 50
MAX_NAME_CHARS = 100
_ZONE = re.compile(r"(?:[Zz]|[+-]\d\d(?::?\d\d)?)$", re.ASCII)

_decode = msgspec.json.Decoder().decode


class _BadValueError(Exception):
    """
    Carries the rule, the way out and the program's word for it.
    """

    def __init__(self, rule: str, way_out: str = "", type: str = "value_error") -> None:  # noqa: A002 (FastAPI's own word)
        super().__init__(rule)
        self.rule, self.way_out, self.type = rule, way_out, type


@attrs.frozen
class Ignored:
    """
    A name that is no field, and the field that may have been meant.
    """

    name: str
    near: str

    def plain(self) -> dict[str, Optional[str]]:
        """
        Return it as an answer says it.
        """
        return {"field": self.name, "did_you_mean": self.near or None}


class Checked(NamedTuple):
    """
    The values of a body that are good, those that are not, and what is no field.
    """

    values: dict[str, Any]
    errors: list[FieldError]
    ignored: list[Ignored]


def parse(body: bytes, loc: Loc = ("body",)) -> Any:
    """
    Decode JSON as strictly as the hot way does.

    Raises:
        Problem: It is no JSON, or nested too deeply.
    """
    try:
        return _decode(body)
    except RecursionError:
        raise invalid([_depth_error(loc)]) from None
    except DECODE_ERRORS as error:
        way_out = "send one JSON document in UTF-8, without NaN and lone surrogates"
        found = str(error) or "it is none"
        raise invalid(
            [
                FieldError(
                    loc=loc,
                    rule=f"must be JSON: {found}",
                    value=_beginning(body),
                    way_out=way_out,
                    type="json_invalid",
                )
            ]
        ) from None


def _beginning(body: bytes) -> str:
    return body[:40].decode("utf-8", "replace")


def _depth_error(loc: Loc) -> FieldError:
    return FieldError(
        loc=loc,
        rule=f"must have at most {MAX_DEPTH} levels",
        value="deeper",
        way_out="flatten it",
        type="too_deep",
    )


def check_run(document: Any, loc: Loc = ("body",)) -> tuple[Optional[Any], Checked]:
    """
    Check a run that is handed over; return its body where all of it is good.
    """
    checked = check(document, POSTED, REQUIRED, loc)
    if checked.errors:
        return None, checked
    said = {name: value for name, value in checked.values.items() if value is not None}
    return RunBody(**said), checked


def check(
    document: Any, columns: Mapping[str, Column], required: Collection[str], loc: Loc = ("body",)
) -> Checked:
    """
    Check the values of an object by their columns.
    """
    if not isinstance(document, dict):
        return Checked({}, [_no_object(document, loc)], [])
    missing = [name for name in required if document.get(name) is None]
    checked = Checked({}, [_missing(columns[name], (*loc, name)) for name in missing], [])
    for name, value in document.items():
        column = columns.get(name)
        if column is None:
            if len(checked.ignored) < MAX_IGNORED:
                checked.ignored.append(Ignored(name[:MAX_NAME_CHARS], suggest(name)))
        elif value is None:
            checked.values[name] = None
        else:
            try:
                checked.values[name] = check_value(column, value, is_required=name in required)
            except _BadValueError as bad:
                checked.errors.append(
                    FieldError(
                        loc=(*loc, name),
                        rule=bad.rule,
                        value=value,
                        way_out=bad.way_out,
                        type=bad.type,
                    )
                )
    return checked


def _no_object(document: Any, loc: Loc) -> FieldError:
    return FieldError(
        loc=loc,
        rule="must be a JSON object",
        value=document,
        way_out="send the fields as one object",
        type="dict_type",
    )


def _missing(column: Column, loc: Loc) -> FieldError:
    way_out = f"send {loc[-1]}, {_form(column)}"
    return FieldError(loc=loc, rule="is required", way_out=way_out, type="missing")


def check_value(column: Column, value: Any, *, is_required: bool = False) -> Any:
    """
    Return a value as a line holds it.
    """
    if column.name in KEYS:
        problem = run_id_problem(value)
        if problem:
            raise _BadValueError(problem.split(" (got")[0], "send another text")
        return value
    check_kind: Callable[[Column, Any], Any] = _CHECKS.get(column.kind, _choice)
    found = check_kind(column, value)
    if is_required and isinstance(found, str) and not found.strip():
        raise _BadValueError("must not be empty", f"name the {column.name}", "string_too_short")
    return found


def _form(column: Column) -> str:
    """
    Return in words what a column takes.
    """
    if column.kind is Kind.TIME:
        return f"an ISO 8601 time with its zone such as {GOOD_TIME}"
    if column.max_length:
        return f"a text of 1 to {column.max_length} characters"
    return f"a value of kind {column.kind.value}"


def _text(column: Column, value: Any) -> str:
    if not isinstance(value, str):
        raise _BadValueError("must be a text", "put it in quotes", "string_type")
    if column.max_length and len(value) > column.max_length:
        raise _BadValueError(
            f"must have at most {column.max_length} characters, not {len(value)}",
            "shorten it",
            "string_too_long",
        )
    return value


def _count(_: Column, value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _BadValueError("must be an integer", "send a number without quotes", "int_type")
    if value < 0:
        raise _BadValueError("must not be negative", "send 0 or more", "greater_than_equal")
    if value > MAX_INTEGER:
        raise _BadValueError(f"must be at most {MAX_INTEGER}", "send less", "less_than_equal")
    return value


def _flag(_: Column, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _BadValueError("must be true or false", "send one of them", "bool_type")
    return value


def _time(_: Column, value: Any) -> str:
    way_out = f"send one such as {GOOD_TIME}"
    if not isinstance(value, str):
        raise _BadValueError("must be an ISO 8601 time", way_out, "datetime_type")
    text = value.strip()
    found = canonical_time(text)
    if found is None:
        raise _BadValueError("must be an ISO 8601 time", way_out, "datetime_parsing")
    if not _ZONE.search(text, 10):
        raise _BadValueError("must say its time zone", way_out, "timezone_aware")
    return found


def _json(_: Column, value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = _decode(value)
        except RecursionError:
            raise _BadValueError(f"must have at most {MAX_DEPTH} levels", "flatten it") from None
        except DECODE_ERRORS:
            pass
    if not isinstance(value, dict):
        raise _BadValueError(
            "must be a JSON object", 'send an object such as {"pages": 3}', "dict_type"
        )
    if is_too_deep(value):
        raise _BadValueError(f"must have at most {MAX_DEPTH} levels", "flatten it", "too_deep")
    return value


def _status(column: Column, value: Any) -> str:
    status = parse_status(value)
    return _choice(column, value) if status is None else str(status.value)


def _choice(column: Column, value: Any) -> str:
    choice = value.strip().lower() if isinstance(value, str) else value
    if not isinstance(choice, str) or choice not in column.choices:
        choices = ", ".join(column.choices)
        raise _BadValueError(f"must be one of {choices}", "send one of them", "enum")
    return choice


_CHECKS: Mapping[Kind, Callable[[Column, Any], Any]] = {
    Kind.TEXT: _text,
    Kind.COUNT: _count,
    Kind.FLAG: _flag,
    Kind.TIME: _time,
    Kind.JSON: _json,
    Kind.STATUS: _status,
}

__all__ = ["Checked", "Ignored", "Loc", "Problem", "check", "check_run", "check_value", "parse"]
