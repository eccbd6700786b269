"""
How a child process ended, and what that means for its run.
"""

from __future__ import annotations

import shlex
import signal
from typing import Any, Optional

import attrs

from telemetry.model.run import Status

#: What shells report: a signal is 128 + its number, then no such command, not executable.
SIGNAL_BASE = 128
NOT_FOUND = 127
NOT_EXECUTABLE = 126


@attrs.frozen(kw_only=True)
class Ending:
    """
    The end of a child process.
    """

    #: The code to pass on: the child's own, or 128 + its signal.
    exit_code: int
    #: The signal that ended it; None where it ended itself.
    signal: Optional[int] = None
    peak_memory_bytes: Optional[int] = None
    #: Upper bound of a peak too small to be told from this process's own.
    peak_memory_below_bytes: Optional[int] = None
    cpu_user_s: Optional[float] = None
    cpu_system_s: Optional[float] = None
    #: Whether it was asked to stop by a signal that this process passed on.
    was_stopped: bool = False
    #: Why it never began; empty where it did.
    refusal: str = ""

    @property
    def status(self) -> Status:
        """
        Return the status of its run.
        """
        if self.exit_code == 0:
            return Status.SUCCESS
        if self.signal == signal.SIGINT or self.was_stopped:
            return Status.CANCELLED
        return Status.FAILED

    @property
    def error_summary(self) -> Optional[str]:
        """
        Return the failure in one line; None for success.
        """
        if self.refusal:
            return self.refusal
        if self.signal is not None:
            return f"Signal: killed by {signal_name(self.signal)}"
        return f"ExitCode: exited with {self.exit_code}" if self.exit_code else None

    def metrics(self) -> dict[str, Any]:
        """
        Return what was measured, without what could not be.
        """
        measured = {
            "exit_code": self.exit_code,
            "signal": signal_name(self.signal) if self.signal is not None else None,
            "peak_memory_bytes": self.peak_memory_bytes,
            "peak_memory_below_bytes": self.peak_memory_below_bytes,
            "cpu_user_s": self.cpu_user_s,
            "cpu_system_s": self.cpu_system_s,
        }
        return {name: value for name, value in measured.items() if value is not None}


def signal_name(number: int) -> str:
    """
    Return a signal's name and number.
    """
    try:
        return f"{signal.Signals(number).name} ({number})"
    except ValueError:
        return f"signal {number}"


def refused(command: str, error: OSError) -> Ending:
    """
    Return the ending of a command that could not be started.
    """
    # For an empty name, which is nowhere to be found, each system has another error.
    missing = not command or isinstance(error, FileNotFoundError)
    kind = FileNotFoundError if missing else type(error)
    reason = (error.strerror or str(error)) if command else "it is empty"
    way_out = "check the name and PATH" if missing else "check its permissions and format"
    return Ending(
        exit_code=NOT_FOUND if missing else NOT_EXECUTABLE,
        refusal=f"{kind.__name__}: the command must be one that can be started"
        f" (got {shlex.quote(command)}: {reason}); {way_out}",
    )
