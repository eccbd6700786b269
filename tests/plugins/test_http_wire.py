"""
The connection below both sinks: deadlines, addresses, certificates, secrets.
"""

from __future__ import annotations

import os
import socket
import threading
import time

import pytest
from badserver import TIMEOUT_S, BadServer

from telemetry.config import Secret
from telemetry.model.errors import PausedSinkError, TransientSinkError
from telemetry.runtime.natives import start_thread
from telemetry_plugins.http import addresses
from telemetry_plugins.http.addresses import Resolver, is_forbidden
from telemetry_plugins.http.answers import MAX_EXCERPT_LENGTH, Answer, Request
from telemetry_plugins.http.sockets import dial
from telemetry_plugins.http.wire import Wire

TOKEN = "canary-0123456789"
LOOK = Request(method="GET", is_repeatable=True)


@pytest.fixture
def wire(server):
    made = Wire(f"{server.url}/hooks/T0000/B0000?key=canary-query", Secret(TOKEN), timeout_s=5)
    yield made
    made.close()


def test_a_request_says_what_it_must(server, wire):
    """
    The URL's own path and query, the token, the length; no compressed answer is asked for.
    """
    answer = wire.exchange(Request(body=b"{}", headers={"Content-Type": "application/json"}))

    (request,) = server.seen()
    assert (answer.status, answer.body) == (200, b"{}")
    assert request.path == "/hooks/T0000/B0000?key=canary-query"
    assert request.headers == {
        "host": f"127.0.0.1:{server.port}",
        "accept-encoding": "identity",
        "content-length": "2",
        "content-type": "application/json",
        "user-agent": "local-telemetry",
        "authorization": f"Bearer {TOKEN}",
    }


def test_a_user_in_the_url_is_sent_as_such(server):
    """
    Basic authentication, where there is no token.
    """
    url = server.url.replace("//", "//ann:p%40ss@")
    wire = Wire(url, Secret(), timeout_s=5)
    wire.exchange(Request())
    wire.close()

    assert server.seen()[0].headers["authorization"] == "Basic YW5uOnBAc3M="
    assert "p%40ss" not in repr(wire) + wire.shown


@pytest.mark.parametrize("do", ["hang", "mute", "drip_head"])
def test_a_request_ends_at_its_deadline(do, server):
    """
    One limit over all of it, however the time is spent: a drip would begin a time-out anew for ever.
    """
    server.will({"do": do})
    wire = Wire(server.url, Secret(), timeout_s=0.2)

    with pytest.raises(TransientSinkError, match="must answer"):
        wire.exchange(Request())
    wire.close()


@pytest.mark.parametrize("do", ["drip_body", "endless", "short"])
def test_a_status_counts_without_its_body(do, server):
    """
    What the body lacks is said; the connection is not used again.
    """
    server.will({"do": do, "status": 202})
    wire = Wire(server.url, Secret(), timeout_s=1 if do == "drip_body" else 5)
    answer = wire.exchange(Request())

    assert (answer.status, bool(answer.damage)) == (202, True)
    assert len(answer.body) <= 1 << 20
    assert not wire.is_connected
    wire.close()


def test_what_was_not_asked_for_is_no_answer(server, wire):
    """
    Bytes behind the announced end are not taken for the answer to the next request.
    """
    server.will({"do": "long", "status": 200, "body": "abc"}, then={"do": "answer", "status": 201})
    first = wire.exchange(Request(body=b"1"))
    server.seen()

    assert (first.status, first.body) == (200, b"ab")
    assert wire.exchange(Request(body=b"2", is_repeatable=True)).status in {201, 500}
    assert wire.exchange(Request(body=b"3")).status == 201


def test_a_kept_connection_that_ends_is_no_failure(server, wire):
    """
    A request that may be repeated is sent again on a new connection.
    """
    server.will({"do": "farewell"}, {"do": "answer", "status": 201})
    wire.exchange(Request(body=b"1"))

    assert wire.exchange(Request(body=b"2", is_repeatable=True)).status == 201


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status, server, wire):
    """
    Nothing is sent to the address that one names, no token either.
    """
    with BadServer() as elsewhere:
        headers = {"Location": f"{elsewhere.url}/steal"}
        server.will({"do": "answer", "status": status, "headers": headers})

        assert wire.exchange(Request()).status == status
        assert elsewhere.seen() == []
        assert elsewhere.connection_count == 0


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "::a9fe:a9fe",
        "fe80::1",
        "fd00:ec2::254",
        "100.100.100.200",
    ],
)
def test_metadata_addresses_are_refused(host):
    """
    In whatever form they are written; no packet is sent.
    """
    url = f"http://[{host}]/latest" if ":" in host else f"http://{host}/latest"
    wire = Wire(url, Secret(TOKEN), timeout_s=5)

    with pytest.raises(PausedSinkError, match="link-local") as caught:
        wire.exchange(LOOK)
    assert TOKEN not in str(caught.value)
    assert wire.connection_count == 0


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "192.168.1.1", "::1", "fd00::1", "8.8.8.8"]
)
def test_near_and_public_addresses_are_allowed(address):
    """
    A service on this machine or in this network is the usual case.
    """
    assert not is_forbidden(address)


def test_a_name_is_judged_by_its_addresses(monkeypatch):
    """
    A name that leads to a refused address is refused; others of its addresses are used.
    """
    leads_to = ["169.254.169.254"]

    def resolve(host, port, *_, flags=0, **__):
        if flags:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in leads_to]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", resolve)
    resolver, deadline = Resolver(), time.monotonic() + TIMEOUT_S
    with pytest.raises(PausedSinkError):
        resolver.places("metadata.example", 80, deadline)
    leads_to.append("127.0.0.1")

    assert [p.address[0] for p in resolver.places("x.example", 80, deadline)] == ["127.0.0.1"]


def test_a_name_that_cannot_be_looked_up_is_an_outage(monkeypatch):
    """
    So is one that no look-up understands.
    """
    wire = Wire(f"http://{'a' * 70}.example/", Secret(), timeout_s=5)
    with pytest.raises(TransientSinkError, match="must answer"):
        wire.exchange(LOOK)

    def fail(*_, **__):
        raise socket.gaierror("no such name")

    monkeypatch.setattr(addresses.socket, "getaddrinfo", fail)
    with pytest.raises(TransientSinkError, match="no such name"):
        Wire("http://nowhere.example/", Secret(), timeout_s=5).exchange(LOOK)


def test_a_look_up_that_hangs_is_left_behind(monkeypatch):
    """
    The request ends at its deadline; one look-up is under way at a time, and its answer is used.
    """
    release, started = threading.Event(), []

    def resolve(host, port, *_, flags=0, **__):
        if flags:
            raise socket.gaierror
        started.append(host)
        assert release.wait(TIMEOUT_S)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", resolve)
    resolver = Resolver()
    for _ in range(3):
        with pytest.raises(OSError, match="in time"):
            resolver.places("slow.example", 80, time.monotonic() + 0.02)
    release.set()

    assert resolver.places("slow.example", 80, time.monotonic() + TIMEOUT_S)
    assert started == ["slow.example"]


def test_each_address_is_tried(server):
    """
    One that refuses is passed by.
    """
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    deadline = time.monotonic() + TIMEOUT_S
    places = [
        *Resolver().places("127.0.0.1", port, deadline),
        *Resolver().places("127.0.0.1", server.port, deadline),
    ]
    connection, place = dial(places, deadline)
    connection.close()

    assert place.address[1] == server.port
    with pytest.raises(ConnectionRefusedError):
        dial(places[:1], deadline)


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate):
    """
    The sink waits for a person; the journal keeps everything.
    """
    with BadServer(certificate) as server:
        wire = Wire(server.url, Secret(TOKEN), timeout_s=5)

        with pytest.raises(PausedSinkError, match="certificate that can be verified"):
            wire.exchange(LOOK)
        assert server.seen() == []


def test_a_certificate_of_an_own_authority_is_trusted(certificate, monkeypatch):
    """
    SSL_CERT_FILE names it; the deadline holds inside TLS too.
    """
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with BadServer(certificate) as server:
        created = {"do": "answer", "status": 201}
        server.will(created, created, {"do": "drip_head"})
        wire = Wire(server.url, Secret(TOKEN), timeout_s=5)
        wire.after_fork()
        for _ in range(2):
            assert wire.exchange(Request(body=b"x" * 100_000)).status == 201
            wire.close()
        hasty = Wire(server.url, Secret(TOKEN), timeout_s=0.3)
        with pytest.raises(TransientSinkError):
            hasty.exchange(Request())

        assert server.seen()[0].body == b"x" * 100_000


def test_tls_to_a_plain_port_waits_for_a_person(server):
    """
    It will not become better by itself.
    """
    wire = Wire(server.url.replace("http:", "https:"), Secret(), timeout_s=5)
    server.close()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire._port = listener.getsockname()[1]

        def answer():
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()

        start_thread(answer, "plain")
        with pytest.raises(PausedSinkError, match="TLS"):
            wire.exchange(LOOK)


def test_secrets_are_nowhere_shown(server, wire):
    """
    Not the token, not the URL's query or long path: in no message, no excerpt, no repr.
    """
    server.will({"do": "answer", "status": 500, "body": f"you sent {TOKEN} to key=canary-query"})
    answer = wire.exchange(Request())
    server.close()
    with pytest.raises(TransientSinkError) as caught:
        wire.exchange(Request())

    shown = "".join([repr(wire), wire.shown, str(caught.value), wire.masked(answer.excerpt())])
    assert "canary" not in shown
    assert "B0000" not in shown


def test_an_excerpt_is_one_printable_line():
    """
    Whatever a server says cannot draw on a terminal.
    """
    answer = Answer(status=500, headers={}, body=b"\x1b[31m evil\r\n\x00 \xff" + b"x" * 5000)

    assert answer.excerpt().isprintable()
    assert len(answer.excerpt()) == MAX_EXCERPT_LENGTH


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is POSIX")
def test_a_child_leaves_the_connection_alone(server, wire):
    """
    It opens its own; the parent goes on with the one it has.
    """
    wire.exchange(Request(body=b"parent"))
    pid = os.fork()
    if pid == 0:
        try:
            wire.after_fork()
            os._exit(wire.exchange(Request(body=b"child")).status % 199)
        finally:
            os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    wire.exchange(Request(body=b"parent again"))

    assert [request.body for request in server.seen()] == [b"parent", b"child", b"parent again"]
    assert server.connection_count == 2


def test_a_server_that_hangs_up_in_the_handshake_is_an_outage():
    """
    It may be about to start again.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"

        def hang_up():
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.close()

        start_thread(hang_up, "rude")
        with pytest.raises(TransientSinkError, match="must answer"):
            Wire(url, Secret(), timeout_s=5).exchange(LOOK)


def test_a_handshake_ends_at_the_deadline():
    """
    Also where the other side never says a word.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(TransientSinkError, match="must answer"):
            Wire(url, Secret(), timeout_s=0.2).exchange(LOOK)


def test_no_time_left_is_no_try(server):
    """
    A request whose time is over sends nothing more.
    """
    (place,) = Resolver().places("127.0.0.1", server.port, time.monotonic() + TIMEOUT_S)
    connection, _ = dial([place], time.monotonic() + TIMEOUT_S)
    connection.until = time.monotonic() - 1

    with pytest.raises(TimeoutError, match="over in time"):
        connection.sendall(b"x")
    connection.close()
    with pytest.raises(OSError, match="address"):
        dial([], time.monotonic() + 1)
