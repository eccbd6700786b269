"""
Sockets that know until when.

A library's time-outs hold for each read; a server that sends one byte a second passes them for
ever. These sockets give each operation what is left until one deadline, so that whatever the other
side does, a request ends in time, without another thread.
"""

from __future__ import annotations

import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from telemetry_plugins.http.addresses import Place

_MIN_TIMEOUT_S = 0.001


class _Deadline:
    """
    Gives every operation what is left; ``until`` is a point of `time.monotonic`.
    """

    until: float = 0.0

    def _limit(self: Any) -> None:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the whole request must be over in time")
        self.settimeout(max(left, _MIN_TIMEOUT_S))

    def send(self, *args: Any) -> int:
        """
        Send in the time that is left.
        """
        self._limit()
        sent: int = super().send(*args)  # type: ignore[misc]
        return sent

    def sendall(self, *args: Any) -> None:
        """
        Send everything in the time that is left.
        """
        self._limit()
        super().sendall(*args)  # type: ignore[misc]

    def recv_into(self, *args: Any) -> int:
        """
        Receive in the time that is left.
        """
        self._limit()
        received: int = super().recv_into(*args)  # type: ignore[misc]
        return received


class PlainSocket(_Deadline, socket.socket):
    """
    A TCP connection with a deadline.
    """


class TlsSocket(_Deadline, ssl.SSLSocket):
    """
    A TLS connection with a deadline.
    """


def dial(places: list[Place], deadline: float) -> tuple[PlainSocket, Place]:
    """
    Connect to the first place that answers; each is given its share of the time.

    Raises:
        OSError: None did.
    """
    problem = OSError("the host must have an address")
    for number, place in enumerate(places):
        connection = PlainSocket(place.family, place.kind, place.protocol)
        try:
            share = (deadline - time.monotonic()) / (len(places) - number)
            connection.settimeout(max(share, _MIN_TIMEOUT_S))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.connect(place.address)
        except OSError as error:
            connection.close()
            problem = error
        else:
            connection.until = deadline
            # A TLS handshake takes this as the limit for all of it.
            connection.settimeout(max(deadline - time.monotonic(), _MIN_TIMEOUT_S))
            return connection, place
    raise problem


def tls_context() -> ssl.SSLContext:
    """
    Return a context that verifies names and certificates, by the system's authorities.

    ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name others.
    """
    context = ssl.create_default_context()
    context.sslsocket_class = TlsSocket
    return context
