"""
Other people's pages, other people's names: Host, Origin, CORS, content types, what every answer says.
"""

from __future__ import annotations

import socket

import pytest
from asgi_client import ask, echo

from telemetry.config import TelemetryConfig
from telemetry.service.auth import ROUTES
from telemetry.service.hosts import Hosts, client_of, is_loopback
from telemetry.service.middleware import MAX_HEADERS, SECURITY_HEADERS, Guard

PAGE = "https://ops.example"
UNSAFE = ["POST", "PATCH", "PUT", "DELETE", "TRACE", "MADEUP"]


@pytest.fixture
def make_guard(tmp_path):
    def make(app=echo, record=lambda _: None, **settings):
        config = TelemetryConfig.from_env({}, base_dir=tmp_path, **settings)
        return Guard(app, config, headers=[(b"telemetry-base", b"0123")], record=record)

    return make


def path_of(template):
    return template.replace("{event_id}", "0192-ab").replace("{name}", "timeline")


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8765",
        "LocalHost.:1",
        "127.0.0.1:8765",
        "[::1]:8765",
        "[0:0:0:0:0:0:0:1]",
    ],
)
def test_this_machine_is_always_addressed_rightly(make_guard, host):
    """
    The loopback names are taken with any port, in any spelling.
    """
    assert ask(make_guard(), "GET", "/api/v1/runs", host=host).status == 200


EVIL = [
    "evil.example",
    "evil.example:8765",
    "localhost.evil.example",
    "localhost@evil.example",
    "evil.example@localhost",
    "127.0.0.1.evil.example",
    "10.0.0.7:8765",
    "[fe80::1]",
    "::1",
    "0.0.0.0",
    "localhost:x",
    "localhost:123456",
    "localhost, localhost",
    "localhost evil.example",
    "localhost/",
    "",
    " ",
    "\xff",
    "x" * 10_000,
]


@pytest.mark.parametrize("host", EVIL)
def test_another_name_is_refused(make_guard, host):
    """
    A request for another name is 403: a page whose name was made to lead here gets nothing.
    """
    answer = ask(make_guard(), "GET", "/api/v1/runs", host=host)

    assert answer.status == 403
    assert answer.json()["type"] == "urn:telemetry:problem:host-not-allowed"


def test_another_name_is_refused_on_every_route(make_guard):
    """
    The name is looked at before anything else, also on health and before any token.
    """
    guard = make_guard(api_auth_token="a-token-of-the-environment")
    got = {
        (method, path): ask(guard, method, path_of(path), host="evil.example").status
        for method, path in [*ROUTES, ("GET", "/nowhere"), ("OPTIONS", "/api/v1/runs")]
    }

    assert set(got.values()) == {403}


def test_no_host_and_two_hosts(make_guard):
    """
    HTTP/1.1 without a Host header is 400, with two of them 403; HTTP/1.0 knows none.
    """
    guard = make_guard()

    async def without(scope, receive, send):
        scope["headers"] = [each for each in scope["headers"] if each[0] != b"host"]
        await guard(scope, receive, send)

    async def older(scope, receive, send):
        scope["http_version"] = "1.0"
        await without(scope, receive, send)

    twice = [(b"host", b"localhost"), (b"host", b"evil.example")]

    assert ask(without, "GET", "/health").status == 400
    assert ask(older, "GET", "/health").status == 200
    assert ask(guard, "GET", "/health", twice).status == 403


@pytest.mark.parametrize(
    ("bound", "allowed", "host", "expected"),
    [
        ("192.0.2.7", (), "192.0.2.7:8765", True),
        ("192.0.2.7", (), "192.0.2.8", False),
        ("192.0.2.7", (), socket.gethostname(), True),
        ("127.0.0.1", (), "telemetry", False),
        ("127.0.0.1", ("telemetry", "Ops.Example."), "TELEMETRY:1", True),
        ("127.0.0.1", ("telemetry", "Ops.Example."), "ops.example", True),
        ("127.0.0.1", ("ops.example:8765",), "ops.example", True),
        ("127.0.0.1", ("*",), "evil.example", False),
        ("0.0.0.0", (), "192.0.2.8:1", True),
        ("::", (), "[2001:db8::1]:1", True),
        ("0.0.0.0", (), "evil.example", False),
        ("telemetry.internal", (), "telemetry.internal:80", True),
    ],
)
def test_the_services_own_names(tmp_path, bound, allowed, host, expected):
    """
    The address it listens on and the names in the settings are its own.

    Bound to all addresses, every address is, but no name.
    """
    config = TelemetryConfig.from_env(
        {}, base_dir=tmp_path, api_host=bound, api_allowed_hosts=allowed
    )
    hosts = Hosts(config)

    assert [hosts.allows(host.encode()) for _ in range(2)] == [expected] * 2


def test_remembered_names_are_bounded(tmp_path):
    """
    Any number of spellings of a good name costs a bounded amount of memory.
    """
    hosts = Hosts(TelemetryConfig.from_env({}, base_dir=tmp_path))
    assert all(hosts.allows(b"localhost:%d" % port) for port in range(10_000))

    assert len(hosts.good) <= 256


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("192.0.2.7", False),
        ("localhost.evil.example", False),
    ],
)
def test_what_only_this_machine_reaches(host, expected):
    """
    Loopback addresses are known in each form; a name other than localhost is none.
    """
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (None, ""),
        (("192.0.2.7", 1), "192.0.2.7"),
        (("::ffff:192.0.2.7", 1), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 1), "2001:db8:1:2::"),
        (("2001:db8:1:2::9%eth0", 1), "2001:db8:1:2::"),
        (("un:ix", 1), "un:ix"),
    ],
)
def test_a_network_of_ipv6_is_one_client(peer, expected):
    """
    A client with IPv6 is known by its network, of whose addresses it has as many as it likes.
    """
    assert client_of(peer) == expected


@pytest.mark.parametrize("method", UNSAFE)
@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),
        (PAGE, 200),
        (PAGE.upper(), 200),
        ("http://localhost:8765", 200),
        ("https://localhost:8765", 200),
        ("http://localhost:8766", 403),
        ("http://evil.example", 403),
        ("https://ops.example.evil.example", 403),
        ("http://ops.example", 403),
        (f"{PAGE}/", 403),
        ("null", 403),
        ("", 403),
        ("file://", 403),
        ("ftp://localhost:8765", 403),
        (f"{PAGE}, {PAGE}", 403),
        ("\xff", 403),
    ],
)
def test_a_page_changes_something_only_if_it_may(make_guard, method, origin, status):
    """
    A request of a page that changes something is 403, unless it is our own or is named.
    """
    guard = make_guard(api_allowed_origins=(f"{PAGE}/", "null", "*"))
    headers = {} if origin is None else {"origin": origin}

    assert ask(guard, method, "/api/v1/runs/a", **headers).status == status


def cors_of(answer):
    return {
        k: v for k, v in answer.headers.items() if k.startswith("access-control") or k == "vary"
    }


def test_cors_is_off(make_guard):
    """
    Without a setting no answer says anything about other origins, and each preflight is refused.
    """
    guard = make_guard()
    preflight = ask(
        guard, "OPTIONS", "/api/v1/runs", origin=PAGE, access_control_request_method="POST"
    )

    assert (preflight.status, cors_of(preflight)) == (403, {})
    assert cors_of(ask(guard, "GET", "/api/v1/runs", origin=PAGE)) == {}


@pytest.mark.parametrize("origin", [PAGE, "https://OPS.example"])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_a_named_page_is_answered(make_guard, origin, method):
    """
    A preflight of a named page needs no token and says what may be asked; never with credentials.
    """
    guard = make_guard(api_allowed_origins=(PAGE,), api_auth_token="a-token-of-the-environment")
    answer = ask(
        guard, "OPTIONS", "/api/v1/runs", origin=origin, access_control_request_method=method
    )
    said = cors_of(answer)

    assert (answer.status, answer.body) == (204, b"")
    assert said["access-control-allow-origin"] == origin
    assert method in said["access-control-allow-methods"].split(", ")
    assert "authorization" in said["access-control-allow-headers"].split(", ")
    assert "Access-Control-Request-Headers" in said["vary"]
    assert "Origin" in said["vary"]
    assert "access-control-allow-credentials" not in said


def test_each_answer_to_a_named_page_can_be_read(make_guard):
    """
    Also a refusal carries the headers; one to another page says that it depends on the Origin.
    """
    guard = make_guard(api_allowed_origins=(PAGE,), api_auth_token="a-token-of-the-environment")
    refused = ask(guard, "GET", "/api/v1/runs", origin=PAGE)
    other = ask(guard, "GET", "/api/v1/runs", origin="https://evil.example")

    assert (refused.status, cors_of(refused)["access-control-allow-origin"]) == (401, PAGE)
    assert (other.status, cors_of(other)) == (401, {"vary": "Origin"})


def test_the_applications_own_vary_stays(make_guard):
    """
    What an answer depends on besides is kept.
    """

    async def app(scope, receive, send):
        headers = [(b"vary", b"Accept"), (b"cache-control", b"max-age=9")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    answer = ask(make_guard(app, api_allowed_origins=(PAGE,)), "GET", "/metrics", origin=PAGE)

    assert answer.headers["vary"] == "Accept, Origin"
    assert answer.headers["cache-control"] == "max-age=9"


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (None, 200),
        ("application/json", 200),
        ("Application/JSON", 200),
        ("application/json; charset=utf-8", 200),
        ('application/json;charset="UTF-8"', 200),
        ("application/merge-patch+json", 200),
        ("application/x-ndjson", 200),
        ("application/json; charset=utf-16", 415),
        ("application/json, text/plain", 415),
        ("text/plain", 415),
        ("text/plain; application/json", 415),
        ("text/json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/octet-stream", 415),
        ("", 415),
        ("\xff", 415),
        ("application/" + "a+" * 30_000, 415),
    ],
)
def test_only_json_is_taken(make_guard, content_type, status):
    """
    What a page can send without asking first, forms and plain text, is 415.
    """
    headers = {} if content_type is None else {"content_type": content_type}
    parts = [b"{}"]

    for method in ("POST", "PATCH", "DELETE"):
        answer = ask(
            make_guard(), method, "/api/v1/runs/a", parts=parts, content_length="2", **headers
        )
        assert answer.status == status
    assert ask(make_guard(), "GET", "/api/v1/runs", **headers).status == 200


def test_a_type_that_is_not_taken_is_named_beside_the_one_to_send(make_guard):
    """
    What curl sends with -d is a form; the answer says so, and which header mends it.
    """
    for sent, shown in (
        ("application/x-www-form-urlencoded", "'application/x-www-form-urlencoded'"),
        ("x" * 300, "x…)"),
    ):
        answer = ask(make_guard(), "POST", "/api/v1/runs", content_type=sent, content_length="0")
        detail = answer.json()["detail"]
        assert shown in detail
        assert detail.endswith("send the header Content-Type: application/json")


def test_two_content_types_are_none(make_guard):
    """
    A second Content-Type is not overlooked.
    """
    headers = [(b"content-type", b"application/json"), (b"content-type", b"text/plain")]

    assert ask(make_guard(), "POST", "/api/v1/runs", headers).status == 415


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/api/v1/runs?" + "a=1&" * 4096, 200),
        ("/api/v1/runs?" + "a=1&" * 4096 + "b", 414),
        ("/api/v1/runs?" + "&".join(f"p{i}=1" for i in range(100_000)), 414),
        ("/api/v1/runs/" + "a" * 8000, 200),
        ("/api/v1/runs/" + "a" * 9000, 414),
    ],
)
def test_a_url_has_a_length(make_guard, target, status):
    """
    A path of more than 8 KiB and a query of more than 16 KiB are 414.
    """
    assert ask(make_guard(), "GET", target).status == status


def test_headers_have_a_number(make_guard):
    """
    More than 100 headers are 431.
    """
    headers = [(b"x-%d" % i, b"") for i in range(MAX_HEADERS - 1)]

    assert ask(make_guard(), "GET", "/health", headers).status == 200
    assert ask(make_guard(), "GET", "/health", [*headers, (b"x", b"")]).status == 431


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/health", {}, 200),
        ("/api/v1/runs", {}, 401),
        ("/health", {"host": "evil.example"}, 403),
        ("/health?" + "x" * 20_000, {}, 414),
    ],
)
def test_every_answer_is_safe_to_look_at(make_guard, target, headers, status):
    """
    Each answer forbids guessing, storing, running and referring, and says which request it was.
    """
    guard = make_guard(api_auth_token="a-token-of-the-environment")
    answer = ask(guard, "GET", target, **headers)

    assert answer.status == status
    for name, value in SECURITY_HEADERS:
        assert answer.headers[name.decode()] == value.decode()
    assert answer.headers["telemetry-base"] == "0123"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("0192f0c1-7b", True),
        ("a.b:c_d-E9", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("", False),
        ("a b", False),
        ("a\r\nb", False),
        ("ü", False),
        ("<script>", False),
    ],
)
def test_a_clients_request_id_is_kept_if_it_is_a_word(make_guard, given, kept):
    """
    A plain id comes back; anything else is replaced by one of ours, different each time.
    """
    guard = make_guard()
    ids = [ask(guard, "GET", "/health", x_request_id=given).headers["x-request-id"] for _ in "ab"]

    assert (ids == [given, given]) is kept
    assert kept or ids[0] != ids[1]


def test_what_is_logged(make_guard):
    """
    Refusals are told to the log, answers that went well only where that is wanted; never a query.
    """
    logs = {"INFO": [], "DEBUG": [], "all": []}
    for level, entries in logs.items():
        wanted = {"access_log": level} if level == "all" else {"service_log_level": level}
        guard = make_guard(record=entries.append, **wanted)
        ask(guard, "GET", "/api/v1/runs?agent_name=a", x_request_id="r1")
        ask(guard, "GET", "/api/v1/runs?agent_name=a", host="evil.example", x_request_id="r2")

    assert [(entry.status, entry.request_id) for entry in logs["INFO"]] == [(403, "r2")]
    assert [(entry.status, entry.token_id) for entry in logs["DEBUG"]] == [
        (200, "anonymous"),
        (403, ""),
    ]
    assert [entry[:3] for entry in logs["all"]] == [entry[:3] for entry in logs["DEBUG"]]
    assert {(entry.method, entry.path, entry.peer) for entry in logs["DEBUG"]} == {
        ("GET", "/api/v1/runs", "127.0.0.1")
    }
