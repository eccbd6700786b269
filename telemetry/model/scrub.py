"""
Secrets are taken out before anything is written.

A value under the name of a secret is replaced as a whole; in texts, what has the shape of a secret
is replaced where it stands. The marker names the rule, never the match: ``[scrubbed:jwt]``. What is
scrubbed once is left alone by a second pass. Cost is linear in the length of the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Callable, Optional

from telemetry.model.custom_patterns import CustomPattern
from telemetry.model.secret_keys import names_a_secret, normalise
from telemetry.model.secret_shapes import (
    ANCHORS,
    ASSIGNED_ANCHORS,
    FINDERS,
    MARKER_START,
    Finder,
    compile_anchors,
    either,
    find_assigned,
    keyword_anchors,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

#: What stands in place of a value whose key names a secret.
KEY_MARKER = f"{MARKER_START}key]"
#: What stands for the rest of a text with more candidates than `MAX_EFFORT` allows.
REST_MARKER = f"{MARKER_START}rest]"
#: Candidates looked at in one text, each secret found counting as several: a bound of time.
MAX_EFFORT = 20_000
FOUND_EFFORT = 4
#: Texts up to this length with a candidate in them are gone over this many times.
MAX_SETTLED_CHARS = 16_384
PASSES = 3
#: Every shape without `=`, `:` and a blank is at least as long as this.
SHORT_CHARS = 12
#: Verdicts on keys that are remembered.
MAX_VERDICTS = 4096
#: Longer keys are cut, and judged anew each time.
MAX_KEY_CHARS = 1024

#: Finds the next anchor in a text, from a position on.
Search = Callable[..., Optional[re.Match[str]]]

_BUILT_IN: Search = compile_anchors(ANCHORS).search
_BUILT_IN_ASSIGNED: Search = compile_anchors([*ANCHORS, *ASSIGNED_ANCHORS]).search
_PASSWORD_PROGRAMS = frozenset(
    ["mysql", "mysqldump", "mysqladmin", "mariadb", "mariadb-dump", "sshpass"]
)
_USER_FLAGS = frozenset(["-u", "--user", "-U", "--proxy-user"])


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
        self.careful_keys: dict[str, bool] = {}
        self._keys = frozenset(filter(None, map(normalise, keys)))
        self._allowed_keys = frozenset(filter(None, map(normalise, allow)))
        self._allowed = frozenset(allow)
        self._patterns = tuple(map(CustomPattern, patterns)) if enabled else ()
        self._finders = FINDERS
        #: Cheap first looks at a text with and without `=` or `:`; None means that `scrub_text`
        #: would not change it.
        self.suspect: Search = _BUILT_IN
        self.suspect_assigned: Search = _BUILT_IN_ASSIGNED
        if not enabled:
            self.suspect = self.suspect_assigned = _nothing
        elif self._keys:
            self._finders, self.suspect_assigned = _with_names(self._keys)
        self._search, self._search_assigned = self.suspect, self.suspect_assigned
        #: A shorter text with neither sign has room for no secret.
        self.short_chars = 0 if self._patterns else SHORT_CHARS
        if self._patterns:
            self.suspect = self.suspect_assigned = _everything

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
                len(key) > MAX_KEY_CHARS or self.is_secret_key(key) or self.scrub_text(key) != key
            )
            _remember(self.careful_keys, key, care)
        return care

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
        search = self._search_assigned if "=" in text or ":" in text else self._search
        if search(text, 0) is not None:
            text = self._settle(text, search)
        for pattern in self._patterns:
            text = pattern.scrub(text)
        return text

    def _settle(self, text: str, search: Search) -> str:
        """
        Scrub a few times: what is taken out may bring a name and another value together.
        """
        for _ in range(PASSES if len(text) <= MAX_SETTLED_CHARS else 1):
            text = self._scrub_shapes(text, search)
        return text

    def _scrub_shapes(self, text: str, search: Search) -> str:
        parts: list[str] = []
        done = position = effort = 0
        while effort < MAX_EFFORT:
            hit = search(text, position)
            if hit is None:
                return "".join([*parts, text[done:]]) if parts else text
            at = hit.start()
            position = at + 1
            effort += 1
            found = self._finders[text[at]](text, at, self.is_secret_key)
            if found is None:
                continue
            position = found.end
            if not found.rule or text[found.start : found.end] in self._allowed:
                continue
            effort += FOUND_EFFORT
            if found.start >= done:
                parts += (text[done : found.start], f"{MARKER_START}{found.rule}]")
            done = found.end
        return "".join([*parts, text[done:position], REST_MARKER])

    def scrub_url(self, url: str) -> str:
        """
        Return a URL without passwords and without the secrets of its query.
        """
        return self.scrub_text(url)

    def scrub_argv(self, argv: Sequence[str]) -> list[str]:
        """
        Return a command line without the secrets in it.

        Beyond what any text is searched for: ``--password x`` over two arguments, ``NAME=value``,
        ``-u user:password``, and ``-px`` of the programs that read a password there.
        """
        if not self.enabled:
            return list(argv)
        program = re.split(r"[/\\]", argv[0])[-1] if argv else ""
        cleaned: list[str] = []
        previous = ""
        for argument in argv:
            cleaned.append(self._argument(program, previous, argument))
            previous = argument
        return cleaned

    def _argument(self, program: str, previous: str, argument: str) -> str:
        if previous.startswith("-") and "=" not in previous and not argument.startswith("-"):
            if len(previous) > 2 and self.is_secret_key(previous):  # noqa: PLR2004 (`-p` names nothing)
                return KEY_MARKER
            if previous in _USER_FLAGS and ":" in argument:
                return f"{MARKER_START}userinfo]"
            if previous == "-p" and program == "sshpass":
                return KEY_MARKER
        if program in _PASSWORD_PROGRAMS and argument.startswith("-p") and len(argument) > 2:  # noqa: PLR2004
            return f"-p{KEY_MARKER}"
        return self.scrub_text(argument)


def _remember(verdicts: dict[str, bool], key: str, verdict: bool) -> bool:  # noqa: FBT001 (what is remembered)
    """
    Keep a verdict in a dictionary that never grows beyond its bound.
    """
    if len(key) <= MAX_KEY_CHARS:
        if len(verdicts) >= MAX_VERDICTS:
            verdicts.clear()
        verdicts[key] = verdict
    return verdict


def _with_names(keys: Collection[str]) -> tuple[dict[str, Finder], Search]:
    """
    Return the finders and the anchors for texts in which the user's own names are assigned to.
    """
    finders = dict(FINDERS)
    anchors = [*ANCHORS, *ASSIGNED_ANCHORS]
    for key in sorted(keys):
        anchors += keyword_anchors("", key, "[_.-]?")
        for case in {key[0], key[0].upper()}:
            finders[case] = either(finders.get(case), find_assigned)
    return finders, compile_anchors(anchors).search


def _nothing(_text: str, _position: int = 0, /) -> None:
    return None


_ANY = re.compile("")


def _everything(text: str, position: int = 0, /) -> Optional[re.Match[str]]:
    return _ANY.search(text, position)
