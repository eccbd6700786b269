"""
What no client should send, over real sockets: each a clear problem, and the service stays well.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import socket

import httpx
import pytest
from servers import Server

TOKEN = "a-token-with-every-scope-for-tests"
TIME_LIMIT_S = 60
#: What an impatient service grants a request.
SHORT_S = 1.0
RUNS = "/api/v1/runs"
#: What no answer may tell: places, statements, code.
LEAKS = re.compile(
    r"Traceback|File \"|\.py\b|/tmp/|/home/|/usr/|site-packages|sqlite3?\.|SELECT |INSERT |"
    r"agent_runs|no such (table|column)|Exception\b",
)
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("bad") / "base", TIME_LIMIT_S) as running:
        yield running


@pytest.fixture
def impatient(tmp_path):
    with serving(tmp_path / "impatient", SHORT_S) as running:
        yield running


def serving(base, request_timeout_s):
    settings = {
        "TELEMETRY_API_AUTH_TOKEN": TOKEN,
        "TELEMETRY_API_REQUEST_TIMEOUT_S": str(request_timeout_s),
        "TELEMETRY_API_MAX_BODY_BYTES": str(4 << 20),
    }
    return Server(base, **settings)


@pytest.fixture(autouse=True)
def _stays_well(server):
    """
    After each test the service answers, records and lists.
    """
    yield
    run = a_run()
    with client(server) as http:
        assert http.get("/health").json()["status"] == "ok"
        assert http.get("/readyz").status_code == 200
        assert http.post(RUNS, json=run).json()["status"] == "created"
        assert http.get(f"{RUNS}/{run['event_id']}").json()["run_id"] == run["run_id"]
    assert "Traceback" not in server.log()


@pytest.fixture
def http(server):
    with client(server) as found:
        yield found


def client(server):
    return httpx.Client(
        base_url=server.url,
        headers={"Authorization": f"Bearer {TOKEN}"},
        trust_env=False,
        timeout=TIME_LIMIT_S,
    )


def a_run(**fields):
    return {
        "event_id": f"bad-{next(_numbers)}",
        "run_id": "r",
        "agent_name": "a",
        "job_type": "j",
        "start_time": "2026-11-22T05:13:00Z",
        **fields,
    }


def as_json(run, **raw):
    """
    Return a run as JSON with some values written as they are, well or not.
    """
    whole = {**run, **{name: f"@{name}@" for name in raw}}
    text = json.dumps(whole)
    for name, value in raw.items():
        text = text.replace(f'"@{name}@"', value)
    return text.encode()


def is_problem(answer, status, *words):
    """
    Check that an answer is a problem document that says what is wrong, and nothing else.
    """
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    body = answer.json()
    assert body["type"].startswith("urn:telemetry:problem:")
    assert (body["status"], bool(body["title"]), bool(body["detail"])) == (status, True, True)
    assert body["request_id"] == answer.headers["x-request-id"]
    assert not LEAKS.search(answer.text), answer.text
    assert all(word in answer.text for word in words), answer.text
    return True


def raw_answer(server, *parts, close=False):
    """
    Send bytes as they are, and return what comes back until the server closes.
    """
    host, _, port = server.url.rpartition("/")[2].partition(":")
    with socket.create_connection((host, int(port)), TIME_LIMIT_S) as sock:
        found = b""
        # A server that has heard enough may hang up before all is said.
        with contextlib.suppress(ConnectionError):
            for part in parts:
                sock.sendall(part)
            if close:
                sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while not (found and not close and _is_whole(found)) and (chunk := sock.recv(65536)):
                found += chunk
    assert b" 200 " in found[:20] or not LEAKS.search(found.decode("latin-1")), found
    return found


def _is_whole(found):
    head, gap, body = found.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return bool(gap and length and len(body) >= int(length[1]))


def head(method="GET", path="/health", *lines):
    more = b"".join(line + b"\r\n" for line in lines)
    start = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n".encode()
    return start + f"Authorization: Bearer {TOKEN}\r\n".encode() + more


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b"\xff\xfe",
        b"{'event_id': 1}",
        b"{} {}",
        b"[" * 1_000_000,
        b'{"a":' * 100_000,
        b"[" * 500_000 + b"]" * 500_000,
    ],
    ids=lambda body: f"{body[:6]!r}-{len(body)}",
)
def test_what_is_no_run_is_refused(http, body):
    """
    Whatever is no JSON, or JSON of another kind, is a 422 on every path that takes a body.
    """
    assert is_problem(http.post(RUNS, content=body), 422)
    assert is_problem(http.patch(f"{RUNS}/e", content=body), 422)
    if body != b"[]":
        assert is_problem(http.post(f"{RUNS}/batch", content=body), 422)


@pytest.mark.parametrize(
    ("field", "raw", "words"),
    [
        ("start_time", '"2026-11-22T05:13:00"', ("must say its time zone", "2026-11-22T05:13:00Z")),
        ("start_time", '"yesterday"', ("must be an ISO 8601 time",)),
        ("start_time", "5", ("must be an ISO 8601 time",)),
        ("items_failed", "-1", ("must not be negative",)),
        ("items_failed", str(2**63), ("must be at most 9223372036854775807",)),
        ("items_failed", "1e400", ()),
        ("items_failed", "NaN", ()),
        ("items_failed", '"1"', ("must be an integer",)),
        ("items_failed", "true", ("must be an integer",)),
        ("duration_ms", "9" * 5000, ()),
        ("status", '"done"', ("must be one of running, success",)),
        ("status", "[]", ("must be one of",)),
        ("agent_name", '""', ("must not be empty",)),
        ("agent_name", '" "', ("must not be empty",)),
        ("agent_name", json.dumps("a" * 256), ("must have at most 255 characters",)),
        ("agent_name", '"\\ud800"', ()),
        ("agent_name", "7", ("must be a text",)),
        ("event_id", '""', ()),
        ("event_id", '"a/b"', ()),
        ("event_id", '"a\\u0000b"', ()),
        ("event_id", json.dumps("e" * 256), ()),
        ("run_id", '"..\\\\..\\\\etc"', ()),
        ("error_summary", json.dumps("e" * 501), ("must have at most 500 characters",)),
        ("metrics_json", "[1]", ("must be a JSON object",)),
        ("metrics_json", '{"a": NaN}', ()),
        ("metrics_json", '{"a": Infinity}', ()),
        ("metrics_json", '{"a":' * 40 + "1" + "}" * 40, ("levels",)),
        ("trigger_type", '"moon"', ("must be one of cli, web",)),
    ],
)
def test_values_that_cannot_be_are_named(http, field, raw, words):
    """
    A value that its field cannot hold is a 422 that says so; in a batch it spoils nothing else.
    """
    good, bad = a_run(), a_run()

    assert is_problem(http.post(RUNS, content=as_json(bad, **{field: raw})), 422, *words)
    batch = b"[%s,%s]" % (as_json(good), as_json(bad, **{field: raw}))
    many = http.post(f"{RUNS}/batch", content=batch)

    if many.status_code == 200:
        done = many.json()
        assert (done["inserted"], len(done["errors"]), done["total"]) == (1, 1, 2)
        assert not LEAKS.search(many.text)
    else:
        # What is no JSON at all has no items.
        assert is_problem(many, 422)


def test_names_that_are_no_fields_are_told(http):
    """
    An unknown field is passed over and named, with the one that may have been meant.
    """
    created = http.post(RUNS, json=a_run(agentname="x", itmes_failed=1))
    nothing = http.patch(f"{RUNS}/{created.json()['event_id']}", json={"colour": "red"})

    assert created.status_code == 201
    assert created.json()["ignored"] == [
        {"field": "agentname", "did_you_mean": "agent_name"},
        {"field": "itmes_failed", "did_you_mean": "items_failed"},
    ]
    assert is_problem(nothing, 400)


@pytest.mark.parametrize(
    "text",
    ["a\x00b", "\u202e", "\ufeff", "'; DROP TABLE agent_runs; --", "../../etc/passwd", "%s%n"],
)
def test_texts_are_only_texts(http, text):
    """
    Whatever a text holds, it is stored and found as that text; NUL becomes a mark.
    """
    run = a_run(product=text, job_type=f"job {text}")
    assert http.post(RUNS, json=run).status_code == 201

    row = http.get(f"{RUNS}/{run['event_id']}").json()

    assert row["product"] == text.replace("\0", "\ufffd")
    if "\0" not in text:
        found = http.get(RUNS, params={"job_type": f"job {text}"}).json()
        assert [run["event_id"] for run in found] == [run["event_id"]]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{RUNS}?limit=0", 422),
        (f"{RUNS}?limit=1001", 422),
        (f"{RUNS}?offset=-1", 422),
        (f"{RUNS}?offset={2**63}", 422),
        (f"{RUNS}?limit=1e3", 422),
        (f"{RUNS}?status=done", 400),
        (f"{RUNS}?created_before=yesterday", 400),
        (f"{RUNS}?created_before=2026-11-22T05:13:00", 400),
        (f"{RUNS}?sort=password", 422),
        (f"{RUNS}?sort=status;DROP", 422),
        (f"{RUNS}?cursor=x", 422),
        (f"{RUNS}?colour=red", 422),
        (f"{RUNS}?agent_name=%00", 422),
        (f"{RUNS}?agent_name={'a' * 300}", 422),
        (f"{RUNS}?min_duration_ms=x", 422),
        (f"{RUNS}/nobody", 404),
        (f"{RUNS}/nobody/events", 404),
        (f"{RUNS}/..%2f..%2fetc%2fpasswd", 404),
        (f"{RUNS}/%2e%2e/%2e%2e/etc/passwd", 404),
        (f"{RUNS}/' OR 1=1 --", 404),
        (f"{RUNS}/%ff%00", 404),
        ("/api/v1/stats/nothing", 404),
        ("/api/v1/stats/summary?date_from=soon", 400),
        ("/etc/passwd", 404),
        ("/api/v1/runs/", 404),
    ],
)
def test_questions_that_mean_nothing_are_refused(http, path, status):
    """
    A bad limit, filter, cursor or path is a problem that names it.
    """
    assert is_problem(http.get(path), status)


def test_a_hundred_thousand_parameters_are_refused(server, http):
    """
    A query string beyond reason is refused at once.
    """
    query = b"&".join(b"a=1" for _ in range(100_000))

    answer = raw_answer(server, head(path=f"{RUNS}?{query.decode()}"), b"\r\n")

    assert re.match(rb"HTTP/1\.1 (400|414|422|431) ", answer) or answer == b""
    assert is_problem(http.get(RUNS + "?" + "&".join("a=1" for _ in range(1000))), 422)


def test_large_bodies_are_refused(server, http):
    """
    Ten megabytes are more than is taken, said beforehand or not; what follows is not read.
    """
    body = as_json(a_run(error_details="x" * (10 << 20)))

    assert is_problem(http.post(RUNS, content=body), 413)
    assert is_problem(http.post(RUNS, content=iter([body[: 1 << 20]] * 10)), 413)
    lying = head("POST", RUNS, b"Content-Length: 99999999999999")
    assert raw_answer(server, lying, b"\r\n{}").startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_other_kinds_of_bodies_are_refused(http, kind):
    """
    What a web page could send across origins is not taken for JSON.
    """
    answer = http.post(RUNS, content=as_json(a_run()), headers={"Content-Type": kind})

    assert is_problem(answer, 415)


@pytest.mark.parametrize("encoding", ["br", "gzip", "zstd", "gzip, gzip"])
def test_bodies_that_cannot_be_unpacked_are_refused(http, encoding):
    """
    An unknown encoding, and a body that is not what it says, are problems.
    """
    answer = http.post(RUNS, content=b"no such thing", headers={"Content-Encoding": encoding})

    assert answer.status_code in {400, 415, 422}
    assert is_problem(answer, answer.status_code)


def test_methods_that_are_none_are_refused(http):
    """
    A method that a path does not have is a 405 that names those it has.
    """
    answer = http.put(RUNS, json={})

    assert is_problem(answer, 405)
    assert {"GET", "POST"} <= set(answer.headers["allow"].replace(" ", "").split(","))


@pytest.mark.parametrize(
    "value",
    [
        b"Bearer \xc3\xa4\xff",
        b"Bearer",
        b"Bearer  ",
        b"Basic abc",
        b"\xf0\x9f\x98\x80",
        b"Bearer " + b"x" * 5000,
    ],
)
def test_tokens_that_are_none_are_refused(server, value):
    """
    Whatever stands where the token should, it is a 401, and the token is not repeated.
    """
    request = b"GET /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nAuthorization: %b\r\n\r\n" % value

    answer = raw_answer(server, request)

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"www-authenticate: bearer" in answer.lower()
    assert value[-40:] not in answer or value == b"Bearer"


def test_headers_that_are_there_twice_do_not_count_once(server, impatient):
    """
    Two tokens, hosts or lengths are no way around a check.
    """
    twice = raw_answer(
        server,
        b"GET /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer no\r\n"
        b"Authorization: Bearer " + TOKEN.encode() + b"\r\n\r\n",
    )
    hosts = raw_answer(server, head(), b"Host: evil.example\r\n\r\n")
    lengths = raw_answer(
        impatient, head("POST", RUNS), b"Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}"
    )

    assert twice.startswith(b"HTTP/1.1 401 ")
    assert re.match(rb"HTTP/1\.1 (400|403) ", hosts)
    assert re.match(rb"HTTP/1\.1 (400|413|408) ", lengths)


def test_http_1_0_is_understood(server):
    """
    A client of the oldest kind is answered, and its connection closed.
    """
    request = f"GET {RUNS} HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"

    answer = raw_answer(server, request.encode(), close=True)

    assert re.match(rb"HTTP/1\.[01] 200 ", answer)


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"HELLO\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n\r\n\x00",
    ],
)
def test_what_is_no_http_is_refused(server, request_):
    """
    Bytes of another protocol end the connection, with a 400 at most.
    """
    answer = raw_answer(server, request_, close=True)

    assert answer == b"" or re.match(rb"HTTP/1\.[01] (400|403|404|505) ", answer)


def test_slow_headers_and_bodies_end(impatient):
    """
    A request that never becomes whole is ended by the service.
    """
    assert re.match(rb"(HTTP/1\.1 408 |$)", raw_answer(impatient, b"GET /health HT"))
    slow_body = head("POST", RUNS, b"Content-Length: 100")

    answer = raw_answer(impatient, slow_body, b"\r\n{")

    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_socket_that_is_half_closed_is_answered(server):
    """
    A client that will send nothing more still gets its answer.
    """
    answer = raw_answer(server, head(), b"Connection: close\r\n\r\n", close=True)

    assert answer.startswith(b"HTTP/1.1 200 ") or answer == b""


def test_a_client_that_vanishes_leaves_nothing_half(server, http):
    """
    A batch that breaks off in the middle records none of its runs.
    """
    runs = [a_run() for _ in range(100)]
    body = json.dumps(runs).encode()
    host, _, port = server.url.rpartition("/")[2].partition(":")
    lines = (b"Content-Type: application/json", b"Content-Length: %d" % len(body))
    with socket.create_connection((host, int(port)), TIME_LIMIT_S) as sock:
        sock.sendall(head("POST", f"{RUNS}/batch", *lines) + b"\r\n" + body[: len(body) // 2])

    for run in (runs[0], runs[40]):
        assert http.get(f"{RUNS}/{run['event_id']}").status_code == 404
