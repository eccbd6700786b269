"""
A client that keeps a server busy: some connections, each with one request after the other.

``python -m benchmarks.serving_load PORT CONNECTIONS BATCH SECONDS PATH`` prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from telemetry.model.ids import new_ids
from telemetry.model.run import Group, Kind
from telemetry.service.bodies import POSTED

_SAMPLES: dict[Kind, Any] = {
    Kind.COUNT: 12,
    Kind.FLAG: False,
    Kind.TIME: "2026-11-22T05:13:00.123456Z",
    Kind.JSON: {"pages": 3, "tokens": 4711, "cost": 0.25, "model": "large"},
    Kind.STATUS: "success",
    Kind.TRIGGER: "cli",
    Kind.COMMIT_SOURCE: "llm",
}
_LEFT_OUT = (Group.DELIVERY, Group.BOOKKEEPING)
_TEXTS = {
    "git_commit_hash": "0123456789abcdef0123456789abcdef01234567",
    "trace_id": "0123456789abcdef0123456789abcdef",
    "git_repo": "https://github.com/example/translator.git",
}


def sample(number: int) -> dict[str, Any]:
    """
    Return a run with a value in each field that an agent fills.
    """
    run = {
        name: _SAMPLES.get(column.kind, _TEXTS.get(name, f"the {name} of it"))
        for name, column in POSTED.items()
        if column.group not in _LEFT_OUT
    }
    event_id, _, _ = new_ids(time.time_ns() // 1000, "", "")
    text = f"wrote {number} pages"
    return {**run, "event_id": event_id, "run_id": f"r-{event_id}", "output_summary": text}


def requests(path: str, batch: int, count: int) -> Iterator[bytes]:
    for number in range(count):
        runs = [sample(number * batch + at) for at in range(batch)]
        body = json.dumps(runs if path.endswith("batch") else runs[0], separators=(",", ":"))
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        yield (head + body).encode()


class Connection(asyncio.Protocol):
    """
    Sends a request when the answer to the one before is whole.
    """

    def __init__(self, source: Iterator[bytes], load: Load) -> None:
        self._source = source
        self._load = load
        self._answer = b""

    def connection_made(self, transport) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, blank, body = self._answer.partition(b"\r\n\r\n")
        if not blank:
            return
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(body) < length:
            return
        self._load.latencies.append(time.perf_counter() - self._begun)
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")):
            self._load.errors.append(self._answer[:300].decode())
        self._answer = b""
        self._send()

    def _send(self) -> None:
        request = next(self._source, None)
        if request is None or time.perf_counter() > self._load.until:
            self._load.finish(self._transport)
            return
        self._begun = time.perf_counter()
        self._transport.write(request)


class Load:
    """
    All connections together.
    """

    def __init__(self, connections: int, seconds: float) -> None:
        self.latencies: list[float] = []
        self.errors: list[str] = []
        self._open = connections
        self._seconds = seconds
        self.until = 0.0

    async def run(self, port: int, source: Iterator[bytes]) -> float:
        self.done = asyncio.get_running_loop().create_future()
        begun = time.perf_counter()
        self.until = begun + self._seconds
        for _ in range(self._open):
            await asyncio.get_running_loop().create_connection(
                lambda: Connection(source, self), "127.0.0.1", port
            )
        await asyncio.wait_for(self.done, self._seconds + 60)
        return time.perf_counter() - begun

    def finish(self, transport) -> None:
        transport.close()
        self._open -= 1
        if not self._open and not self.done.done():
            self.done.set_result(None)


def main() -> None:
    port, connections, batch, seconds, count, path = sys.argv[1:]
    source = iter(list(requests(path, int(batch), int(count))))
    load = Load(int(connections), float(seconds))
    try:
        import uvloop

        loop = uvloop.new_event_loop()
    except ImportError:
        loop = asyncio.new_event_loop()
    took = loop.run_until_complete(load.run(int(port), source))
    print(
        json.dumps(
            {
                "seconds": took,
                "requests": len(load.latencies),
                "latencies": load.latencies,
                "errors": load.errors[:3],
            }
        )
    )


if __name__ == "__main__":
    main()
