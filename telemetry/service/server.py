"""
The service as a process: its address, its signals, its end.

Ends with code 0 after SIGTERM or SIGINT: answers in flight are given, the journal is delivered, and
the files are released. A second signal ends it at once; nothing that was acknowledged is lost then
either.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import uvicorn

from telemetry.model.errors import TelemetryError
from telemetry.service.app import create_app
from telemetry.service.auth import check_start
from telemetry.service.connections import protocol_for
from telemetry.service.hosts import is_loopback
from telemetry.service.instance import Instance
from telemetry.service.logs import make_log, take_over

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from telemetry.config import TelemetryConfig

#: Time for the answers in flight when the service ends.
GRACE_S = 10
KEEP_ALIVE_S = 75
BACKLOG = 1024
#: The event loop waits at most so long for the interpreter while a follower works.
SWITCH_INTERVAL_S = 0.0002
#: What a shell reports for a program that a second signal ended.
HURRIED = 130


class AddressError(TelemetryError, OSError):
    """
    The service cannot listen where it should.
    """


def serve(config: TelemetryConfig, *, wait: bool = False) -> int:
    """
    Run the service until a signal ends it, and return the process's exit code.

    Args:
        wait: Wait until another service of this base directory has ended.

    Raises:
        SettingsError: It would listen to strangers without asking for a token, or nobody has one.
        ServiceRunningError: Another process is the service of this base directory.
        AddressError: It cannot listen there.
    """
    check_start(config, is_loopback=is_loopback(config.api_host))
    signals = Signals()
    instance = Instance(config.state_dir)
    with signals.handled():
        if not instance.claim(wait=wait, is_over=lambda: signals.is_received):
            return 0
        try:
            with listen(config.api_host, config.api_port) as listener:
                return _run(config, listener, instance, signals)
        finally:
            instance.release()


def listen(host: str, port: int) -> socket.socket:
    """
    Return a socket that listens; port 0 takes a free one.

    Raises:
        AddressError: The address is taken, or none of this machine.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise AddressError(
            f"the address to listen at must be one of this machine (got {host!r}: {error});"
            " choose another with --host"
        ) from error
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        is_taken = error.errno == errno.EADDRINUSE
        raise AddressError(
            f"port {port} of {host} must be free ({error.strerror or error}); stop"
            f" whoever listens there, or choose another with --port"
            if is_taken
            else f"{host}:{port} must be an address to listen on ({error.strerror or error});"
            " choose another with --host or --port"
        ) from error
    return listener


def address_of(listener: socket.socket) -> str:
    """
    Return where a socket listens, as it stands in a URL.
    """
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Signals:
    """
    SIGTERM and SIGINT: the first one ends the service, the second one ends it at once.
    """

    def __init__(self) -> None:
        self.is_received = False
        self._server: Any = None

    def stop(self, server: uvicorn.Server) -> None:
        """
        Name the server to be ended.
        """
        self._server = server
        if self.is_received:
            server.should_exit = True

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """
        Handle the signals, and afterwards let them do what they did before.
        """
        numbers = [signal.SIGINT, signal.SIGTERM]
        if sys.platform == "win32":
            numbers.append(signal.SIGBREAK)
        before = {number: signal.signal(number, self._receive) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        if self.is_received:
            # The journal has whatever was acknowledged.
            os._exit(HURRIED)
        self.is_received = True
        if self._server is not None:
            self._server.should_exit = True


class Server(uvicorn.Server):
    """
    uvicorn's, without its own handling of signals.
    """

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """
        Leave the signals to `Signals`.
        """
        yield


def _run(
    config: TelemetryConfig, listener: socket.socket, instance: Instance, signals: Signals
) -> int:
    log = make_log(config.service_log_level)
    take_over(log)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    app = create_app(config, log=log)
    address = address_of(listener)
    instance.announce(address)
    server = Server(
        uvicorn.Config(
            app,
            http=protocol_for(config),
            log_config=None,
            access_log=False,
            server_header=False,
            # Anybody can say that he is asked for by somebody else.
            proxy_headers=False,
            lifespan="on",
            ws="none",
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
        )
    )
    signals.stop(server)
    print(f"telemetry serves {config.base_dir} at http://{address}", flush=True)  # noqa: T201
    log.info("started", address=address, pid=os.getpid())
    loop = new_event_loop()
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(server.serve(sockets=[listener]))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    log.info("stopped", address=address, pid=os.getpid())
    return 0


def new_event_loop() -> asyncio.AbstractEventLoop:
    """
    Return uvloop's where it is installed.
    """
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
