"""
What shipping to a service costs: behind the journal, and on the caller's thread.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.harness import Row, in_turn, repeated
from telemetry import TelemetryClient, TelemetryConfig

EVENTS_A_RUN = 10
PAYLOAD = {"step": 3, "input": "data.csv"}
#: Everything but the journal and what is measured.
OTHERS = "sqlite,git_linker"

#: Takes whatever comes and says how many lines it was: the other end costs next to nothing.
SERVER = """
import socket, sys

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
lines = 0
while True:
    connection, _ = listener.accept()
    while True:
        data = b""
        while b"\\r\\n\\r\\n" not in data:
            piece = connection.recv(1 << 20)
            if not piece:
                break
            data += piece
        if not data:
            break
        head, _, body = data.partition(b"\\r\\n\\r\\n")
        length = 0
        for line in head.lower().split(b"\\r\\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        count, size = body.count(b"\\n"), len(body)
        while size < length:
            piece = connection.recv(1 << 20)
            count, size = count + piece.count(b"\\n"), size + len(piece)
        lines += count
        answer = b'{"stored":%d,"duplicates":0,"refused":[],"total":%d}' % (count, lines)
        connection.sendall(
            b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(answer), answer)
        )
"""


@contextmanager
def _server() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.communicate()


def _config(base: str, url: str = "", **variables: str) -> TelemetryConfig:
    environ = {"TELEMETRY_BASE_DIR": base, "TELEMETRY_PLUGINS_DISABLED": OTHERS, **variables}
    if url:
        environ["TELEMETRY_API_URL"] = url
    return TelemetryConfig.from_env(environ)


def _record(client: TelemetryClient, runs: int) -> None:
    for _ in range(runs):
        with client.track_run("agent", "job") as run:
            for step in range(EVENTS_A_RUN):
                run.log_event("checkpoint", {"step": step, "input": "data.csv"})


def _cpu_of_shipping(url: str, runs: int) -> float:
    """
    Return microseconds of this process's CPU a record, from the journal to the answer.
    """
    with tempfile.TemporaryDirectory() as base:
        writer = TelemetryClient(_config(base, TELEMETRY_DRAIN="external"))
        _record(writer, runs)
        writer.close()
        client = TelemetryClient(_config(base, url))
        begun = time.process_time()
        if not client.catch_up(300):
            raise RuntimeError("each record must be shipped")
        used = time.process_time() - begun
        client.close()
    return used / (runs * (EVENTS_A_RUN + 2)) * 1e6


def _on_the_caller(url: str, *, rounds: int, calls: int) -> float:
    """
    Return the time of an event with the sink, by that without.
    """
    with tempfile.TemporaryDirectory() as plain, tempfile.TemporaryDirectory() as shipping:
        clients = {
            "without": TelemetryClient(_config(plain)),
            "with": TelemetryClient(_config(shipping, url)),
        }
        runs = {name: client.start_run("agent", "job") for name, client in clients.items()}
        blocks = {
            name: repeated(lambda c=client, r=runs[name]: c.log_event(r, "checkpoint", PAYLOAD))
            for name, client in clients.items()
        }
        times = in_turn(
            blocks,
            rounds=rounds,
            calls=dict.fromkeys(blocks, calls),
            settle=lambda: [client.flush(60) for client in clients.values()],
        )
        for client in clients.values():
            client.close(60)
    return times.ratio("with", "without")


def measure(*, quick: bool) -> list[Row]:
    """
    Measure what shipping costs.
    """
    runs, rounds = (1000, 3) if quick else (5000, 7)
    with _server() as url:
        _cpu_of_shipping(url, 100)  # imports the HTTP library
        costs = [_cpu_of_shipping(url, runs) for _ in range(rounds)]
        ratio = _on_the_caller(url, rounds=rounds * 3, calls=1000 if quick else 4000)
    return [
        Row(
            what="CPU of shipping a record in batches, journal to answer",
            value=statistics.median(costs),
            target=5,
            unit="us",
        ),
        Row(what="log_event with the sink / without", value=ratio, target=1.1),
    ]
