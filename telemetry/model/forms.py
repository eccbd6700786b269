"""
The plain form of each kind of value that has one; `telemetry.model.payload` lists them.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import math
import pathlib
import types
import uuid
from collections import abc
from typing import TYPE_CHECKING, Any, Callable, Union

import attrs
import msgspec

if TYPE_CHECKING:
    from telemetry.model.bounds import Walker

#: What a cleaned value is made of.
Plain = Union[None, bool, int, float, str, "list[Any]", "dict[str, Any]"]
#: How a walker turns a value at a depth into its plain form.
Form = Callable[["Walker", Any, int], Plain]

#: The key of every marker that stands for something not kept: ``{"[cut]": "why"}``.
CUT = "[cut]"
MIN_INT, MAX_INT = -(2**63), 2**63 - 1
#: Longer integers are not turned into text, which takes time by the square of the digits.
MAX_DIGITS = 4300
_MAX_NAME_CHARS = 200

_type_name = type.__dict__["__name__"].__get__


def cut(reason: str) -> dict[str, str]:
    """
    Return the marker of something that is not kept.
    """
    return {CUT: reason}


def name_of(kind: type) -> str:
    """
    Return a type's name, whatever its metaclass says.
    """
    return str(_type_name(kind))[:_MAX_NAME_CHARS]


def form_of(kind: type) -> Form:
    """
    Return the form of the values of a type.
    """
    return _BY_TYPE.get(kind) or _by_base(kind)


def _integer(_walker: Walker, value: Any, _depth: int) -> Plain:
    number = int.__index__(value)
    if MIN_INT <= number <= MAX_INT:
        return number
    digits = int(number.bit_length() * math.log10(2)) + 1
    return cut(f"integer of about {digits} digits") if digits >= MAX_DIGITS else str(number)


def _float(_walker: Walker, value: Any, _depth: int) -> Plain:
    number = float.__float__(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _string(walker: Walker, value: Any, _depth: int) -> Plain:
    return walker.text(str.__str__(value))


def _bytes(walker: Walker, value: Any, _depth: int) -> Plain:
    limit = walker.limits.max_string + 1
    # A slice, not a view: another thread may still resize a bytearray.
    head = value.tobytes() if isinstance(value, memoryview) else bytes(value[:limit])
    text = head[:limit].decode("utf-8", "backslashreplace")
    return walker.text(text, max(len(text), memoryview(value).nbytes if len(head) >= limit else 0))


def _datetime(_walker: Walker, value: dt.datetime, _depth: int) -> Plain:
    try:
        moment = value.astimezone(dt.timezone.utc)
    except (ValueError, OverflowError, OSError):
        return str(value.isoformat())
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _isoformat(_walker: Walker, value: Any, _depth: int) -> Plain:
    return str(value.isoformat())


def _timedelta(_walker: Walker, value: dt.timedelta, _depth: int) -> Plain:
    return float(value.total_seconds())


def _decimal(walker: Walker, value: decimal.Decimal, depth: int) -> Plain:
    if value.is_finite():
        return _as_text(walker, value, depth)
    return "NaN" if value.is_nan() else "Infinity" if value > 0 else "-Infinity"


def _as_text(walker: Walker, value: object, depth: int) -> Plain:
    return _string(walker, str(value), depth)


def _enum(walker: Walker, value: enum.Enum, depth: int) -> Plain:
    return walker.clean(value.value, depth)


def _qualified(walker: Walker, value: Any, _depth: int) -> Plain:
    name = getattr(value, "__qualname__", None) or value.__name__
    module = getattr(value, "__module__", None)
    return walker.text(f"{module}.{name}" if module else f"{name}")


def _exception(walker: Walker, value: BaseException, depth: int) -> Plain:
    kind = type(value)
    name = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    try:
        message = str.__str__(str(value))
    except Exception as error:  # noqa: BLE001 (a stranger's __str__)
        message = f"<str raised {name_of(type(error))}>"
    return walker.mapping({"type": name, "message": message}, depth)


def _named_tuple(walker: Walker, value: Any, depth: int) -> Plain:
    return walker.record(value, value._fields, depth)


def _dataclass(walker: Walker, value: Any, depth: int) -> Plain:
    return walker.record(value, [field.name for field in dataclasses.fields(value)], depth)


def _attrs(walker: Walker, value: Any, depth: int) -> Plain:
    return walker.record(value, [field.name for field in attrs.fields(type(value))], depth)


def _struct(walker: Walker, value: Any, depth: int) -> Plain:
    return walker.record(value, value.__struct_fields__, depth)


def _array(walker: Walker, value: Any, depth: int) -> Plain:
    """
    Return numpy's kind of value: a scalar as its `item`, a small array as its `tolist`.
    """
    if depth >= walker.limits.max_depth:
        return cut(f"deeper than {walker.limits.max_depth}")
    if not value.shape:
        return walker.clean(value.item(), depth + 1)
    if value.size > walker.limits.max_items:
        return walker.representation(value)
    return walker.clean(value.tolist(), depth)


def _mapping(walker: Walker, value: Any, depth: int) -> Plain:
    return walker.mapping(value, depth)


def _sequence(walker: Walker, value: Any, depth: int) -> Plain:
    return walker.sequence(value, depth)


def _unordered(walker: Walker, value: Any, depth: int) -> Plain:
    return walker.unordered(value, depth)


def _unknown(walker: Walker, value: Any, depth: int) -> Plain:
    return walker.representation(value, depth)


#: The usual types.
_BY_TYPE: dict[type, Form] = {
    int: _integer,
    float: _float,
    dict: _mapping,
    list: _sequence,
    tuple: _sequence,
    set: _unordered,
    frozenset: _unordered,
}
#: All others, by the first that fits: an `IntEnum` is an enum, a `datetime` no mere date.
_BY_BASE: tuple[tuple[Any, Form], ...] = (
    (enum.Enum, _enum),
    (int, _integer),
    (float, _float),
    (str, _string),
    (dt.datetime, _datetime),
    ((dt.date, dt.time), _isoformat),
    (dt.timedelta, _timedelta),
    (decimal.Decimal, _decimal),
    ((fractions.Fraction, complex, pathlib.PurePath, uuid.UUID), _as_text),
    ((bytes, bytearray, memoryview), _bytes),
    (BaseException, _exception),
    (
        (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType),
        _qualified,
    ),
    (msgspec.Struct, _struct),
)
_BY_TRAIT: tuple[tuple[Callable[[Any], bool], Form], ...] = (
    (lambda kind: issubclass(kind, tuple) and hasattr(kind, "_fields"), _named_tuple),
    (dataclasses.is_dataclass, _dataclass),
    (attrs.has, _attrs),
    (lambda kind: hasattr(kind, "dtype") and hasattr(kind, "tolist"), _array),
    (lambda kind: issubclass(kind, abc.Mapping), _mapping),
    (lambda kind: issubclass(kind, abc.Set), _unordered),
    (lambda kind: issubclass(kind, (abc.Sequence, abc.ValuesView)), _sequence),
)


def _by_base(kind: type) -> Form:
    for base, form in _BY_BASE:
        if issubclass(kind, base):
            return form
    try:
        return next((form for has_trait, form in _BY_TRAIT if has_trait(kind)), _unknown)
    except Exception:  # noqa: BLE001 (a stranger's metaclass)
        return _unknown
