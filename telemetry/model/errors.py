"""
Every error of the library, in one tree.

    TelemetryError
    ├── SettingsError (ValueError)       a setting cannot be used
    ├── CodecError (ValueError)          a line is not a record
    ├── JournalError (OSError)           the journal cannot be read or written
    ├── PluginError (RuntimeError)       a plugin cannot be loaded or breaks its contract
    ├── UsageError (ValueError)          a call that means nothing, under TELEMETRY_STRICT
    └── SinkError (RuntimeError)         a sink did not take a batch
        ├── TransientSinkError           not now: retried for ever
        │   └── OutOfTimeError           not in the time that the process has left
        ├── PermanentSinkError           never: these records go to the dead letters
        ├── CursorMovedError             another drainer was faster
        └── PausedSinkError              nothing more for this sink until something is changed

In an agent's process none of them leaves the library, unless TELEMETRY_STRICT is set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class TelemetryError(Exception):
    """
    Base of every error the library raises itself.
    """


class SettingsError(TelemetryError, ValueError):
    """
    A setting has a value that cannot be used.
    """

    def __init__(self, message: str, *, setting: str = "") -> None:
        super().__init__(message)
        self.setting = setting


class CodecError(TelemetryError, ValueError):
    """
    A line is not a whole, undamaged record.
    """


class JournalError(TelemetryError, OSError):
    """
    The journal cannot be opened, read or written.
    """


class PluginError(TelemetryError, RuntimeError):
    """
    A plugin cannot be loaded, or returned what its hook does not allow.
    """

    def __init__(self, message: str, *, plugin: str = "") -> None:
        super().__init__(message)
        self.plugin = plugin


class UsageError(TelemetryError, ValueError):
    """
    A call that can mean nothing, such as ending a run that nobody started.
    """


class SinkError(TelemetryError, RuntimeError):
    """
    A sink did not take a batch.
    """


class TransientSinkError(SinkError):
    """
    The sink cannot take the batch now; it is retried for ever.

    ``retry_after_s`` is the sink's own wish in seconds, None for the usual backoff.
    """

    def __init__(self, message: str, *, retry_after_s: Optional[float] = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class OutOfTimeError(TransientSinkError):
    """
    The process ends sooner than the batch could be taken; the next one hands it over.

    No outage: nothing is said of it.
    """


class PermanentSinkError(SinkError):
    """
    The sink will never take these records; they go to its dead letters.

    ``record_ids`` names them; empty means the whole batch. ``reasons`` names them too, each with a
    reason of its own in place of the message.
    """

    def __init__(
        self,
        message: str,
        *,
        record_ids: Collection[str] = (),
        reasons: Optional[Mapping[str, str]] = None,
    ) -> None:
        super().__init__(message)
        self.reasons: Mapping[str, str] = dict(reasons or {})
        self.record_ids = frozenset(record_ids).union(self.reasons)


class CursorMovedError(SinkError):
    """
    Another drainer committed this range first; reload the cursors and go on.
    """


class PausedSinkError(SinkError):
    """
    The sink must be left alone until something is changed, such as a database from the future.
    """
