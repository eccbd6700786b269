"""
What the service answers when it does not do what it was asked.
"""

from __future__ import annotations

import json
import socket

import pytest

RUNS = "/api/v1/runs"
MEMBERS = ("field", "rule", "value", "way_out")


@pytest.mark.parametrize(
    ("method", "path", "request_", "status", "field"),
    [
        ("GET", "/api/v2/runs", {}, 404, "path"),
        ("GET", f"{RUNS}/", {}, 404, "path"),
        ("GET", f"{RUNS}/nobody", {}, 404, "event_id"),
        ("GET", "/api/v1/stats/nothing", {}, 404, "name"),
        ("PUT", RUNS, {"json": {}}, 405, "method"),
        ("GET", f"{RUNS}?status=done", {}, 400, "status"),
        ("PATCH", f"{RUNS}/nobody", {"json": {}}, 400, "body"),
        ("POST", RUNS, {"json": []}, 422, "body"),
        ("POST", RUNS, {"content": b" " * (2 << 20)}, 413, "body"),
        ("POST", RUNS, {"content": b"x", "headers": {"Content-Encoding": "gzip"}}, 400, "body"),
        ("POST", RUNS, {"headers": {"Content-Encoding": "br"}}, 415, "Content-Encoding"),
        ("POST", RUNS, {"headers": {"Content-Type": "text/plain"}}, 415, "Content-Type"),
        ("POST", RUNS, {"json": {}, "headers": {"Origin": "http://evil"}}, 403, "Origin"),
        ("GET", RUNS, {"headers": {"Host": "evil"}}, 403, "Host"),
        ("GET", f"{RUNS}?a={'x' * 20_000}", {}, 414, "query"),
        ("GET", RUNS, {"headers": [("X", "y")] * 101}, 431, "headers"),
        ("POST", "/api/v1/records", {"content": b"\n" * 50_001}, 413, "body"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_each_refusal_names_what_and_the_way_out(api, method, path, request_, status, field):
    """
    A problem names the field, the rule, the value and the way out, beside FastAPI's detail.
    """
    answer = api.request(method, path, **request_)
    problem = answer.json()

    assert (answer.status_code, problem["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["errors"][0]["field"] == field
    assert all(error[member] for error in problem["errors"] for member in MEMBERS)


def test_what_is_no_http_is_refused_in_the_same_form(server):
    """
    Also where no request is there, the answer is a problem with a request id.
    """
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as client:
        client.sendall(b"HELLO\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    problem = json.loads(answer.partition(b"\r\n\r\n")[2])

    assert (problem["status"], problem["errors"][0]["field"]) == (400, "head")
    assert problem["request_id"].encode() in answer.partition(b"\r\n\r\n")[0]
