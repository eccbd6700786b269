"""
From a host's name to the addresses that may be connected to.

The URLs come from the settings only, never from what was recorded. Loopback and private addresses
are fine: a service nearby is the usual case. Refused are the addresses behind which clouds keep
their machines' credentials, in whatever form they are written, because nobody posts runs there.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from typing import Any, NamedTuple, Optional, Union

from telemetry.model.errors import PausedSinkError
from telemetry.runtime.natives import Empty, SimpleQueue, start_thread

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]

_FORBIDDEN: tuple[Network, ...] = (
    ipaddress.ip_network("169.254.0.0/16"),
    ipaddress.ip_network("fe80::/10"),
    # The metadata services that do not stand at a link-local address.
    ipaddress.ip_network("fd00:ec2::254/128"),
    ipaddress.ip_network("100.100.100.200/32"),
    ipaddress.ip_network("192.0.0.192/32"),
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Place(NamedTuple):
    """
    Where a socket can be connected to, as `socket.getaddrinfo` has it.
    """

    family: int
    kind: int
    protocol: int
    name: str
    address: Any

    @property
    def is_loopback(self) -> bool:
        """
        Return whether it is on this machine.
        """
        return _plain(self.address[0]).is_loopback


class _Lookup(NamedTuple):
    host: str
    port: int
    answers: SimpleQueue[Any]


class Resolver:
    """
    Looks names up without ever waiting longer than it is allowed to.

    The system's look-up cannot be interrupted, so it has a thread of its own, one at the most: a
    look-up that hangs is left behind, and waited for again the next time.
    """

    def __init__(self) -> None:
        self._pending: Optional[_Lookup] = None

    def places(self, host: str, port: int, deadline: float) -> list[Place]:
        """
        Return the places of a host that may be connected to, the system's favourite first.

        Args:
            deadline: A point of `time.monotonic`.

        Raises:
            OSError: The name has no address, or none was found in time.
            PausedSinkError: All its addresses are refused.
        """
        try:
            # An address needs no look-up, in whatever form it is written.
            found = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
            )
        except (socket.gaierror, UnicodeError):
            found = self._look_up(host, port, deadline)
        places = [Place(*each) for each in found]
        allowed = [place for place in places if not is_forbidden(place.address[0])]
        if not allowed:
            raise PausedSinkError(
                f"the address of {host} must not be link-local or a cloud's metadata service "
                f"(got {', '.join(sorted({str(place.address[0]) for place in places}))}); "
                "set another URL"
            )
        return allowed

    def forget(self) -> None:
        """
        Let go of a look-up that is under way; in a child process nobody does it.
        """
        self._pending = None

    def _look_up(self, host: str, port: int, deadline: float) -> list[Any]:
        pending = self._pending
        if pending is None or (pending.host, pending.port) != (host, port):
            answers: SimpleQueue[Any] = SimpleQueue()
            start_thread(lambda: _resolve(host, port, answers), "telemetry-resolver")
            pending = self._pending = _Lookup(host, port, answers)
        try:
            answer = pending.answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            raise TimeoutError(f"the address of {host} must be found in time") from None
        self._pending = None
        if isinstance(answer, OSError):
            raise answer
        found: list[Any] = answer
        return found


def _resolve(host: str, port: int, answers: SimpleQueue[Any]) -> None:
    """
    Look a name up: the body of the thread.
    """
    try:
        answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except OSError as error:
        answers.put(error)
    except (UnicodeError, ValueError) as error:
        answers.put(OSError(f"the host must be a name that can be looked up ({error})"))


def is_forbidden(address: str) -> bool:
    """
    Return whether an address is link-local or a metadata service, also inside another address.
    """
    plain = _plain(address)
    return any(plain.version == network.version and plain in network for network in _FORBIDDEN)


def _plain(address: str) -> Address:
    """
    Return an address without a zone, and the IPv4 address that an IPv6 address stands for.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv4Address):
        return found
    if found in _NAT64:
        return ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)
    inner = found.ipv4_mapped or found.sixtofour
    if inner is None and 1 < int(found) < 1 << 32:  # the compatible form of old
        inner = ipaddress.IPv4Address(int(found))
    return inner or found
