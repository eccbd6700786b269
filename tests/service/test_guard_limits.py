"""
How often a client may ask, and for how long it may wait.
"""

from __future__ import annotations

import asyncio
import time

import pytest
import time_machine
from asgi_client import ask, ask_async, echo
from structlog.testing import CapturingLogger

from telemetry.config import TelemetryConfig
from telemetry.service.accesslog import MAX_REFUSALS_A_SECOND, AccessLog, Answered
from telemetry.service.limits import RateLimit, TooManyRequestsError
from telemetry.service.middleware import Guard

TOKEN = "a-token-of-the-environment"
TIME_LIMIT_S = 60


@pytest.fixture
def make_guard(tmp_path):
    def make(app=echo, **settings):
        config = TelemetryConfig.from_env({}, base_dir=tmp_path, **settings)
        return Guard(app, config, record=lambda _: None)

    return make


def limited(make_guard, rpm=3, **settings):
    return make_guard(rate_limit_enabled=True, rate_limit_rpm=rpm, **settings)


def test_one_too_many_waits(make_guard):
    """
    What is left is told with each answer; one too many is 429 and told when to come again.
    """
    guard = limited(make_guard)
    with time_machine.travel(1_800_000_000, tick=False):
        answers = [ask(guard, "GET", "/api/v1/runs") for _ in range(4)]
    with time_machine.travel(1_800_000_060.5, tick=False):
        answers.append(ask(guard, "GET", "/api/v1/runs"))

    assert [answer.status for answer in answers] == [200, 200, 200, 429, 200]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == [
        "2",
        "1",
        "0",
        "0",
        "2",
    ]
    assert {answer.headers["x-ratelimit-limit"] for answer in answers} == {"3"}
    assert {answer.headers["x-ratelimit-reset"] for answer in answers[:4]} == {"1800000060"}
    assert answers[3].headers["retry-after"] == "60"


def test_it_is_off_unless_it_is_set(make_guard):
    """
    By default nobody is counted.
    """
    guard = make_guard(rate_limit_rpm=1)
    answers = [ask(guard, "GET", "/api/v1/runs") for _ in range(3)]

    assert {answer.status for answer in answers} == {200}
    assert "x-ratelimit-limit" not in answers[0].headers


def test_health_is_never_counted(make_guard):
    """
    Health answers a client that has used up all it may.
    """
    guard = limited(make_guard, rpm=1)
    ask(guard, "GET", "/metrics")
    refused = ask(guard, "GET", "/metrics")
    answers = [ask(guard, "GET", path) for path in ("/health", "/healthz", "/readyz") * 3]

    assert refused.status == 429
    assert {answer.status for answer in answers} == {200}
    assert "x-ratelimit-limit" not in answers[0].headers


def test_what_a_proxy_says_does_not_count(make_guard):
    """
    A client cannot pass for many by X-Forwarded-For and its kin.
    """
    guard = limited(make_guard, rpm=1)
    statuses = [
        ask(
            guard, "GET", "/metrics", x_forwarded_for=f"192.0.2.{n}", forwarded=f"for=192.0.2.{n}"
        ).status
        for n in range(3)
    ]

    assert statuses == [200, 429, 429]


def test_peers_do_not_share(make_guard):
    """
    Each address is counted alone.
    """
    guard = limited(make_guard, rpm=1)
    statuses = [ask(guard, "GET", "/metrics", peer=(f"192.0.2.{n}", 1)).status for n in (1, 2, 1)]

    assert statuses == [200, 200, 429]


def test_a_token_is_one_client_wherever_it_is(make_guard):
    """
    A token is counted alone, from any address; its peers' failures do not count against it.
    """
    guard = limited(make_guard, rpm=2, api_auth_token=TOKEN)
    good = {"authorization": f"Bearer {TOKEN}"}
    bad = {"authorization": "Bearer wrong"}

    def status(headers, peer="192.0.2.1"):
        return ask(guard, "GET", "/metrics", peer=(peer, 1), **headers).status

    guesses = [status(bad) for _ in range(4)]
    uses = [status(good), status(good, "192.0.2.2"), status(good, "192.0.2.3")]

    assert guesses == [401, 401, 429, 429]
    assert uses == [200, 200, 429]


def test_a_crowd_of_peers_costs_bounded_memory():
    """
    100,000 addresses leave no more than so many counters; the newest are counted rightly.
    """
    limit = RateLimit(2, max_clients=1000)
    with time_machine.travel(1_800_000_000, tick=False):
        for number in range(100_000):
            limit.count(str(number))
        length = len(limit.windows)
        left = limit.count("99999").remaining
        with pytest.raises(TooManyRequestsError):
            limit.count("99999")
    with time_machine.travel(1_800_000_061, tick=False):
        limit.count("new")

    assert (length, left) == (1000, 0)
    assert len(limit.windows) == 1


async def hang(scope, receive, send):
    await asyncio.Event().wait()


async def swallow(scope, receive, send):
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def fail(scope, receive, send):
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError as error:
        raise RuntimeError("broken by it") from error


async def read_on(scope, receive, send):
    while True:
        await receive()
        await asyncio.sleep(0)


@pytest.mark.parametrize("app", [hang, swallow, fail, read_on])
def test_a_request_that_takes_too_long_is_408(make_guard, app):
    """
    Whatever the application does when its time is over, the client hears 408 and is hung up on.
    """
    guard = make_guard(app, api_request_timeout_s=0.1)

    async def main():
        answer = await asyncio.wait_for(ask_async(guard, "GET", "/metrics"), TIME_LIMIT_S)
        # The task goes on as if it had never been cancelled.
        await asyncio.wait_for(asyncio.sleep(0), TIME_LIMIT_S)
        return answer

    answer = asyncio.run(main())

    assert (answer.status, answer.headers["connection"]) == (408, "close")
    assert answer.json()["type"] == "urn:telemetry:problem:timeout"


def test_half_an_answer_is_cut_off(make_guard):
    """
    An answer that is not finished in time ends with its connection, and never looks whole.
    """
    ended = []

    async def half(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await asyncio.Event().wait()

    guard = make_guard(half, api_request_timeout_s=0.1)

    async def with_abort(scope, receive, send):
        scope["state"]["abort"] = lambda: ended.append(True)
        await guard(scope, receive, send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    ask(with_abort, "GET", "/metrics")
    with pytest.raises(ConnectionAbortedError):
        ask(guard, "GET", "/metrics")

    assert ended == [True]


def test_whoever_else_cancels_is_heard(make_guard):
    """
    A task that the server cancels ends as such, with no answer.
    """
    guard = make_guard(hang)

    async def main():
        task = asyncio.ensure_future(ask_async(guard, "GET", "/metrics"))
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_an_error_of_the_application_passes(make_guard):
    """
    An exception in time goes on to the server, as without the guard.
    """

    async def broken(scope, receive, send):
        raise KeyError("x")

    with pytest.raises(KeyError):
        ask(make_guard(broken), "GET", "/metrics")


def answered(status, duration_ms=1.0):
    return Answered("GET", "/\ud800\0", status, duration_ms, "r", "t", "p")


def test_the_log_is_not_flooded(monkeypatch):
    """
    Failures and slow answers are warnings; of refusals so many a second, then how many more.
    """
    monkeypatch.setattr(time, "monotonic", lambda: 1.0)
    log = CapturingLogger()
    access = AccessLog(log)
    for _ in range(MAX_REFUSALS_A_SECOND + 7):
        access(answered(401))
    access(answered(200, 2000.0))
    access(answered(500))
    access(answered(200))
    levels = [call.method_name for call in log.calls]

    assert levels == ["info"] * MAX_REFUSALS_A_SECOND + ["warning", "warning", "debug"]
    assert log.calls[-3].kwargs["unwritten_count"] == 7
    assert "unwritten_count" not in log.calls[-2].kwargs
    assert log.calls[-3].kwargs["is_slow"] is True
    assert log.calls[0].kwargs["path"] == "/\ufffd\ufffd"


def test_all_is_all():
    """
    Where every request is wanted each has an entry, however many were refused.
    """
    log = CapturingLogger()
    access = AccessLog(log, is_full=True)
    for status in [200, *[401] * (MAX_REFUSALS_A_SECOND + 7), 500]:
        access(answered(status))

    levels = [call.method_name for call in log.calls]
    assert levels == ["info"] * (MAX_REFUSALS_A_SECOND + 8) + ["warning"]


def test_sockets_that_are_no_http_are_closed(make_guard):
    """
    A WebSocket is refused; the application's own start and end pass.
    """
    seen, sent = [], []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    async def send(message):
        sent.append(message["type"])

    async def main():
        for kind in ("websocket", "lifespan"):
            await make_guard(app)({"type": kind}, None, send)

    asyncio.run(main())

    assert (seen, sent) == (["lifespan"], ["websocket.close"])
