from __future__ import annotations

import pickle
import re
import socket
import threading
from datetime import datetime, timedelta, timezone

import pytest

from telemetry.api import (
    APIError,
    BrokenServiceError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    PreconditionFailedError,
    RateLimitedError,
    TimedOutError,
    UnauthorizedError,
    UnavailableError,
    UnexpectedAnswerError,
)
from telemetry.model.errors import TelemetryError

RUN = {"event_id": "e", "run_id": "r", "agent_name": "a", "job_type": "j"}
EDITED = {"event_id": "e", "updated": True, "fields_updated": ["status"]}


def read_request(connection):
    """
    Read a request to its end.
    """
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *([0-9]+)", head, re.IGNORECASE)
    while length and len(body) < int(length[1]):
        piece = connection.recv(65536)
        if not piece:
            return
        body += piece


class Connections:
    """
    A server that takes connections and does with each what the test says.
    """

    def __init__(self, *answers):
        self._answers = list(answers)
        self.count = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self.count += 1
                # All of it: what is closed with something unread is reset, which may be noticed
                # sooner than the end, or than an answer.
                read_request(connection)
                answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                if answer is None:
                    continue
                if callable(answer):
                    answer(connection)
                else:
                    connection.sendall(answer)

    def close(self):
        # A closed socket alone would leave the thread in accept.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.fixture
def connections():
    opened = []

    def make(*answers):
        opened.append(Connections(*answers))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def whole(body=b"[]", status=b"200 OK"):
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nConnection: close\r\n" % status
    return head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


@pytest.fixture
def nobody():
    """
    An address at which nobody listens.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_not_now_is_asked_again(api, service, status):
    """
    Where the service says "not now", the call is made again until it is answered.
    """
    service.problem(status).problem(status).say(RUN)

    assert api.run("e").run_id == "r"
    assert len(service.seen) == 3


def test_retries_end(api, service):
    """
    The last answer counts, after three more tries.
    """
    service.problem(503, "the journal takes nothing now", headers={"Retry-After": "0"})

    with pytest.raises(UnavailableError, match="the journal takes nothing now") as caught:
        api.run("e")

    assert (len(service.seen), caught.value.retry_after_s) == (4, 0.0)


def test_a_long_wish_is_the_callers(api, service):
    """
    A service that wants to be left alone for long is; the error says for how long.
    """
    service.problem(429, headers={"Retry-After": "3600"})

    with pytest.raises(RateLimitedError) as caught:
        api.run("e")

    assert (len(service.seen), caught.value.retry_after_s) == (1, 3600.0)


@pytest.mark.parametrize("form", ["%a, %d %b %Y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"])
def test_a_wish_may_be_a_date(api, service, form):
    """
    Retry-After is understood in all of its forms; what is none is passed over.
    """
    soon = datetime.now(timezone.utc) + timedelta(hours=1)
    service.problem(503, headers={"Retry-After": soon.strftime(form)})
    with pytest.raises(UnavailableError) as caught:
        api.run("e")
    assert 3000 < caught.value.retry_after_s <= 3600

    service.answers.clear()
    service.problem(503, headers={"Retry-After": "later"}).say(RUN)
    assert api.run("e").run_id == "r"


def test_an_edit_that_was_not_done_is_tried_again(api, service):
    """
    "Not now" means that nothing was changed, so an edit may be made again.
    """
    service.problem(503).say(EDITED)

    assert api.update_run("e", {"status": "failed"}).updated


def test_lost_answers_are_asked_for_again(kind, connections, quick):
    """
    A read, and a run that is handed over, is tried again when the connection breaks.
    """
    created = b'{"status":"duplicate","event_id":"e"}'
    server = connections(None, whole(), None, b"HTTP/1.1 200", whole(created))
    with kind(server.url, "") as api:
        assert list(api.runs()) == []
        assert api.create_run({**RUN, "start_time": "2026-11-22T05:13:00Z"}).status == "duplicate"

    assert server.count == 5


def test_lost_answers_to_edits_are_not(kind, connections, quick):
    """
    An edit that may have been done is not made again, unless it says what it is based on.
    """
    server = connections(None, None, whole(b'{"event_id":"e","updated":true}'))
    with kind(server.url, "") as api:
        with pytest.raises(UnavailableError, match="the connection ended"):
            api.update_run("e", {"status": "failed"})
        assert server.count == 1
        assert api.update_run("e", {"status": "failed"}, if_match='"7"').updated

    assert server.count == 3


def test_nobody_there(kind, nobody, quick):
    """
    An address at which nobody listens is said to be one, with what starts the service.
    """
    with kind(nobody, "") as api, pytest.raises(UnavailableError) as caught:
        api.update_run("e", {"status": "failed"})

    assert f"PATCH {nobody}/api/v1/runs/e must reach a running service" in str(caught.value)
    assert "telemetry serve" in str(caught.value)
    assert isinstance(caught.value, ConnectionError)
    assert caught.value.status is None


def test_silence_ends_in_time(kind, connections, quick):
    """
    A service that never answers is a timeout, asked once; nobody is left waiting.
    """
    over = threading.Event()
    server = connections(lambda _: over.wait(30))
    try:
        with kind(server.url, "", timeout_s=0.2) as api, pytest.raises(TimedOutError) as caught:
            api.run("e")
    finally:
        over.set()

    assert isinstance(caught.value, TimeoutError)
    assert server.count == 1


@pytest.mark.parametrize(
    ("status", "cls", "builtin"),
    [
        (400, InvalidError, ValueError),
        (401, UnauthorizedError, PermissionError),
        (403, ForbiddenError, PermissionError),
        (404, NotFoundError, LookupError),
        (405, InvalidError, ValueError),
        (409, ConflictError, APIError),
        (412, PreconditionFailedError, ConflictError),
        (413, InvalidError, ValueError),
        (422, InvalidError, ValueError),
        (500, BrokenServiceError, RuntimeError),
    ],
)
def test_problems_are_errors(api, service, status, cls, builtin):
    """
    Each status is an error of its own, which carries all that the problem says.
    """
    service.problem(status, "the thing must not be so", slug="a-slug")

    with pytest.raises(TelemetryError) as caught:
        api.run("e")

    error = caught.value
    assert type(error) is cls
    assert isinstance(error, builtin)
    assert error.type == "urn:telemetry:problem:a-slug"
    assert (error.status, error.title, error.request_id) == (status, "Some problem", "q1")
    assert error.detail == "the thing must not be so"
    assert "/api/v1/runs/e was answered" in str(error)
    assert "the thing must not be so" in str(error)
    assert len(service.seen) == 1


def test_fields_at_fault_are_named(api, service):
    """
    A refused value is told with its rule and the way out.
    """
    detail = [{"type": "x", "loc": ["body", "status"], "msg": "m", "input": "odd"}]
    fault = {"field": "status", "rule": "must be a status", "value": "odd", "way_out": "use failed"}
    service.problem(422, detail, errors=[fault])

    with pytest.raises(InvalidError) as caught:
        api.update_run("e", {"status": "odd"})

    (problem,) = caught.value.errors
    assert (problem.field, problem.rule, problem.value, problem.way_out) == tuple(fault.values())
    assert caught.value.detail == detail
    assert "status must be a status (got odd), use failed" in str(caught.value)


def test_a_token_is_asked_for(api, service):
    """
    A refusal for want of a token says where one is put.
    """
    service.problem(401, "a token is needed", headers={"WWW-Authenticate": "Bearer"})

    with pytest.raises(UnauthorizedError, match="set TELEMETRY_API_TOKEN"):
        api.run("e")


def test_redirects_are_not_followed(api, service):
    """
    A redirect ends the call: the token is for one address alone.
    """
    service.say(None, 302, Location="http://elsewhere.example/api")

    with pytest.raises(UnexpectedAnswerError, match=r"it sends elsewhere, to http://elsewhere"):
        api.run("e")

    assert len(service.seen) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"<html>nginx</html>", 404),
        (b"<html>", 400),
        (b"<html>hello</html>", 200),
        (b"", 200),
        (b"x", 500),
    ],
)
def test_other_programs_are_told_from_the_service(api, service, body, status):
    """
    What is no answer of the service is said to be none, and which address to check.
    """
    service.say_raw(body, status, Content_Type="text/html")

    with pytest.raises(UnexpectedAnswerError, match="TELEMETRY_API_URL") as caught:
        api.run("e")

    assert caught.value.status == status


def test_a_wrong_path_is_told(api, service):
    """
    A page that the service does not have is the address's fault, not a run that is missing.
    """
    service.problem(404, "Not Found", slug="not-found")

    with pytest.raises(UnexpectedAnswerError, match="it has no such page"):
        api.run("e")


def test_proxies_may_say_not_now(api, service):
    """
    A gateway's own page for a service that is down means that it is not there now.
    """
    service.say_raw(b"<html>Bad Gateway</html>", 502, Content_Type="text/html")

    with pytest.raises(UnavailableError):
        api.run("e")


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf"]
)
def test_what_is_no_http_is_an_error(kind, connections, quick, answer):
    """
    Another protocol, or an answer that ends too early, is an error of the tree.
    """
    server = connections(answer)

    with kind(server.url, "") as api, pytest.raises(UnavailableError):
        api.run("e")


def test_a_body_that_cannot_be_unpacked_is_an_error(api, service):
    """
    A lie about the encoding is an error of the tree.
    """
    service.say_raw(b"not gzip", 200, Content_Encoding="gzip")

    with pytest.raises(UnexpectedAnswerError):
        api.run("e")


def test_errors_can_be_pickled():
    """
    An error crosses to another process with all it carries.
    """
    error = NotFoundError("GET x was answered 404", status=404, request_id="q1")

    copy = pickle.loads(pickle.dumps(error))

    assert (type(copy), str(copy), copy.status, copy.request_id) == (
        NotFoundError,
        "GET x was answered 404",
        404,
        "q1",
    )
