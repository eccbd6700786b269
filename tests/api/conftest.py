"""
Clients against a real HTTP server in a thread, which answers what each test tells it to.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re

import pytest
from werkzeug import Response

from telemetry.api import AsyncTelemetryAPI, TelemetryAPI

BASE_ID = {"Telemetry-Base": "0" * 32}


class Awaited:
    """
    The asynchronous client, called as if it waited: each call on a loop of its own.
    """

    def __init__(self, *args, **options):
        self._made_with = args, options

    def __getattr__(self, name):
        def call(*args, **options):
            return asyncio.run(self._call(name, args, options))

        return call

    async def _call(self, name, args, options):
        made, more = self._made_with
        async with AsyncTelemetryAPI(*made, **more) as api:
            found = getattr(api, name)(*args, **options)
            if inspect.isasyncgen(found):
                return [each async for each in found]
            return await found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture(params=[TelemetryAPI, Awaited], ids=["sync", "async"])
def kind(request):
    """
    Either client, by its class.
    """
    return request.param


@pytest.fixture
def quick(monkeypatch):
    """
    Make the pauses between tries short.
    """
    monkeypatch.setattr("telemetry.api.attempts.FIRST_WAIT_S", 0.001)


@pytest.fixture
def api(kind, httpserver, service, quick):
    """
    A client of the test's server.
    """
    with kind(httpserver.url_for(""), "a-token") as client:
        yield client


class Script:
    """
    What the server says, answer after answer; the last one again and again.
    """

    def __init__(self, httpserver):
        self.answers = []
        self.seen = []
        httpserver.expect_request(re.compile("")).respond_with_handler(self._next)

    def say(self, document=None, status=200, **headers):
        """
        Add an answer, as the service gives it.
        """
        body = b"" if document is None else json.dumps(document).encode()
        kind = "application/problem+json" if status >= 400 else "application/json"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append((body, status, {"Content-Type": kind, **BASE_ID, **named}))
        return self

    def say_raw(self, body, status=200, **headers):
        """
        Add an answer of something that is not the service.
        """
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append((body, status, named))
        return self

    def problem(self, status, detail="no", **members):
        """
        Add a problem; headers under ``headers``.
        """
        headers = members.pop("headers", {})
        slug = members.pop("slug", "some-problem")
        document = {
            "type": f"urn:telemetry:problem:{slug}",
            "title": "Some problem",
            "status": status,
            "detail": detail,
            "request_id": "q1",
            **members,
        }
        return self.say(document, status, **headers)

    def bodies(self):
        """
        Return the documents that were sent.
        """
        return [json.loads(request.get_data()) for request in self.seen]

    def _next(self, request):
        request.get_data()
        self.seen.append(request)
        body, status, headers = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return Response(body, status, headers)


@pytest.fixture
def service(httpserver):
    """
    A server that answers as the test tells it, and remembers what it was asked.
    """
    return Script(httpserver)


@pytest.fixture
def a_run():
    """
    Return runs as the service shows them.
    """
    return _run


def _run(**fields):
    """
    Return a run as the service shows it, as far as a test needs one.
    """
    return {
        "event_id": "e1",
        "run_id": "r1",
        "agent_name": "agent",
        "job_type": "job",
        "status": "success",
        "start_time": "2026-11-22T05:13:00.000000Z",
        "end_time": None,
        "items_failed": 0,
        "metrics_json": {"pages": 3},
        "api_posted": False,
        "commit_url": None,
        "repo_url": "https://github.com/a/b",
        "a_field_of_tomorrow": 1,
        **fields,
    }
