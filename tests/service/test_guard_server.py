"""
The service as a process, and clients that do not behave: real sockets, byte by byte.
"""

from __future__ import annotations

import http.client
import json
import select
import socket
import sys
from contextlib import ExitStack

import psutil
import pytest
import zstandard
from guarded_service import (
    TIME_LIMIT_S,
    document_of,
    read_all,
    read_one,
    running,
    slug_of,
    status_of,
)

from telemetry.cli.main import invoke
from telemetry.service.connections import MAX_HEAD_BYTES, TOLD_CONNECTIONS

TIMEOUT_S = 1.0
MAX_BODY = 2 << 20
MAX_CONNECTIONS = 700
SOCKET_COUNT = 500
HEAD = b"Host: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """
    A service with little patience.
    """
    settings = {
        "TELEMETRY_API_REQUEST_TIMEOUT_S": str(TIMEOUT_S),
        "TELEMETRY_API_MAX_BODY_BYTES": str(MAX_BODY),
        "TELEMETRY_API_MAX_CONNECTIONS": str(MAX_CONNECTIONS),
    }
    with running(tmp_path_factory.mktemp("service") / "base", **settings) as found:
        yield found


def trickle(sock, letter=b"x"):
    """
    Send one byte whenever nothing was heard for a moment; return what is answered.
    """
    while True:
        readable, _, _ = select.select([sock], [], [], 0.05)
        if readable:
            return read_all(sock)
        sock.sendall(letter)


@pytest.mark.parametrize("head", [b"GET /health HTTP/1.1\r\nHost: local", b"G", b"\r\n"])
def test_a_head_that_does_not_come_is_given_up(service, head):
    """
    A client that stops within its head hears 408 and is hung up on, and nothing is left of it.
    """
    answer = service.send(head)

    assert (status_of(answer), slug_of(answer)) == (408, "timeout")
    assert b"connection: close" in answer


def test_a_head_that_trickles_is_given_up(service):
    """
    A byte now and then does not buy more time.
    """
    with service.connect() as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nX: ")
        answer = trickle(sock)

    assert status_of(answer) == 408


def test_a_silent_client_is_hung_up_on(service):
    """
    A client that says nothing is not answered, and not kept.
    """
    assert service.send() == b""


@pytest.mark.parametrize("length", [b"Content-Length: 99\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_a_body_that_does_not_come_is_given_up(service, length):
    """
    A client that stops within its body hears 408 and is hung up on.
    """
    answer = service.send(b"POST /api/v1/runs HTTP/1.1\r\n" + HEAD + length + b"\r\n", b"5\r\n{")

    assert (status_of(answer), slug_of(answer)) == (408, "timeout")


def test_a_body_that_trickles_is_given_up(service):
    """
    The deadline is that of the whole request.
    """
    with service.connect() as sock:
        sock.sendall(b"POST /api/v1/runs HTTP/1.1\r\n" + HEAD + b"Content-Length: 999999\r\n\r\n")
        answer = trickle(sock, b" ")

    assert status_of(answer) == 408


def test_the_rest_of_a_refused_body_does_not_keep_a_connection(service):
    """
    Whoever trickles what nobody wants any more is hung up on.
    """
    with service.connect() as sock:
        sock.sendall(
            b"POST /api/v1/runs HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 9999\r\n\r\n"
        )
        first = read_one(sock)
        while True:
            readable, _, _ = select.select([sock], [], [], 0.05)
            if readable:
                rest = read_all(sock)
                break
            try:
                sock.sendall(b" ")
            except OSError:
                rest = b""
                break

    assert (status_of(first), rest) == (403, b"")


def test_five_hundred_sockets_do_not_keep_health_waiting(service):
    """
    Health answers while hundreds of sockets are silent, stop in their heads or in their bodies.
    """
    begins = [
        b"",
        b"GET /health HTT",
        b"POST /api/v1/runs HTTP/1.1\r\n" + HEAD + b"Content-Length: 9\r\n\r\n{",
    ]
    with ExitStack() as stack:
        socks = []
        for number in range(SOCKET_COUNT):
            socks.append(stack.enter_context(service.connect()))
            socks[-1].sendall(begins[number % 3])
        statuses = {service.get("/health")[0] for _ in range(20)}
        answers = [status_of(read_all(sock)) for sock in socks[:60]]

    assert statuses == {200}
    assert answers == [0, 408, 408] * 20


def test_a_length_that_says_too_much_is_refused_unread(service):
    """
    A body that announces itself as too large is refused before a byte of it is there.
    """
    said = b"Content-Length: 99999999999\r\n\r\n"
    with service.connect() as sock:
        sock.sendall(b"POST /api/v1/runs/batch HTTP/1.1\r\n" + HEAD + said)
        answer = sock.recv(65536)

    assert status_of(answer) == 413
    assert b"connection: close" in answer


@pytest.mark.parametrize("path", [b"/api/v1/runs", b"/api/v1/runs/batch", b"/api/v1/records"])
def test_a_body_without_end_is_refused(service, path):
    """
    A client that sends and sends hears 413, and can read it: it is not cut off in mid-sentence.
    """
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with service.connect() as sock:
        sock.sendall(
            b"POST " + path + b" HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(1000):
            sock.sendall(chunk)
            if select.select([sock], [], [], 0)[0]:
                break
        answer = read_one(sock)

    assert (status_of(answer), slug_of(answer)) == (413, "body-too-large")


def test_a_bomb_leaves_the_memory_as_it_was(service):
    """
    A gigabyte of zeros in a few kilobytes is 413, and the process does not grow by it.
    """
    packer = zstandard.ZstdCompressor().compressobj()
    bomb = b"".join(packer.compress(bytes(1 << 24)) for _ in range(64)) + packer.flush()
    head = HEAD + b"Content-Encoding: zstd\r\nConnection: close\r\n"
    before = psutil.Process(service.process.pid).memory_info().rss
    answers = {
        status_of(
            service.send(
                b"POST /api/v1/records HTTP/1.1\r\n" + head,
                b"Content-Length: %d\r\n\r\n" % len(bomb),
                bomb,
            )
        )
        for _ in range(5)
    }
    grown = psutil.Process(service.process.pid).memory_info().rss - before

    assert len(bomb) < 100_000
    assert answers == {413}
    assert grown < 100 << 20


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"hello\r\n\r\n", 400),
        (b"GET /health HTTP/9.9\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: a\x00b\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\n" + HEAD + b"Content-Length: x\r\n\r\n", 400),
        (
            b"GET /health HTTP/1.1\r\n" + HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
        ),
        (
            b"POST /api/v1/runs HTTP/1.1\r\n"
            + HEAD
            + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        (
            b"POST /api/v1/runs HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
        ),
        (b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        (b"GET /health HTTP/1.0\r\n\r\n", 200),
        (b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n", 200),
        (b"GET /health HTTP/1.1\r\nConnection: close\r\n" + HEAD * 60 + b"\r\n", 403),
        (
            b"GET /health HTTP/1.1\r\nConnection: close\r\n" + HEAD + b"X: y\r\n" * 200 + b"\r\n",
            431,
        ),
        (b"GET /health HTTP/1.1\r\nX: " + b"x" * (MAX_HEAD_BYTES + 1), 431),
        (b"GET /" + b"x" * (MAX_HEAD_BYTES + 1), 431),
        (
            b"GET /health?"
            + b"a=1&" * 9000
            + b" HTTP/1.1\r\nConnection: close\r\n"
            + HEAD
            + b"\r\n",
            414,
        ),
    ],
)
def test_what_is_no_good_request(service, request_bytes, status):
    """
    No HTTP, contradictory lengths and heads without measure are refused, and hung up on.
    """
    answer = service.send(request_bytes)

    assert status_of(answer) == status
    if status != 200:
        assert b"x-content-type-options: nosniff" in answer
        assert slug_of(answer)
        request_id = document_of(answer)["request_id"].encode()
        assert b"x-request-id: %s\r\n" % request_id in answer


def test_what_follows_a_body_that_lied_is_another_request(service):
    """
    More than Content-Length said is no part of the body; if it is no request, the connection ends.
    """
    answer = service.send(
        b"POST /api/v1/runs HTTP/1.1\r\n" + HEAD + b"Content-Length: 2\r\n\r\n", b'{}{"more":1}'
    )

    assert status_of(answer) == 422
    assert answer.count(b"HTTP/1.1") == 1


def test_a_client_that_said_all_it_has_is_answered(service):
    """
    A half-closed socket gets its answer; with half a request it is hung up on at once.
    """
    with service.connect() as sock:
        sock.sendall(b"GET /api/v1/runs HTTP/1.1\r\n" + HEAD + b"\r\n")
        sock.shutdown(socket.SHUT_WR)
        whole = read_all(sock)
    with service.connect() as sock:
        sock.sendall(b"POST /api/v1/runs HTTP/1.1\r\n" + HEAD + b"Content-Length: 9\r\n\r\n{")
        sock.shutdown(socket.SHUT_WR)
        half = read_all(sock)

    assert (status_of(whole), half) == (200, b"")


def test_requests_in_a_row_are_answered_in_order(service):
    """
    A refusal in a pipeline does not lose what stands behind it.
    """
    request = b"POST /api/v1/runs HTTP/1.1\r\nHost: %s\r\nContent-Length: 2\r\n\r\n{}"
    last = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = service.send(request % b"evil.example" + request % b"localhost" + last)
    statuses = [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]

    assert statuses == [403, 422, 200]


def test_a_socket_for_more_than_http_is_none(service):
    """
    An upgrade is not granted.
    """
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    with service.connect() as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\n" + HEAD + upgrade + b"\r\n")
        answer = read_one(sock)

    assert status_of(answer) == 200


def test_connections_have_a_number(tmp_path):
    """
    Beyond it a request is 503 and told to come again, health is answered, and far beyond it nobody.
    """
    limit = 4
    with running(tmp_path / "base", TELEMETRY_API_MAX_CONNECTIONS=str(limit)) as service:
        with ExitStack() as stack:
            for _ in range(limit):
                sock = stack.enter_context(service.connect())
                sock.sendall(b"GET /health HTTP/1.1\r\n" + HEAD + b"\r\n")
                assert status_of(sock.recv(65536)) == 200
            busy, health = service.get("/metrics"), service.get("/healthz")
            socks = [stack.enter_context(service.connect()) for _ in range(TOLD_CONNECTIONS)]
            dropped = service.send()
        for sock in socks:
            sock.close()
        while (again := service.get("/metrics"))[0] == 503:
            pass

    assert (busy[0], busy[1]["retry-after"], busy[1]["connection"]) == (503, "1", "close")
    assert busy[1]["x-content-type-options"] == "nosniff"
    assert json.loads(busy[2])["request_id"] == busy[1]["x-request-id"]
    assert (health[0], dropped, again[0]) == (200, b"", 200)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a second address of the loopback")
def test_one_address_leaves_room_for_others(tmp_path):
    """
    Of all connections one address gets three quarters; another one is served beside it.
    """
    with running(tmp_path / "base", TELEMETRY_API_MAX_CONNECTIONS="8") as service:
        with ExitStack() as stack:
            for _ in range(6):
                sock = stack.enter_context(service.connect())
                sock.sendall(b"GET /health HTTP/1.1\r\n" + HEAD + b"\r\n")
                assert status_of(sock.recv(65536)) == 200
            same = service.get("/metrics")[0]
            other = http.client.HTTPConnection(
                *service.address, timeout=TIME_LIMIT_S, source_address=("127.0.0.2", 0)
            )
            stack.callback(other.close)
            other.request("GET", "/metrics", headers={"Host": "localhost"})
            beside = other.getresponse().status
        while service.get("/metrics")[0] == 503:
            pass

    assert (same, beside) == (503, 200)


def test_a_running_service_obeys_the_command(tmp_path, monkeypatch, capsys):
    """
    The first token closes it, the token opens it, revoking closes it again, and no log has it.
    """
    monkeypatch.setenv("TELEMETRY_BASE_DIR", str(tmp_path / "base"))
    with running(tmp_path / "base", TELEMETRY_LOG_LEVEL="DEBUG") as service:
        opened = service.get("/api/v1/runs")[0]
        assert invoke(["token", "create", "ci", "--scope", "read", "--json"]) == 0
        made = json.loads(capsys.readouterr().out)
        shown = {"Authorization": f"Bearer {made['token']}"}
        statuses = [
            service.get("/api/v1/runs")[0],
            service.get("/api/v1/runs", **shown)[0],
            service.get("/health")[0],
        ]
        assert invoke(["token", "revoke", made["id"]]) == 0
        revoked = service.get("/api/v1/runs", **shown)[0]
    log = (tmp_path / "log").read_text()

    assert (opened, statuses, revoked) == (200, [401, 200, 200], 401)
    assert made["id"] in log
    assert made["token"].rpartition("_")[2] not in log


@pytest.mark.parametrize(
    ("args", "settings"),
    [
        (["--host", "0.0.0.0"], {}),
        (["--host", "::"], {}),
        ([], {"TELEMETRY_API_HOST": "192.0.2.7"}),
        ([], {"TELEMETRY_API_AUTH_ENABLED": "1"}),
        (["--allow-unauthenticated"], {"TELEMETRY_API_AUTH_ENABLED": "1"}),
    ],
)
def test_what_would_be_open_or_useless_does_not_start(
    tmp_path, monkeypatch, capsys, args, settings
):
    """
    Another address than loopback without a token, or auth without one, ends with 2 and says why.
    """
    monkeypatch.setenv("TELEMETRY_BASE_DIR", str(tmp_path / "base"))
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    assert invoke(["serve", "--port", "0", *args]) == 2
    assert "telemetry token create" in capsys.readouterr().err
