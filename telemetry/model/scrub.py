"""
Secrets are taken out before anything is written.

A value under the name of a secret is replaced as a whole; in texts, what has the shape of a secret
is replaced where it stands. The marker names the rule, never the match: ``[scrubbed:jwt]``. What is
scrubbed once is left alone by a second pass. Cost is linear in the length of the text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from telemetry.model.secret_anchors import anchors, assigned_anchors
from telemetry.model.secret_finds import MARKER_START
from telemetry.model.secret_keys import names_a_secret, normalise
from telemetry.model.secret_lists import Neighbours
from telemetry.model.secret_looks import FixedLook, Look
from telemetry.model.secret_shapes import finders_for

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from telemetry.model.custom_patterns import CustomPattern
    from telemetry.model.secret_anchors import Search

#: What stands in place of a value whose key names a secret.
KEY_MARKER = f"{MARKER_START}key]"
#: What stands for the rest of a text with more candidates than `MAX_EFFORT` allows.
REST_MARKER = f"{MARKER_START}rest]"
#: Candidates looked at in one text, each secret found counting as several: a bound of time.
MAX_EFFORT = 20_000
FOUND_EFFORT = 4
#: Texts up to this length with a candidate in them are gone over until nothing changes, at most
#: so often.
MAX_SETTLED_CHARS = 16_384
MAX_PASSES = 10
#: Each shape without `=`, `:`, `%` and a blank is at least as long as this, or its secret has no
#: more than two characters.
SHORT_CHARS = 12
#: Verdicts on keys that are remembered.
MAX_VERDICTS = 4096
#: Longer keys are cut, and judged anew each time.
MAX_KEY_CHARS = 1024

#: Keys of what something is called, and of what it is.
NAME_KEYS = ("name", "key", "Name", "Key", "NAME", "KEY")
VALUE_KEYS = frozenset(["value", "Value", "VALUE"])

_NOTHING = FixedLook("(?!)")
_EVERYTHING = FixedLook("")


class Scrubber:
    """
    Knows the names and the shapes of secrets.

    Safe from any thread.

    Args:
        keys: More names of secrets; case and separators do not matter.
        patterns: More shapes, as regular expressions of bounded cost.
        allow: What is no secret after all: names, or secrets word for word.
        enabled: False leaves everything as it is.

    Raises:
        SettingsError: A pattern cannot be used.
    """

    def __init__(
        self,
        keys: Collection[str] = (),
        patterns: Collection[str] = (),
        allow: Collection[str] = (),
        *,
        enabled: bool = True,
    ) -> None:
        self.enabled = enabled
        self._verdicts: dict[str, bool] = {}
        #: Keys seen before: whether anything must be done about the key or the value under it.
        #: Of `value` and its like that depends on the name beside it, see `names_value`.
        self.careful_keys: dict[str, bool] = {}
        self._keys = frozenset(filter(None, map(normalise, keys)))
        self._allowed_keys = frozenset(filter(None, map(normalise, allow)))
        self._allowed = frozenset(allow)
        self._patterns = _compiled(patterns) if enabled else ()
        self._look = Look(anchors)
        self._look_assigned = Look(lambda: assigned_anchors(self._keys))
        #: Cheap first looks at a text without and with `=` or `:`; where they find nothing,
        #: `scrub_text` would not change it.
        self.look: Union[Look, FixedLook] = self._look
        self.look_assigned: Union[Look, FixedLook] = self._look_assigned
        if not enabled:
            self.look = self.look_assigned = _NOTHING
        elif self._patterns:
            self.look = self.look_assigned = _EVERYTHING
        #: A shorter text without `=`, `:`, `%` and a blank has room for no secret.
        self.short_chars = 0 if self._patterns else SHORT_CHARS

    def is_secret_key(self, key: str) -> bool:
        """
        Tell whether a value under this key is a secret.
        """
        verdict = self._verdicts.get(key)
        if verdict is None:
            verdict = _remember(self._verdicts, key, self._judge(key))
        return verdict

    def needs_care(self, key: str) -> bool:
        """
        Tell whether a key names a secret or holds one itself; the answer is kept in `careful_keys`.
        """
        care = self.careful_keys.get(key)
        if care is None:
            care = (
                len(key) > MAX_KEY_CHARS
                or (key in VALUE_KEYS and self.enabled)
                or self.is_secret_key(key)
                or self.scrub_text(key) != key
            )
            _remember(self.careful_keys, key, care)
        return care

    def names_value(self, pairs: Mapping[Any, Any]) -> bool:
        """
        Tell whether what has a `value` also has a `name` or `key` that names a secret.
        """
        if self.enabled:
            for key in NAME_KEYS:
                name = pairs.get(key)
                if type(name) is str and self.is_secret_key(name):
                    return True
        return False

    def _judge(self, key: str) -> bool:
        if not self.enabled:
            return False
        plain = normalise(key)
        if plain in self._allowed_keys:
            return False
        return plain in self._keys or names_a_secret(key)

    def scrub_text(self, text: str) -> str:
        """
        Return the text with each secret in it replaced by a marker.
        """
        if self.enabled:
            look = self._look_assigned if "=" in text or ":" in text else self._look
            if look.search(text) is not None:
                text = self._settle(text, look.search)
        for pattern in self._patterns:
            text = pattern.scrub(text)
        return text

    def _settle(self, text: str, search: Search) -> str:
        """
        Scrub until nothing changes: what is taken out may bring a name and a value together.
        """
        for _ in range(MAX_PASSES if len(text) <= MAX_SETTLED_CHARS else 1):
            before, text = text, self._scrub_shapes(text, search)
            if text == before:
                break
        return text

    def _scrub_shapes(self, text: str, search: Search) -> str:
        finders = finders_for(self._keys)
        parts: list[str] = []
        done = position = effort = 0
        while effort < MAX_EFFORT:
            hit = search(text, position)
            if hit is None:
                return "".join([*parts, text[done:]]) if parts else text
            at = hit.start()
            position = at + 1
            effort += 1
            found = finders[text[at]](text, at, self.is_secret_key)
            if found is None:
                continue
            # What ends an element is behind the secret.
            position = max(found.end, position)
            if not found.rule or text[found.start : found.end] in self._allowed:
                continue
            effort += FOUND_EFFORT
            if found.start >= done:
                parts += (text[done : found.start], f"{MARKER_START}{found.rule}]")
            done = found.end
        return "".join([*parts, text[done:position], REST_MARKER])

    def watch_list(self, *, are_pair: bool = False) -> Callable[[object], Optional[str]]:
        """
        Return what tells, of each item of one list in turn, what stands in its place, if anything.

        It knows command lines (``--password x``, ``-u user:password``, and ``-px`` or ``-p x`` of
        the programs that read a password there), pairs, and the lines of a private key.

        Args:
            are_pair: The list has two items, of which the first may name the second.
        """
        if not self.enabled:
            return _hides_nothing
        return Neighbours(self.is_secret_key, self._allowed, are_pair=are_pair).hidden


def _remember(verdicts: dict[str, bool], key: str, verdict: bool) -> bool:  # noqa: FBT001 (what is remembered)
    """
    Keep a verdict in a dictionary that never grows beyond its bound.
    """
    if len(key) <= MAX_KEY_CHARS:
        if len(verdicts) >= MAX_VERDICTS:
            verdicts.clear()
        verdicts[key] = verdict
    return verdict


def _compiled(patterns: Collection[str]) -> tuple[CustomPattern, ...]:
    if not patterns:
        return ()
    from telemetry.model.custom_patterns import CustomPattern

    return tuple(map(CustomPattern, patterns))


def _hides_nothing(_item: object, /) -> None:
    return None
