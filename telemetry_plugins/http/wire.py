"""
One kept connection to one address, and one deadline over each whole request.

No redirect is followed and no proxy asked, TLS is always verified, and of an answer at most so much
is read as the caller wants. Whatever goes wrong on the way is a TransientSinkError or a
PausedSinkError whose message names the address without its secrets.
"""

from __future__ import annotations

import base64
import http.client
import ssl
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional, Union
from urllib.parse import quote, unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from telemetry.config.rules import masked_url
from telemetry.model.errors import PausedSinkError
from telemetry_plugins.http.addresses import Resolver
from telemetry_plugins.http.answers import Answer, Patience
from telemetry_plugins.http.sockets import dial, tls_context

if TYPE_CHECKING:
    import socket

    from telemetry.config import Secret
    from telemetry_plugins.http.addresses import Place
    from telemetry_plugins.http.answers import Request

    Connection = Union["PlainConnection", "TlsConnection"]

#: A connection that has not been used for so long may be about to be closed by the server.
MAX_IDLE_S = 4.0
#: A webhook's path of so many characters is taken for a secret.
MIN_SECRET_PATH_LENGTH = 16
USER_AGENT = "local-telemetry"
_READ_BYTES = 64 << 10
_SAFE_IN_URL = "/%:@!$&'()*+,;=~?-._"
_PORTS: Mapping[str, int] = {"http": 80, "https": 443}
_BROKEN = (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError)


class _Dialled:
    """
    A connection over a socket that was connected before.
    """

    dialled: socket.socket

    def _new_conn(self) -> socket.socket:
        return self.dialled


class PlainConnection(_Dialled, HTTPConnection):
    """
    HTTP over a socket with a deadline.
    """


class TlsConnection(_Dialled, HTTPSConnection):
    """
    HTTP over TLS over a socket with a deadline.
    """


class Wire:
    """
    Sends requests to one URL, one after another; used by one thread at a time.

    Args:
        token: Sent as a bearer token with each request.
        timeout_s: Time that one request may take in all.
    """

    def __init__(self, url: str, token: Secret, *, timeout_s: float) -> None:
        parts = urlsplit(url)
        self._scheme = parts.scheme
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._path = quote(parts.path, safe=_SAFE_IN_URL)
        self._query = quote(parts.query, safe=_SAFE_IN_URL)
        self._timeout_s = timeout_s
        self._secrets = tuple(
            each
            for each in (token.reveal(), parts.password, parts.query, _secret_path(parts.path))
            if each
        )
        self._authorization = _authorization(token, parts.username, parts.password)
        self._resolver = Resolver()
        self._connection: Optional[Connection] = None
        self._used_at = 0.0
        self._context: Optional[ssl.SSLContext] = None
        #: Scheme and host: many a webhook's path is its password.
        self.shown = masked_url(f"{parts.scheme}://{parts.netloc}")
        self.patience = Patience()
        #: Counts connections, so that a caller sees that there is a new one.
        self.connection_count = 0
        self.is_local = False

    def __repr__(self) -> str:
        return f"Wire({self.shown!r})"

    def exchange(self, request: Request) -> Answer:
        """
        Send one request and return the answer, whatever its status.

        An answer whose status has come counts, also where its body does not.

        Raises:
            TransientSinkError: No status has come in time.
            PausedSinkError: The address or the server's certificate must not be trusted.
        """
        deadline = time.monotonic() + self._timeout_s
        may_repeat = request.is_repeatable and self.is_connected
        try:
            try:
                response = self._respond(request, deadline)
            except ConnectionError:
                if not may_repeat:
                    raise
                self.close()
                response = self._respond(request, deadline)
        except ssl.SSLCertVerificationError as error:
            what = f"a certificate that can be verified ({error.verify_message})"
            raise self._untrusted(what) from None
        except ssl.SSLError as error:
            if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
                raise self._broken(error) from None
            raise self._untrusted(f"TLS ({error.reason or type(error).__name__})") from None
        except _BROKEN as error:
            raise self._broken(error) from None
        return self._read(response, request.wanted_bytes)

    def masked(self, text: str) -> str:
        """
        Return a text without this wire's secrets, should a server say them again.
        """
        for secret in self._secrets:
            text = text.replace(secret, "********")
        return text

    def close(self) -> None:
        """
        Close the connection; the next request opens another.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def after_fork(self) -> None:
        """
        Leave the connection to the parent.

        To close the copy says nothing to the server; left open, it would hide the parent's end.
        """
        self.close()
        self._resolver.forget()

    @property
    def is_connected(self) -> bool:
        """
        Return whether the connection is open and the server has not closed it.
        """
        connection = self._connection
        if connection is None or time.monotonic() - self._used_at > MAX_IDLE_S:
            return False
        # Whatever could be read now was not asked for: the end, or what belongs to nothing.
        return bool(connection.is_connected)

    def _respond(self, request: Request, deadline: float) -> Any:
        """
        Send a request and wait for the head of its answer.
        """
        connection = self._connected(deadline)
        connection.request(
            request.method,
            self._target(request.path),
            body=request.body,
            headers={"User-Agent": USER_AGENT, **self._authorization, **request.headers},
            preload_content=False,
            decode_content=False,
        )
        return connection.getresponse()

    def _connected(self, deadline: float) -> Connection:
        connection = self._connection
        if connection is None or not self.is_connected:
            self.close()
            connection = self._connect(deadline)
        socket: Any = connection.sock
        socket.until = deadline
        return connection

    def _connect(self, deadline: float) -> Connection:
        dialled, place = dial(self._resolver.places(self._host, self._port, deadline), deadline)
        connection = self._new(place)
        connection.dialled = dialled
        # From here on it is closed with all the rest, should the handshake fail.
        self._connection = connection
        self.connection_count += 1
        self.is_local = place.is_loopback
        try:
            connection.connect()
        except BaseException:
            dialled.close()
            raise
        return connection

    def _new(self, place: Place) -> Connection:
        if self._scheme == "http":
            return PlainConnection(self._host, self._port)
        if self._context is None:
            self._context = tls_context()
        return TlsConnection(self._host, self._port, ssl_context=self._context)

    def _target(self, path: str) -> str:
        target = f"{self._path}{path}" or "/"
        return f"{target}?{self._query}" if self._query and not path else target

    def _read(self, response: Any, wanted_bytes: int) -> Answer:
        """
        Read the body as far as it is wanted; the connection is kept if that was all of it.
        """
        headers = {name.lower(): value for name, value in response.headers.items()}
        body, damage = b"", ""
        try:
            while len(body) <= wanted_bytes:
                piece = response.read(min(_READ_BYTES, wanted_bytes + 1 - len(body)))
                if not piece:
                    break
                body += piece
            else:
                damage = f"it is longer than {wanted_bytes} bytes"
        except _BROKEN as error:
            damage = type(error).__name__
        self._used_at = time.monotonic()
        if damage:
            self.close()
        return Answer(
            status=response.status, headers=headers, body=body[:wanted_bytes], damage=damage
        )

    def _broken(self, error: Exception) -> Exception:
        self.close()
        words = self.masked(" ".join(str(error).split()))[:200]
        kind = type(error).__name__
        return self.patience.failure(
            f"{self.shown} must answer ({kind}: {words})"
            if words
            else f"{self.shown} must answer ({kind})"
        )

    def _untrusted(self, what: str) -> PausedSinkError:
        self.close()
        return PausedSinkError(
            f"{self.shown} must have {what}; mend it, name its authority in SSL_CERT_FILE,"
            " or set another URL"
        )


def _secret_path(path: str) -> str:
    """
    Return a path that is long enough to be a password; empty for others.
    """
    return path if len(path) >= MIN_SECRET_PATH_LENGTH else ""


def _authorization(
    token: Secret, user: Optional[str], password: Optional[str]
) -> Mapping[str, str]:
    """
    Return the header that says who sends: by the token, or else by what stands in the URL.
    """
    if token:
        return {"Authorization": f"Bearer {token.reveal()}"}
    if not user:
        return {}
    pair = f"{unquote(user)}:{unquote(password or '')}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
