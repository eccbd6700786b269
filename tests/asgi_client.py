"""
Asks an ASGI application in this process, without a server in between.
"""

from __future__ import annotations

import asyncio
import json
from typing import NamedTuple

HOST = (b"host", b"localhost:8765")
PEER = ("127.0.0.1", 50_000)


class Answer(NamedTuple):
    """
    What was answered; headers that are there more than once are joined.
    """

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self):
        return json.loads(self.body)


def header(name, value):
    encode = (lambda text: text.encode("latin-1")) if isinstance(value, str) else bytes
    return name.lower().replace("_", "-").encode(), encode(value)


def scope_of(method, target, headers, peer=PEER):
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": peer,
        "server": ("127.0.0.1", 8765),
        "state": {},
    }


async def ask_async(app, method, target, headers=(), parts=(), peer=PEER, **named):
    """
    Return the answer to one request; ``parts`` of a body arrive one by one.
    """
    given = [*headers, *(header(name, value) for name, value in named.items())]
    if not any(name == b"host" for name, _ in given):
        given.insert(0, HOST)
    waiting = [
        {"type": "http.request", "body": part, "more_body": i < len(parts) - 1}
        for i, part in enumerate(parts)
    ] or [{"type": "http.request", "body": b"", "more_body": False}]
    sent = []

    async def receive():
        await asyncio.sleep(0)
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await app(scope_of(method, target, given, peer), receive, send)
    start, *bodies = sent
    assert start["type"] == "http.response.start"
    assert [body.get("more_body", False) for body in bodies] == [True] * (len(bodies) - 1) + [False]
    joined: dict[str, str] = {}
    for name, value in start["headers"]:
        key, text = name.decode(), value.decode("latin-1")
        joined[key] = f"{joined[key]}, {text}" if key in joined else text
    return Answer(start["status"], joined, b"".join(body["body"] for body in bodies))


def ask(app, method, target, headers=(), parts=(), peer=PEER, **named):
    """
    Return the answer to one request, in an event loop of its own.
    """
    return asyncio.run(ask_async(app, method, target, headers, parts, peer, **named))


async def echo(scope, receive, send):
    """
    An application that answers with what it was sent, and who it is told asks.
    """
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    principal = scope["state"]["principal"]
    document = {
        "method": scope["method"],
        "path": scope["path"],
        "length": len(body),
        "start": body[:20].decode("latin-1"),
        "token_id": principal.token_id,
        "scopes": sorted(principal.scopes),
        "request_id": scope["state"]["request_id"],
    }
    content = json.dumps(document).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})
