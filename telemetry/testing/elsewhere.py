"""
Calls in another thread and in another process, neither of which a check waits for in vain.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

TIMEOUT_S = 60.0
POLL_S = 0.005


def in_child(function: Callable[[], None]) -> None:
    """
    Call a function in a forked process, and check that it comes back.

    Raises:
        AssertionError: It raised, or did not return within `TIMEOUT_S`; the child is gone then.
    """
    with warnings.catch_warnings():
        # The sinks of a process with threads are forked, too.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:  # pragma: no cover (runs in the child)
        try:
            function()
            os._exit(0)
        except BaseException:  # noqa: BLE001 (nothing of the child may go on as the parent)
            traceback.print_exc()
        finally:
            os._exit(1)
    deadline = time.monotonic() + TIMEOUT_S
    ended, status = os.waitpid(pid, os.WNOHANG)
    while not ended and time.monotonic() < deadline:
        time.sleep(POLL_S)
        ended, status = os.waitpid(pid, os.WNOHANG)
    if not ended:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise AssertionError(f"a call in a child must return (waited {TIMEOUT_S:g} s)")
    if status:
        raise AssertionError("a call in a child must succeed (its traceback is on standard error)")


class OtherThread:
    """
    One thread that calls what it is given, one call at a time.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1)

    def __enter__(self) -> OtherThread:  # noqa: PYI034 (Self is not there on 3.9)
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(wait=False)

    def call(self, function: Callable[[], Any]) -> Any:
        """
        Return what a function returns, called in the thread; raise what it raises.
        """
        return self._executor.submit(function).result(timeout=TIMEOUT_S)
