"""
Any value of Python to plain JSON values, bounded and scrubbed.

Nothing a value does while it is looked at gets out of here: what raises is replaced by a marker,
what is changed meanwhile is read again. The forms are listed in `telemetry.model.payload`.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Callable, Optional

import attrs
import msgspec

from telemetry.model.forms import CUT, Plain, cut, form_of, name_of
from telemetry.model.scrub import KEY_MARKER, MAX_KEY_CHARS, VALUE_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from telemetry.model.scrub import Scrubber

#: Looked at beyond a string's limit, so that a secret on the cut is still known as one.
MARGIN_CHARS = 512
#: What `repr` of an unknown object may say.
MAX_REPR_CHARS = 4096
#: What each value takes of the budget besides its text: quotes, comma, colon, digits.
_NODE_BYTES = 8
_READ_ATTEMPTS = 4
#: A list of so many items may be a name and its value.
PAIR_ITEMS = 2

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

    __slots__ = ("_active", "_budget", "_scrubber", "limits")

    def __init__(self, limits: Limits, scrubber: Scrubber, budget: int) -> None:
        self.limits = limits
        self._scrubber = scrubber
        self._budget = budget
        self._active: set[int] = set()

    def clean(self, value: object, depth: int = 0) -> Plain:
        """
        Return the value's plain form.
        """
        self._budget -= _NODE_BYTES
        if type(value) is str:
            return self.text(value)
        if value is None or value is True or value is False:
            return value
        kind = type(value)
        try:
            return form_of(kind)(self, value, depth)
        except Exception as error:  # noqa: BLE001 (the value's own code may raise anything)
            return cut(f"{name_of(kind)} raised {name_of(type(error))}")

    def fields(self, values: Mapping[str, object]) -> dict[str, Any]:
        """
        Return a flat mapping with trusted keys, its values cleaned.
        """
        return {key: self.clean(value) for key, value in list(values.items())}

    def text(self, text: str, length: Optional[int] = None) -> str:
        """
        Return a string without secrets and lone surrogates, cut to its limit.

        Args:
            length: Of the whole, when `text` is only the beginning of it.
        """
        length = len(text) if length is None else length
        limit = min(self.limits.max_string, max(self._budget, 0))
        if length > limit:
            text = text[: limit + MARGIN_CHARS]
        if not text.isascii():
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        text = self._scrubber.scrub_text(text)
        if length > limit:
            text = f"{text[:limit]}…[cut {length - limit} chars]"
        self._budget -= len(text) if text.isascii() else len(text.encode())
        return text

    def mapping(self, value: Any, depth: int) -> Plain:
        """
        Return an object; its keys as text, one that is taken with a number behind it.
        """
        refusal = self._enter(value, depth)
        if refusal:
            return refusal
        try:
            return self._pairs(self._read(value.items), _size(value), depth + 1)
        finally:
            self._active.discard(id(value))

    def sequence(self, value: Any, depth: int) -> Plain:
        """
        Return an array.
        """
        refusal = self._enter(value, depth)
        if refusal:
            return refusal
        try:
            return self._items(self._read(value.__iter__), _size(value), depth + 1)
        finally:
            self._active.discard(id(value))

    def unordered(self, value: Any, depth: int) -> Plain:
        """
        Return a set as an array in the order of its items' JSON.
        """
        items = self.sequence(value, depth)
        if isinstance(items, list):
            items.sort(key=_encode)
        return items

    def record(self, value: Any, names: Iterable[str], depth: int) -> Plain:
        """
        Return an object of the named attributes; one that is not there, or raises, says so.
        """
        return self.mapping({name: _attribute(value, name) for name in names}, depth)

    def representation(self, value: object, _depth: int = 0) -> Plain:
        """
        Return what `repr` says, asked once.
        """
        try:
            text = str.__str__(repr(value))
        except Exception:  # noqa: BLE001 (a stranger's __repr__)
            return f"<{name_of(type(value))}>"
        length = len(text)
        if length <= MAX_REPR_CHARS:
            return self.text(text)
        text = self.text(text[: MAX_REPR_CHARS + MARGIN_CHARS])
        return f"{text[:MAX_REPR_CHARS]}…[cut {length - MAX_REPR_CHARS} chars]"

    def _enter(self, value: object, depth: int) -> Optional[dict[str, str]]:
        """
        Begin a container; return the marker that stands for it if it must not be entered.
        """
        if depth >= self.limits.max_depth:
            return cut(f"deeper than {self.limits.max_depth}")
        if id(value) in self._active:
            return cut("contains itself")
        self._active.add(id(value))
        return None

    def _pairs(self, pairs: list[tuple[object, object]], size: int, depth: int) -> Plain:
        result: dict[str, Any] = {}
        copies: dict[str, int] = {}
        needs_care = self._scrubber.needs_care
        for count, (raw_key, item) in enumerate(pairs):
            if self._budget <= 0:
                size = max(size, len(pairs))
                pairs = pairs[:count]
                break
            if type(raw_key) is str and not needs_care(raw_key):
                self._budget -= len(raw_key)
                key, is_secret = raw_key, False
            else:
                key = self._key(raw_key)
                is_secret = self._scrubber.is_secret_key(raw_key if type(raw_key) is str else key)
                if key in VALUE_KEYS and not is_secret:
                    is_secret = self._scrubber.names_value(_named(pairs))
            while key in result:
                copies[key] = copies.get(key, 1) + 1
                key = f"{key}#{copies[key]}"
            hidden = is_secret and _can_be_secret(item)
            result[key] = KEY_MARKER if hidden else self.clean(item, depth)
        if size > len(pairs):
            result[CUT] = f"{size - len(pairs)} items"
        return result

    def _items(self, items: list[object], size: int, depth: int) -> Plain:
        result: list[Any] = []
        hidden = self._scrubber.watch_list(are_pair=len(items) == PAIR_ITEMS)
        for item in items:
            if self._budget <= 0:
                break
            marker = hidden(item)
            if marker is None:
                result.append(self.clean(item, depth))
            else:
                self._budget -= len(marker) + _NODE_BYTES
                result.append(marker)
        missing = max(size, len(items)) - len(result)
        if missing > 0:
            result.append(cut(f"{missing} items"))
        return result

    def _key(self, key: object) -> str:
        """
        Return a key as text: a string as it is, anything else as its JSON.
        """
        text = key if type(key) is str else self.clean(key)
        if not isinstance(text, str):
            text = _encode(text).decode()
        return self.text(text if len(text) <= MAX_KEY_CHARS else f"{text[:MAX_KEY_CHARS]}…")

    def _read(self, iterate: Callable[[], Iterable[Any]]) -> list[Any]:
        """
        Return the first items; again when another thread changed the container meanwhile.
        """
        for _ in range(_READ_ATTEMPTS - 1):
            try:
                return list(itertools.islice(iterate(), self.limits.max_items))
            except RuntimeError:
                continue
        return list(itertools.islice(iterate(), self.limits.max_items))


def _attribute(value: object, name: str) -> object:
    try:
        return getattr(value, name)
    except Exception as error:  # noqa: BLE001 (a field may be a property, or not be set)
        return cut(f"{name} raised {name_of(type(error))}")


def _named(pairs: list[tuple[object, object]]) -> dict[str, object]:
    return {key: item for key, item in pairs if type(key) is str}


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
