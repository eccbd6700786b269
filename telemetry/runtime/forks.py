"""
What a forked child must forget.

One hook per process, because hooks cannot be taken back. Whoever holds something that a child must
not share (ids, descriptors, threads, locks) registers a method that drops it; the methods are
called in the order of registration, inside ``fork``, so they only assign.
"""

from __future__ import annotations

import os
import weakref
from typing import Callable, Optional

from telemetry.runtime import notices

Method = Callable[[], None]
_Reference = Callable[[], Optional[Method]]

_methods: list[_Reference] = []
_is_hooked = False


def on_fork_in_child(method: Method) -> None:
    """
    Call a method in every child forked from now on, as long as its object lives.

    A bound method is held weakly, a plain function for ever. It must only assign: no lock, no
    thread, no output. What it raises is counted under ``fork`` and stops nobody else.
    """
    global _is_hooked  # noqa: PLW0603 (a process has one hook)
    _methods[:] = [known for known in _methods if known() is not None]
    _methods.append(_reference(method))
    if not _is_hooked:
        _is_hooked = True
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_after_in_child)


def _reference(method: Method) -> _Reference:
    if hasattr(method, "__self__"):
        return weakref.WeakMethod(method)
    return lambda: method


def _after_in_child() -> None:
    notices.after_fork()
    for reference in tuple(_methods):
        method = reference()
        if method is None:
            continue
        try:
            method()
        except Exception:  # noqa: BLE001 (one owner's mistake must not leave the others unforked)
            notices.count("fork")
