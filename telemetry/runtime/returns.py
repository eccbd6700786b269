"""
What hooks may return: each reader takes it from one implementation, and yields what can be used.

A thing that breaks the rules is yielded as a `PluginError` that says so, so that the rest counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable

from telemetry.model.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: A sink's name is a file name in the state directory.
_SINK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
#: A health check's name is part of a metric's labels, and typed by people.
_CHECK_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_JOURNAL_METHODS = ("append", "segments", "read", "sync", "after_fork", "close")


class NoJournal:
    """
    A journal that takes nothing, so that records wait in memory.
    """

    def append(self, line: bytes, second: int, /) -> bool:
        """
        Refuse the line.
        """
        return False

    def segments(self) -> Sequence[Any]:
        """
        Return no files.
        """
        return ()

    def read(self, segment: Any, cursor: Any, max_bytes: int, /, *, without: Any = ()) -> Any:
        """
        Refuse: there is no segment to read.
        """
        raise PluginError("no plugin offers a journal; install telemetry with its entry points")

    def sync(self) -> None:
        """
        Do nothing.
        """

    def after_fork(self) -> None:
        """
        Do nothing.
        """

    def close(self) -> None:
        """
        Do nothing.
        """


class Unique:
    """
    Reads what a hook returned, and leaves out what is broken or has a name that is taken.
    """

    def __init__(self, name_of: Callable[[Any], str], taken: set[str]) -> None:
        self._name_of = name_of
        self._taken = taken

    def __call__(self, returned: Any) -> Iterator[Any]:
        """
        Yield the things that can be used, and an error for each that cannot.
        """
        for each in _items(returned):
            try:
                name = self._name_of(each)
            except PluginError as error:
                yield error
                continue
            # Names become file names, and some file systems do not tell cases apart.
            if name.lower() in self._taken:
                yield PluginError(f"the name {name!r} is taken by another plugin's")
                continue
            self._taken.add(name.lower())
            yield each


def _items(returned: Any) -> Iterable[Any]:
    """
    Return what a hook returned as items; None is none.
    """
    if returned is None:
        return ()
    if isinstance(returned, (str, bytes, dict)) or not hasattr(returned, "__iter__"):
        raise PluginError(f"must return a list (got a {type(returned).__name__})")
    items: Iterable[Any] = returned
    return items


def journals(returned: Any) -> Iterator[Any]:
    """
    Yield a journal that has what a journal must have.

    Raises:
        PluginError: It has not.
    """
    if returned is None:
        return
    missing = _missing(returned, _JOURNAL_METHODS)
    if missing:
        raise PluginError(f"a journal must have {missing}() (got a {type(returned).__name__})")
    yield returned


def sink_name(sink: Any) -> str:
    """
    Return the name of a sink that has what a sink must have.

    Raises:
        PluginError: It has not.
    """
    name = getattr(sink, "name", None)
    if not isinstance(name, str) or not _SINK_NAME.fullmatch(name):
        raise PluginError(
            "a sink's name must be 1 to 64 letters, digits, dots, dashes and underscores "
            f"(got {name!r:.80}, of a {type(sink).__name__})"
        )
    missing = _missing(sink, ("write", "close"))
    if missing:
        raise PluginError(f"a sink must have {missing}() ({name!r} has not)")
    return name


def command_name(command: Any) -> str:
    """
    Return the name of a command.

    Raises:
        PluginError: It is none.
    """
    import click

    if not isinstance(command, click.Command) or not command.name:
        raise PluginError(f"a command must be a click.Command (got a {type(command).__name__})")
    return command.name


def check_name(check: Any) -> str:
    """
    Return the name of a health check that has what one must have.

    Raises:
        PluginError: It has not.
    """
    name = getattr(check, "name", None)
    if not isinstance(name, str) or not _CHECK_NAME.fullmatch(name):
        raise PluginError(
            "a health check's name must be 1 to 64 lower-case letters, digits and underscores"
            f" (got {name!r:.80}, of a {type(check).__name__})"
        )
    if _missing(check, ("run",)):
        raise PluginError(f"a health check must have run() ({name!r} has not)")
    return name


def processors(returned: Any) -> Iterator[Any]:
    """
    Yield the processors that can be called.
    """
    for each in _items(returned):
        if callable(each):
            yield each
        else:
            yield PluginError(f"a processor must be callable (got a {type(each).__name__})")


def _missing(thing: Any, methods: Sequence[str]) -> str:
    """
    Return the first of some methods that an object has not.
    """
    return next((name for name in methods if not callable(getattr(thing, name, None))), "")


def found_fields(returned: Any) -> Mapping[str, Any]:
    """
    Return the fields that an observer found out; None is none.

    Raises:
        PluginError: They are no fields by name.
    """
    if returned is None:
        return {}
    if not isinstance(returned, Mapping) or not all(isinstance(name, str) for name in returned):
        raise PluginError(f"must return fields by name (got a {type(returned).__name__})")
    return returned
