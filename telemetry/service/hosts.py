"""
By which names the service is addressed, and from which pages.

A page that somebody looks at can make the browser ask a service on the same machine. It cannot
choose the Host header, though: if its own name leads here (DNS rebinding), that name stands there.
And it cannot hide the Origin of a request that changes something.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Optional, Union

from telemetry.service.problems import FieldError, Problem

if TYPE_CHECKING:
    from telemetry.config import TelemetryConfig

#: Values of the header that were found good are remembered, so that the next costs one look.
MAX_REMEMBERED = 256
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s\[\]:@/\\?#]+))(?::[0-9]{1,5})?")


class Hosts:
    """
    The names by which clients may address the service.
    """

    def __init__(self, config: TelemetryConfig) -> None:
        bound = _plain(config.api_host.strip("[]"))
        address = _address(bound)
        names = {*_LOOPBACK_NAMES, bound, *map(_name, config.api_allowed_hosts)}
        if address is None or not address.is_loopback:
            names.add(_plain(socket.gethostname()))
        self._names = frozenset(names - {""})
        #: Bound to all addresses, any of them is its own. No page is served by another's number.
        self._takes_addresses = not bound or (address is not None and address.is_unspecified)
        #: Headers that are known to be good.
        self.good: set[Optional[bytes]] = set()

    def allows(self, header: bytes) -> bool:
        """
        Return whether a Host header names the service; the port is not looked at.
        """
        if header in self.good:
            return True
        name = _name(header.decode("latin-1"))
        allowed = name in self._names or (self._takes_addresses and _address(name) is not None)
        if allowed and len(self.good) < MAX_REMEMBERED:
            self.good.add(header)
        return allowed

    def check(self, header: Optional[bytes], http_version: str) -> None:
        """
        Refuse a request that is addressed to somebody else.

        Raises:
            Problem: 403; 400 where HTTP/1.1 says nothing.
        """
        if header is None:
            if http_version == "1.0":
                return  # older than the header, and than every browser
            error = FieldError(loc=("header", "Host"), rule="must be sent", way_out="send one")
            raise Problem("no-host", 400, "The Host header is missing", errors=[error])
        if not self.allows(header):
            raise Problem(
                "host-not-allowed",
                403,
                "The service has another name",
                errors=[_about("Host", "name this service", header.decode("latin-1"))],
            )


class Origins:
    """
    The web pages that may use the service: its own, and those that are named.
    """

    def __init__(self, config: TelemetryConfig) -> None:
        self.allowed = frozenset(
            origin.rstrip("/").lower().encode() for origin in config.api_allowed_origins
        ) - {b"null", b"*"}

    def check(self, origin: bytes, host: Optional[bytes]) -> None:
        """
        Refuse a request that another page's script would have change something.

        Raises:
            Problem: 403.
        """
        origin = origin.lower()
        if origin in self.allowed:
            return
        scheme, _, authority = origin.partition(b"://")
        if scheme in {b"http", b"https"} and host is not None and authority == host.lower():
            return
        raise Problem(
            "origin-not-allowed",
            403,
            "That page may not use the service",
            errors=[about_origin(origin)],
        )


def is_loopback(host: str) -> bool:
    """
    Return whether an address to listen on is reached from this machine alone.
    """
    name = _plain(host.strip("[]"))
    address = _address(name)
    return name == "localhost" if address is None else address.is_loopback


def client_of(peer: Optional[Iterable[Union[str, int]]]) -> str:
    """
    Return who a peer's address stands for: an IPv6 client has a network of addresses for itself.
    """
    host = str(next(iter(peer), "")) if peer else ""
    if ":" not in host:
        return host
    address = _address(host.partition("%")[0])
    if not isinstance(address, ipaddress.IPv6Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False).network_address)


def about_origin(origin: bytes) -> FieldError:
    """
    Return what is wrong with the origin of a page.
    """
    return _about("Origin", "be this service's own or one that is named", origin.decode("latin-1"))


def _about(header: str, rule: str, value: str) -> FieldError:
    return FieldError(
        loc=("header", header),
        rule=f"must {rule}",
        value=value,
        way_out=f"TELEMETRY_API_ALLOWED_{header.upper()}S adds some",
    )


def _name(header: str) -> str:
    """
    Return the name in a Host header, one spelling for all that mean the same; else nothing.
    """
    match = _HOST.fullmatch(header.strip(" \t"))
    return _plain(match[1] or match[2]) if match else ""


def _plain(name: str) -> str:
    name = name.lower().rstrip(".")
    address = _address(name)
    return name if address is None else str(address)


def _address(name: str) -> Union[ipaddress.IPv4Address, ipaddress.IPv6Address, None]:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
