"""
Any value of Python to plain JSON values, bounded and scrubbed.

The forms are listed in `telemetry.model.payload`. Nothing a value does while it is looked at gets out
of here: what raises is replaced by a marker, what is mutated meanwhile is read again or marked.
Every marker object is ``{"[cut]": "why"}``.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import itertools
import math
import pathlib
import types
import uuid
from collections import abc
from typing import TYPE_CHECKING, Any, Callable, Union

import attrs
import msgspec

from telemetry.model.scrub import KEY_MARKER, MAX_KEY_CHARS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from telemetry.model.scrub import Scrubber

#: What a cleaned value is made of.
Plain = Union[None, bool, int, float, str, "list[Any]", "dict[str, Any]"]

CUT = "[cut]"
MIN_INT, MAX_INT = -(2**63), 2**63 - 1
MAX_DIGITS = 4300
#: What `repr` of an unknown object may say.
MAX_REPR_CHARS = 4096
#: Looked at beyond a string's limit, so that a secret on the cut is still known as one.
MARGIN_CHARS = 512
_READ_ATTEMPTS = 4

_encode = msgspec.json.Encoder().encode


@attrs.frozen
class Limits:
    """
    How much of one value is kept.
    """

    #: Containers within containers.
    max_depth: int = 20
    #: Items of one container.
    max_items: int = 10_000
    #: Characters of one string.
    max_string: int = 1024 * 1024
    #: Bytes of one line, envelope included.
    max_line_bytes: int = 2 * 1024 * 1024


class Walker:
    """
    One pass over one value; not reusable.

    Args:
        budget: Bytes the result may have, about; what goes beyond is cut.
    """

    __slots__ = ("_active", "_budget", "_limits", "_scrubber")

    def __init__(self, limits: Limits, scrubber: Scrubber, budget: int) -> None:
        self._limits = limits
        self._scrubber = scrubber
        self._budget = budget
        self._active: set[int] = set()

    def clean(self, value: object, depth: int = 0) -> Plain:
        """
        Return the value's plain form.
        """
        self._budget -= 8
        kind = type(value)
        if kind is str:
            return self._text(value)  # type: ignore[arg-type]
        if value is None or kind is bool:
            return value  # type: ignore[return-value]
        form = FORMS.get(kind) or _form_of(kind)
        try:
            return form(self, value, depth)
        except (Exception, RecursionError, MemoryError) as error:  # noqa: BLE001 (the value's own code may raise anything)
            return cut(f"{_name(kind)} raised {_name(type(error))}")

    def fields(self, values: abc.Mapping[str, object]) -> dict[str, Any]:
        """
        Return a flat mapping with trusted keys, its values cleaned.
        """
        return {key: self.clean(value) for key, value in list(values.items())}

    def _text(self, text: str) -> str:
        limit = min(self._limits.max_string, max(self._budget, 0))
        if len(text) <= limit and text.isascii():
            text = self._scrubber.scrub_text(text)
            self._budget -= len(text)
            return text
        head = text if len(text) <= limit else text[: limit + MARGIN_CHARS]
        if not head.isascii():
            head = head.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        head = self._scrubber.scrub_text(head)
        if len(text) > limit:
            head = f"{head[:limit]}…[cut {len(text) - limit} chars]"
        self._budget -= len(head) if head.isascii() else len(head.encode())
        return head

    def _key(self, key: object) -> str:
        """
        Return a key as text: a string as it is, anything else as its JSON.
        """
        if type(key) is not str:
            plain = self.clean(key)
            key = plain if isinstance(plain, str) else _encode(plain).decode()
        return self._text(key if len(key) <= MAX_KEY_CHARS else f"{key[:MAX_KEY_CHARS]}…")

    def _container(self, value: object, depth: int, read: Callable[[], Plain]) -> Plain:
        if depth >= self._limits.max_depth:
            return cut(f"deeper than {self._limits.max_depth}")
        if id(value) in self._active:
            return cut("contains itself")
        self._active.add(id(value))
        try:
            return read()
        finally:
            self._active.discard(id(value))

    def mapping(self, value: Any, depth: int) -> Plain:
        """
        Return an object; its keys as text, one that is taken with a number behind it.
        """
        return self._container(
            value, depth, lambda: self._pairs(self._read(value.items), _size(value), depth)
        )

    def _pairs(self, pairs: Iterable[tuple[object, object]], size: int, depth: int) -> Plain:
        result: dict[str, Any] = {}
        count = 0
        needs_care = self._scrubber.needs_care
        for raw_key, item in pairs:
            if self._budget <= 0:
                break
            count += 1
            if type(raw_key) is str and not needs_care(raw_key):
                key, is_secret = raw_key, False
                self._budget -= len(key)
            else:
                key = self._key(raw_key)
                is_secret = self._scrubber.is_secret_key(raw_key if type(raw_key) is str else key)
            if key in result:
                key = _free_key(result, key)
            result[key] = (
                KEY_MARKER if is_secret and _can_be_secret(item) else self.clean(item, depth + 1)
            )
        if size > count:
            result[CUT] = f"{size - count} items"
        return result

    def sequence(self, value: Any, depth: int) -> Plain:
        """
        Return an array.
        """
        return self._container(
            value, depth, lambda: self._items(self._read(value.__iter__), _size(value), depth)
        )

    def _items(self, items: Iterable[object], size: int, depth: int) -> Plain:
        result: list[Any] = []
        for item in items:
            if self._budget <= 0:
                break
            result.append(self.clean(item, depth + 1))
        if size > len(result):
            result.append(cut(f"{size - len(result)} items"))
        return result

    def unordered(self, value: Any, depth: int) -> Plain:
        """
        Return a set as an array in the order of its items' JSON.
        """

        def read() -> Plain:
            items = [self.clean(item, depth + 1) for item in self._read(value.__iter__)]
            rest = _size(value) - len(items)
            items.sort(key=_encode)
            return [*items, cut(f"{rest} items")] if rest > 0 else items

        return self._container(value, depth, read)

    def record(self, value: Any, names: Iterable[str], depth: int) -> Plain:
        """
        Return an object of the named attributes.
        """

        def read() -> Plain:
            pairs = [(name, getattr(value, name, None)) for name in names]
            return self._pairs(pairs[: self._limits.max_items], len(pairs), depth)

        return self._container(value, depth, read)

    def _read(self, iterate: Callable[[], Iterable[Any]]) -> list[Any]:
        """
        Return the first items; again when another thread changed the container meanwhile.
        """
        for _ in range(_READ_ATTEMPTS - 1):
            try:
                return list(itertools.islice(iterate(), self._limits.max_items))
            except RuntimeError:
                continue
        return list(itertools.islice(iterate(), self._limits.max_items))

    def representation(self, value: object, depth: int) -> Plain:
        """
        Return what `repr` says, asked once.
        """
        try:
            text = repr(value)
        except (Exception, RecursionError, MemoryError):  # noqa: BLE001 (a stranger's __repr__)
            return f"<{_name(type(value))}>"
        if len(text) > MAX_REPR_CHARS:
            text = f"{text[:MAX_REPR_CHARS]}…[cut {len(text) - MAX_REPR_CHARS} chars]"
        return self._text(str.__str__(text))


Form = Callable[[Walker, Any, int], Plain]


def cut(reason: str) -> dict[str, str]:
    """
    Return the marker of something that is not kept.
    """
    return {CUT: reason}


def _name(kind: type) -> str:
    return str(type.__dict__["__name__"].__get__(kind))


def _can_be_secret(item: object) -> bool:
    """
    Tell whether a value under the name of a secret may give one away.
    """
    return not (item is None or type(item) is bool or (type(item) is str and not item))


def _size(value: Any) -> int:
    try:
        return len(value)
    except Exception:  # noqa: BLE001 (a stranger's __len__)
        return 0


def _free_key(taken: dict[str, Any], key: str) -> str:
    return next(name for number in itertools.count(2) if (name := f"{key}#{number}") not in taken)


def _integer(_walker: Walker, value: Any, _depth: int) -> Plain:
    number = int.__index__(value)
    if MIN_INT <= number <= MAX_INT:
        return number
    digits = int(number.bit_length() * math.log10(2)) + 1
    return cut(f"integer of about {digits} digits") if digits > MAX_DIGITS - 1 else str(number)


def _float(_walker: Walker, value: Any, _depth: int) -> Plain:
    number = float.__float__(value)
    if math.isfinite(number):
        return number
    return "NaN" if number != number else "Infinity" if number > 0 else "-Infinity"  # noqa: PLR0124 (only NaN differs from itself)


def _string(walker: Walker, value: Any, _depth: int) -> Plain:
    return walker._text(str.__str__(value))  # noqa: SLF001 (a form belongs to the walker)


def _bytes(walker: Walker, value: Any, _depth: int) -> Plain:
    view = memoryview(value)
    limit = walker._limits.max_string + MARGIN_CHARS  # noqa: SLF001 (a form belongs to the walker)
    raw = bytes(view.cast("B")[:limit]) if view.contiguous else view.tobytes()
    text = raw[:limit].decode("utf-8", "backslashreplace")
    return walker._text(text + " " * min(view.nbytes - len(raw[:limit]), 0))  # noqa: SLF001


def _datetime(_walker: Walker, value: dt.datetime, _depth: int) -> Plain:
    try:
        moment = value.astimezone(dt.timezone.utc)
    except (ValueError, OverflowError, OSError):
        return value.isoformat()
    return dt.datetime.isoformat(moment.replace(tzinfo=None), timespec="microseconds") + "Z"


def _isoformat(_walker: Walker, value: Any, _depth: int) -> Plain:
    return str(value.isoformat())


def _timedelta(walker: Walker, value: dt.timedelta, depth: int) -> Plain:
    return _float(walker, value.total_seconds(), depth)


def _decimal(walker: Walker, value: decimal.Decimal, depth: int) -> Plain:
    if value.is_finite():
        return _string(walker, str(value), depth)
    return "NaN" if value.is_nan() else "Infinity" if value > 0 else "-Infinity"


def _as_text(walker: Walker, value: object, depth: int) -> Plain:
    return _string(walker, str(value), depth)


def _enum(walker: Walker, value: enum.Enum, depth: int) -> Plain:
    return walker.clean(value.value, depth)


def _qualified(walker: Walker, value: Any, depth: int) -> Plain:
    name = getattr(value, "__qualname__", None) or value.__name__
    module = getattr(value, "__module__", None)
    return _string(walker, f"{module}.{name}" if module else f"{name}", depth)


def _exception(walker: Walker, value: BaseException, depth: int) -> Plain:
    try:
        message = str(value)
    except Exception:  # noqa: BLE001 (a stranger's __str__)
        message = ""
    kind = type(value)
    pairs = {
        "type": f"{kind.__module__}.{kind.__qualname__}".replace("builtins.", "", 1),
        "message": message,
    }
    return walker.mapping(pairs, depth)


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
    Return numpy's kind of value: a scalar as its `item`, an array as its `tolist` while it is small.
    """
    if not value.shape:
        return (
            walker.clean(value.item(), depth + 1)
            if depth < walker._limits.max_depth
            else cut("array")
        )  # noqa: SLF001
    if value.size > walker._limits.max_items:  # noqa: SLF001 (a form belongs to the walker)
        return walker.representation(value, depth)
    return walker.clean(value.tolist(), depth)


#: The usual types, looked up by exact type; `_form_of` decides for all others.
FORMS: dict[type, Form] = {
    int: _integer,
    float: _float,
    dict: Walker.mapping,
    list: Walker.sequence,
    tuple: Walker.sequence,
    set: Walker.unordered,
    frozenset: Walker.unordered,
}
_BY_BASE: tuple[tuple[Any, Form], ...] = (
    (enum.Enum, _enum),
    (int, _integer),
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
    (float, _float),
)
_BY_ABC: tuple[tuple[Any, Form], ...] = (
    (abc.Mapping, Walker.mapping),
    (abc.Set, Walker.unordered),
    ((abc.Sequence, abc.ValuesView), Walker.sequence),
)


def _form_of(kind: type) -> Form:
    """
    Return the form of a type that is not among the usual ones.
    """
    for base, form in _BY_BASE:
        if issubclass(kind, base):
            return form
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return _named_tuple
    if dataclasses.is_dataclass(kind):
        return _dataclass
    if attrs.has(kind):
        return _attrs
    if hasattr(kind, "dtype") and hasattr(kind, "tolist"):
        return _array
    try:
        for base, form in _BY_ABC:
            if issubclass(kind, base):
                return form
    except Exception:  # noqa: BLE001 (a stranger's metaclass)
        return Walker.representation
    return Walker.representation
