"""
Secrets are taken out before anything is written.

A value under the name of a secret is replaced as a whole; in texts, what has the shape of a secret is
replaced where it stands. The marker names the rule, never the match: ``[scrubbed:jwt]``. What is
scrubbed once is left alone by a second pass. Cost is linear in the length of the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Callable, Optional

from telemetry.model.custom_patterns import CustomPattern
from telemetry.model.secret_keys import names_a_secret, normalise
from telemetry.model.secret_shapes import (
    ANCHORS,
    FINDERS,
    MARKER_START,
    Finder,
    Found,
    compile_anchors,
    either,
    find_assigned,
    keyword_anchors,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

#: What stands in place of a value whose key names a secret.
KEY_MARKER = f"{MARKER_START}key]"
#: What stands for the rest of a text with more candidates than `MAX_HITS`.
REST_MARKER = f"{MARKER_START}rest]"
#: Candidates looked at in one text; time, not memory, is what this bounds.
MAX_HITS = 30_000
#: Verdicts on keys that are remembered.
MAX_VERDICTS = 4096
#: Keys longer than this are judged anew each time.
MAX_CACHED_KEY_CHARS = 256

_BUILT_IN = compile_anchors(ANCHORS)
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
        self.verdicts: dict[str, bool] = {}
        self._keys = frozenset(filter(None, map(normalise, keys)))
        self._allowed_keys = frozenset(filter(None, map(normalise, allow)))
        self._allowed = frozenset(allow)
        self._patterns = tuple(map(CustomPattern, patterns)) if enabled else ()
        self._search, self._finders = self._shapes()
        #: Cheap first look at a text: None means that `scrub_text` would not change it.
        self.suspect: Callable[[str], Optional[object]] = self._first_look()

    def _shapes(self) -> tuple[Callable[..., Optional[re.Match[str]]], dict[str, Finder]]:
        """
        Return the expression of all anchors, the user's keys included, and who judges their hits.
        """
        if not self._keys:
            return _BUILT_IN.search, FINDERS
        finders = dict(FINDERS)
        anchors = list(ANCHORS)
        for key in sorted(self._keys):
            anchors += keyword_anchors("", key, "[_.-]?")
            for case in {key[0], key[0].upper()}:
                finders[case] = either(finders.get(case), find_assigned)
        return compile_anchors(anchors).search, finders

    def _first_look(self) -> Callable[[str], Optional[object]]:
        if not self.enabled:
            return _nothing
        return _everything if self._patterns else self._search

    def is_secret_key(self, key: str) -> bool:
        """
        Tell whether a value under this key is a secret.
        """
        verdict = self.verdicts.get(key)
        if verdict is None:
            verdict = self._judge(key)
            if len(key) <= MAX_CACHED_KEY_CHARS:
                if len(self.verdicts) >= MAX_VERDICTS:
                    self.verdicts.clear()
                self.verdicts[key] = verdict
        return verdict

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
        if self.suspect(text) is None:
            return text
        text = self._scrub_shapes(text)
        for pattern in self._patterns:
            text = pattern.scrub(text)
        return text

    def _scrub_shapes(self, text: str) -> str:
        parts: list[str] = []
        done = position = 0
        for _ in range(MAX_HITS):
            hit = self._search(text, position)
            if hit is None:
                return "".join([*parts, text[done:]]) if parts else text
            position = hit.start() + 1
            found: Optional[Found] = self._finders[text[hit.start()]](
                text, hit.start(), self.is_secret_key
            )
            if found is None or found.end <= done:
                continue
            position = found.end
            if found.rule and not (
                self._allowed and text[found.start : found.end] in self._allowed
            ):
                if found.start >= done:
                    parts += (text[done : found.start], f"{MARKER_START}{found.rule}]")
                done = found.end
        parts += (text[done:position], REST_MARKER)
        return "".join(parts)

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


def _nothing(_text: str, /) -> None:
    return None


def _everything(_text: str, /) -> bool:
    return True
