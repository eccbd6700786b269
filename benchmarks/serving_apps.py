"""
What the service is measured against: an application that checks and keeps nothing, and one that
keeps everything and checks nothing.

``python -m benchmarks.serving_apps NAME FILE`` serves one on a free port, which it prints.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Any, Optional

import uvicorn
from fastapi import FastAPI
from pydantic import create_model

from telemetry.model.run import Kind
from telemetry.service.bodies import POSTED, REQUIRED

_TYPES: dict[Kind, Any] = {Kind.COUNT: int, Kind.FLAG: bool, Kind.JSON: dict[str, Any]}


def checking_app(_: str) -> Any:
    """
    Return a FastAPI application with a pydantic body of as many fields, which stores nothing.
    """
    fields: dict[str, Any] = {}
    for name, column in POSTED.items():
        kind = _TYPES.get(column.kind, str)
        fields[name] = (kind, ...) if name in REQUIRED else (Optional[kind], None)
    model = create_model("RunCreate", **fields)
    app = FastAPI()

    async def create_run(run):
        return {"status": "created", "event_id": run.event_id, "run_id": run.run_id}

    create_run.__annotations__ = {"run": model}
    app.post("/api/v1/runs", status_code=201)(create_run)
    return app


def keeping_app(path: str) -> Any:
    """
    Return a bare ASGI application that appends each body to a file.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    start = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"2")],
    }
    end = {"type": "http.response.body", "body": b"{}"}

    async def app(scope, receive, send):
        parts = []
        while True:
            message = await receive()
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                break
        os.write(fd, b"".join(parts))
        await send(start)
        await send(end)

    return app


APPS = {"checking": checking_app, "keeping": keeping_app}


def main() -> None:
    name, path = sys.argv[1:]
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        APPS[name](path), access_log=False, log_config=None, lifespan="off", ws="none"
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
