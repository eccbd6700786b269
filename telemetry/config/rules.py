"""
What a setting's value must be: each rule says it in words, checks it and shows it.

A rule takes the text of an environment variable or the value of an argument, and returns the value
that the setting has from then on. It raises ValueError for anything else; the caller has the words.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional, Protocol
from urllib.parse import urlsplit

from telemetry.config.secret import MASK, Secret

MAX_PATH_PART_BYTES = 255
_TRUE = frozenset({"1", "true", "yes", "on", "y", "t"})
_FALSE = frozenset({"0", "false", "no", "off", "n", "f"})
_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_TAIL = re.compile(r"[?#]")


class Rule(Protocol):
    """
    The form of a setting's value.
    """

    @property
    def text(self) -> str:
        """
        What the value must be, to stand after "must be".
        """

    def parse(self, value: Any, /) -> Any:
        """
        Return the setting's value.

        Raises:
            ValueError: It breaks the rule.
        """

    def show(self, value: Any, /) -> str:
        """
        Return the value as a person may see it, in the form in which it can be set.
        """


def masked_url(url: str) -> str:
    """
    Return a URL without its user, password, query and fragment, which may hold secrets.
    """
    tail = _TAIL.search(url)
    address = url[: tail.end()] if tail else url
    scheme, separator, rest = address.rpartition("://")
    authority, slash, path = rest.partition("/")
    _, at, host = authority.rpartition("@")
    return f"{scheme}{separator}{MASK if at else ''}{at}{host}{slash}{path}"


class Integer:
    """
    A whole number within limits.
    """

    def __init__(self, minimum: int = 0, maximum: Optional[int] = None) -> None:
        self.minimum = minimum
        self.maximum = maximum
        bounds = f">= {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        self.text = f"an integer {bounds}"

    def parse(self, value: Any, /) -> int:
        """
        Take an integer or its digits; true is none.
        """
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise ValueError(self.text)
        number = int(value)
        if number < self.minimum or (self.maximum is not None and number > self.maximum):
            raise ValueError(self.text)
        return number

    def show(self, value: Any, /) -> str:
        """
        Return its digits.
        """
        return _plain(value)


class Number:
    """
    A finite number, with or without decimals, not below a minimum.
    """

    def __init__(self, minimum: Optional[float] = 0.0) -> None:
        self.minimum = -math.inf if minimum is None else minimum
        self.text = "a number" if minimum is None else f"a number >= {minimum:g}"

    def parse(self, value: Any, /) -> float:
        """
        Take a number or its digits.
        """
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError(self.text)
        try:
            number = float(value)
        except OverflowError as error:
            raise ValueError(self.text) from error
        if not math.isfinite(number) or number < self.minimum:
            raise ValueError(self.text)
        return number

    def show(self, value: Any, /) -> str:
        """
        Return its digits, without a fraction of nothing.
        """
        return "" if value is None else f"{value:.15g}"


class Flag:
    """
    On or off.
    """

    text = "true or false"

    def parse(self, value: Any, /) -> bool:
        """
        Take a truth value or one of the words for it.
        """
        if isinstance(value, bool):
            return value
        word = value.lower() if isinstance(value, str) else ""
        if word not in _TRUE and word not in _FALSE:
            raise ValueError(self.text)
        return word in _TRUE

    def show(self, value: Any, /) -> str:
        """
        Return true or false, as they are written in an environment.
        """
        return "true" if value else "false"


class Choice:
    """
    One of a few words, case ignored.
    """

    def __init__(self, *words: str) -> None:
        self.words = words
        self.text = f"one of {', '.join(words)}"

    def parse(self, value: Any, /) -> str:
        """
        Take one of the words.
        """
        if isinstance(value, str):
            for word in self.words:
                if value.lower() == word.lower():
                    return word
        raise ValueError(self.text)

    def show(self, value: Any, /) -> str:
        """
        Return the word.
        """
        return _plain(value)


class Text:
    """
    One line of text.
    """

    def __init__(self, max_length: int = 1000) -> None:
        self.max_length = max_length
        self.text = f"one line of at most {max_length} printable characters"

    def parse(self, value: Any, /) -> str:
        """
        Take a text without control characters.
        """
        if not isinstance(value, str) or not value.isprintable() or len(value) > self.max_length:
            raise ValueError(self.text)
        return value

    def show(self, value: Any, /) -> str:
        """
        Return the text.
        """
        return _plain(value)


class Url:
    """
    An address that is spoken to over HTTP.
    """

    text = "a URL that begins with http:// or https://"

    def parse(self, value: Any, /) -> str:
        """
        Take an absolute URL; a slash at its end is dropped.
        """
        if not isinstance(value, str) or not value.isprintable() or " " in value:
            raise ValueError(self.text)
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(self.text)
        # Reading the port checks it.
        _ = parts.port
        return value.rstrip("/")

    def show(self, value: Any, /) -> str:
        """
        Return the URL without what may be secret in it.
        """
        return masked_url(value) if value else ""


class Password:
    """
    A secret, sent in a header.
    """

    text = "visible ASCII characters without spaces"

    def parse(self, value: Any, /) -> Secret:
        """
        Take a text or a secret.
        """
        word = value.reveal() if isinstance(value, Secret) else value
        if not isinstance(word, str) or not all("!" <= character <= "~" for character in word):
            raise ValueError(self.text)
        return Secret(word)

    def show(self, value: Any, /) -> str:
        """
        Return a mask.
        """
        return _plain(value)


class Place:
    """
    A file or directory; a relative one is taken from where the process stands when it is read.
    """

    text = "a path of this system"

    def parse(self, value: Any, /) -> Path:
        """
        Take a path; ``~`` and quotes around it are understood.
        """
        if isinstance(value, Path) and value.is_absolute():
            return value
        place = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
        if not isinstance(place, str) or "\0" in place or "://" in place:
            raise ValueError(self.text)
        # `set NAME="D:\x"` and Docker's env files keep the quotes.
        if len(place) > 1 and place[0] == place[-1] and place[0] in "\"'":
            place = place[1:-1]
        # On POSIX it would be one file whose name has backslashes, wherever the process stands.
        if place in {"", ":memory:"} or (os.name != "nt" and _WINDOWS_PATH.match(place)):
            raise ValueError(self.text)
        # Raises, too, for characters that no file name can hold.
        if any(len(part) > MAX_PATH_PART_BYTES for part in os.fsencode(place).split(b"/")):
            raise ValueError(self.text)
        # Path's own expanduser raises where there is no home.
        return _absolute(Path(os.path.expanduser(place)))  # noqa: PTH111

    def show(self, value: Any, /) -> str:
        """
        Return the path.
        """
        return _plain(value)


class Names:
    """
    Several words.
    """

    text = "names separated by commas, or a JSON list of them"

    def parse(self, value: Any, /) -> tuple[str, ...]:
        """
        Take a list in one of its written forms, or any container of texts.
        """
        items = _items(value) if isinstance(value, str) else value
        if not isinstance(items, (list, tuple, set, frozenset)):
            raise ValueError(self.text)
        if not all(isinstance(item, str) for item in items):
            raise ValueError(self.text)
        return tuple(dict.fromkeys(item.strip() for item in items if item.strip()))

    def show(self, value: Any, /) -> str:
        """
        Return the form with commas, where no word holds one.
        """
        plain = not any(character in item for item in value for character in ',["')
        return ",".join(value) if plain else json.dumps(list(value))


class PartlyRefusedError(ValueError):
    """
    Some items of a list cannot be used; `kept` are the others.
    """

    def __init__(self, message: str, kept: tuple[str, ...]) -> None:
        super().__init__(message)
        self.kept = kept


class Patterns(Names):
    """
    Several regular expressions; one with a comma in it needs the JSON form.
    """

    text = "regular expressions separated by commas, or a JSON list of them"

    def parse(self, value: Any, /) -> tuple[str, ...]:
        """
        Take a list whose items can look for secrets, at a bounded cost.

        Raises:
            PartlyRefusedError: Some cannot, and there are others.
        """
        from telemetry.model.custom_patterns import CustomPattern

        # A pattern may begin with a bracket of its own.
        bracketed = isinstance(value, str) and value.startswith("[") and not _is_json(value)
        patterns = super().parse(value.split(",") if bracketed else value)
        kept, refusals = [], []
        for pattern in patterns:
            try:
                CustomPattern(pattern)
            except ValueError as error:
                refusals.append(error)
            else:
                kept.append(pattern)
        if refusals:
            raise PartlyRefusedError(str(refusals[0]), tuple(kept)) from refusals[0]
        return patterns


def _plain(value: Any) -> str:
    """
    Return a value as text, nothing for None.
    """
    return "" if value is None else str(value)


def _absolute(place: Path) -> Path:
    """
    Return a path that stays the same when the process goes elsewhere.
    """
    # abspath would also take `..` away, which is wrong after a symbolic link.
    try:
        return place if place.is_absolute() else Path.cwd() / place
    except OSError as error:
        raise ValueError("the current directory is gone") from error


def _is_json(text: str) -> bool:
    """
    Return whether a text is a JSON list.
    """
    try:
        return isinstance(json.loads(text), list)
    except (ValueError, RecursionError):
        return False


def _items(text: str) -> Iterable[Any]:
    """
    Split a list as it is written in an environment variable.
    """
    if not text.startswith("["):
        return text.split(",")
    try:
        return list(json.loads(text))
    except RecursionError as error:
        raise ValueError("too deep") from error
