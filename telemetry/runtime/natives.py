"""
Threads, locks and queues of the operating system, whatever has been patched.

gevent and eventlet replace Python's threads by greenlets that run only when the program lets them;
a follower among them would never run, or would stop the program while its database is busy. So
followers use the originals. `SimpleQueue` comes from C and is safe in signal handlers and
destructors.

Their locks are for greenlets of one thread: between two, a waiting one may never be woken, or be
told `LoopExit`. So what a follower shares with anybody is locked by the originals, too: by
`allocate_lock`, or by `_thread.RLock`, which nobody replaces. Nothing yields to another greenlet
while it holds one.
"""

from __future__ import annotations

import _thread
import sys
import threading
import time
from _queue import Empty, SimpleQueue
from typing import Any, Callable

__all__ = [
    "Empty",
    "SimpleQueue",
    "allocate_lock",
    "is_main_thread",
    "patient_sleep",
    "start_thread",
]


def allocate_lock() -> _thread.LockType:
    """
    Return a lock that is not re-entrant, for threads of any kind.
    """
    lock: _thread.LockType = (_original("_thread", "allocate_lock") or _thread.allocate_lock)()
    return lock


def start_thread(target: Callable[[], None], name: str) -> None:
    """
    Start a daemon thread.

    Raises:
        RuntimeError: The system, the interpreter's end or a subinterpreter does not allow one.
    """
    start_native = _original("_thread", "start_new_thread")
    if start_native is not None:
        start_native(target, ())
        return
    threading.Thread(target=target, name=name, daemon=True).start()


def is_main_thread() -> bool:
    """
    Return whether this is the thread that signals interrupt.
    """
    return threading.get_ident() == threading.main_thread().ident


def patient_sleep(seconds: float) -> None:
    """
    Sleep as the program sleeps: under gevent the other greenlets go on.
    """
    time.sleep(seconds)


def _original(module: str, name: str) -> Any:
    """
    Return what a patched module held before; None if nothing has been patched.
    """
    for patcher in ("gevent.monkey", "eventlet.patcher"):
        monkey = sys.modules.get(patcher)
        if monkey is None:
            continue
        if patcher == "gevent.monkey" and monkey.is_module_patched(module):
            return monkey.get_original(module, name)
        if patcher == "eventlet.patcher" and monkey.is_monkey_patched("thread"):
            return getattr(monkey.original(module), name)
    return None
