"""
From any value to the bytes of a payload.

Each kind of value has one form:

    None, bool, float, str, int of 64 bits  as they are
    int beyond 64 bits                      decimal text; from about 4300 digits a cut marker
    NaN and the infinities                  "NaN", "Infinity", "-Infinity"
    lone surrogates                         U+FFFD
    bytes, bytearray, memoryview            their text; each byte that is not UTF-8 in hexadecimal
    datetime                                UTC, "2026-11-22T00:42:17.123456Z"; naive is local time
    date, time                              ISO 8601
    timedelta                               seconds
    Decimal, Fraction, complex, Path, UUID  their str()
    Enum                                    the form of its value
    Mapping                                 object; other keys as JSON; "a#2" when "a" is taken
    list, tuple, deque, range, Sequence     array
    set, frozenset, Set                     array, ordered by its items' JSON
    named tuple, dataclass, attrs, Struct   object of its fields
    exception                               {"type": …, "message": …}
    class, function, method, module         its qualified name
    numpy scalar, array                     its item, its list
    anything else, generators too           its repr, up to 4096 characters; nothing is consumed
    a value under the name of a secret      "[scrubbed:key]"; a secret in a text "[scrubbed:rule]"
    too long a string                       its beginning and "…[cut 123 chars]"
    too many items, too deep, a cycle, raises {"[cut]": "why"}

The result is strict UTF-8 JSON, has at most `Limits.max_line_bytes` less what the envelope needs,
and never holds the bytes that open a record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

import msgspec

from telemetry.model.bounds import PAIR_ITEMS, Limits, Walker
from telemetry.model.codec import MARKER_KEY, escape_marker
from telemetry.model.forms import MAX_INT, MIN_INT, cut
from telemetry.model.scrub import VALUE_KEYS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from telemetry.model.forms import Plain
    from telemetry.model.scrub import Scrubber

#: Bytes of a line that are left to the envelope.
ENVELOPE_BYTES = 8192
#: A container with more items, a longer string or more levels is cleaned the careful way.
FAST_ITEMS = 64
FAST_CHARS = 2048
FAST_LEVELS = 3
#: A pass gets this part of the room; the last one fits even where each character is escaped.
_BUDGET_SHARES = (1, 2, 8)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class _UnusualError(Exception):
    """
    A value needs the careful way.
    """


class PayloadEncoder:
    """
    Bounds, scrubs and encodes values. Safe from any thread; raises nothing, whatever the value.
    """

    __slots__ = (
        "_careful_keys",
        "_fast_chars",
        "_fast_items",
        "_fast_levels",
        "_limit",
        "_limits",
        "_look",
        "_look_assigned",
        "_room",
        "_scrubber",
        "_short",
        "encode",
    )

    #: Return a value as JSON.
    encode: Callable[[object], bytes]

    def __init__(self, limits: Limits, scrubber: Scrubber) -> None:
        self._limits = limits
        self._scrubber = scrubber
        self._look = scrubber.look
        self._look_assigned = scrubber.look_assigned
        self._short = min(scrubber.short_chars, limits.max_string)
        self._careful_keys = scrubber.careful_keys
        self._limit = limits.max_line_bytes - min(ENVELOPE_BYTES, limits.max_line_bytes // 4)
        self._room = self._limit - self._limit // 64
        self._fast_chars = min(FAST_CHARS, limits.max_string)
        self._fast_items = min(FAST_ITEMS, limits.max_items) if limits.max_depth > 0 else -1
        self._fast_levels = min(FAST_LEVELS, limits.max_depth) - 1
        self.encode = self._compile_encode()

    def _compile_encode(self) -> Callable[[object], bytes]:  # noqa: C901 (one look at one value)
        """
        Return `encode`, as a closure over what never changes: a fifth less than as a method.
        """
        careful_keys, careful, plain = self._careful_keys, self._careful, self._plain
        look, look_assigned = self._look, self._look_assigned
        names_value = self._scrubber.names_value
        fast_items, fast_chars, fast_levels = self._fast_items, self._fast_chars, self._fast_levels
        short, limit = self._short, self._limit

        def encode(value: object) -> bytes:  # noqa: C901, PLR0912 (a call costs more than a branch)
            # The usual payload, a small dict of plain values, is looked at here without any call.
            if type(value) is dict and len(value) <= fast_items:
                try:
                    # A copy, which no other thread can change between the look and the encoding.
                    flat = value.copy()
                    for key, item in flat.items():
                        if careful_keys[key] and (key not in VALUE_KEYS or names_value(flat)):
                            break
                        kind = type(item)
                        if kind is str:
                            if "=" in item or ":" in item:
                                if len(item) > fast_chars or look_assigned.search(item) is not None:
                                    break
                            elif (len(item) >= short or " " in item or "%" in item) and (
                                len(item) > fast_chars or look.search(item) is not None
                            ):
                                break
                        elif kind is int:
                            if not MIN_INT <= item <= MAX_INT:
                                break
                        elif kind is float:
                            if item - item != 0.0:
                                break
                        elif kind is dict or kind is list:
                            flat[key] = plain(item, fast_levels)
                        elif item is not None and kind is not bool:
                            break
                    else:
                        data = _encode(flat)
                        if len(data) <= limit and MARKER_KEY not in flat:
                            return data
                except Exception:  # noqa: BLE001, S110 (the careful way answers for all that)
                    pass
            return careful(value)

        return encode

    def _plain(self, value: Any, levels: int) -> Any:
        """
        Return a copy of a dict or list of plain values.

        Raises:
            _UnusualError: It holds anything else, or something that must be cut or scrubbed.
        """
        if levels <= 0 or len(value) > self._fast_items:
            raise _UnusualError
        copy = value.copy()
        is_named = type(copy) is dict
        if is_named and MARKER_KEY in copy:
            raise _UnusualError
        careful_keys: dict[Any, bool] = self._careful_keys
        if not is_named and len(copy) == PAIR_ITEMS and self._may_name(copy[0]):
            raise _UnusualError
        for key, item in copy.items() if is_named else enumerate(copy):
            if (
                is_named
                and careful_keys[key]
                and (key not in VALUE_KEYS or self._scrubber.names_value(copy))
            ):
                raise _UnusualError
            kind = type(item)
            if kind is dict or kind is list:
                copy[key] = self._plain(item, levels - 1)
            elif not (
                (kind is str and self._is_plain_text(item))
                or (kind is int and MIN_INT <= item <= MAX_INT)
                or (kind is float and item - item == 0.0)
                or item is None
                or kind is bool
            ):
                raise _UnusualError
        return copy

    def _is_plain_text(self, text: str) -> bool:
        """
        Tell whether a text is short and free of secrets.
        """
        if len(text) > self._fast_chars:
            return False
        if "=" in text or ":" in text:
            return self._look_assigned.search(text) is None
        if len(text) < self._short and " " not in text and "%" not in text and text[:1] != "-":
            return True
        return self._look.search(text) is None

    def _may_name(self, item: object) -> bool:
        """
        Tell whether an item is the name of a secret, and the next one perhaps its value.
        """
        return type(item) is str and self._scrubber.is_secret_key(item)

    def encode_fields(self, values: Mapping[str, object]) -> bytes:
        """
        Return a run's columns as the inside of an object: no braces, empty for no columns.

        The keys are trusted, the values cleaned.
        """
        return self._within_limit(lambda walker: walker.fields(values))[1:-1]

    def clean(self, value: object) -> Plain:
        """
        Return the value as plain JSON values, bounded and scrubbed.
        """
        if value is None or type(value) is bool:
            return value
        if type(value) is str and value.isascii() and self._is_plain_text(value):
            return value
        plain: Plain = _decode(self.encode(value))
        return plain

    def _careful(self, value: object) -> bytes:
        return self._within_limit(lambda walker: walker.clean(value))

    def _within_limit(self, clean: Callable[[Walker], Any]) -> bytes:
        """
        Encode what `clean` returns, with less and less room until it fits.
        """
        size = 0
        try:
            for share in _BUDGET_SHARES:
                walker = Walker(self._limits, self._scrubber, self._room // share)
                data = escape_marker(_encode(clean(walker)))
                size = len(data)
                if size <= self._limit:
                    return data
        except Exception as error:  # noqa: BLE001 (out of memory or of stack: not the caller's problem)
            return _encode(cut(f"{type(error).__name__} while encoding"))
        return _encode(cut(f"{size} bytes"))
