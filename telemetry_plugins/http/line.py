"""
The way to a server, laid when there is something to send.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from telemetry.config import Secret
    from telemetry_plugins.http.wire import Wire


class Line:
    """
    Holds the wire to one URL, none before it is asked for; used by one thread at a time.

    A process that has nothing to send imports no HTTP library.
    """

    def __init__(self, url: str, token: Secret, *, timeout_s: float) -> None:
        self._url = url
        self._token = token
        self._timeout_s = timeout_s
        self._wire: Optional[Wire] = None

    def wire(self) -> Wire:
        """
        Return the wire.
        """
        if self._wire is None:
            from telemetry_plugins.http.wire import Wire

            self._wire = Wire(self._url, self._token, timeout_s=self._timeout_s)
        return self._wire

    def close(self) -> None:
        """
        Close the connection; the next request opens another.
        """
        if self._wire is not None:
            self._wire.close()

    def after_fork(self) -> None:
        """
        Leave the connection to the parent.
        """
        if self._wire is not None:
            self._wire.after_fork()
