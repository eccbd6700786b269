"""
What a call costs on the agent's own thread, with everything on by default.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import eliot
import orjson
import structlog

from benchmarks.harness import Block, Row, in_turn, repeated
from telemetry import TelemetryClient, tracked_run

PAYLOAD = {"step": 3, "input": "data.csv"}
EVENTS_A_RUN = 10


@contextmanager
def scene() -> Iterator[tuple[dict[str, Block], TelemetryClient]]:
    """
    Make every candidate, all writing below one directory.
    """
    with tempfile.TemporaryDirectory() as base:
        floor = os.open(Path(base, "floor"), os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        client = TelemetryClient(base_dir=base)
        eliot_file = Path(base, "eliot").open("ab")
        destination = eliot.FileDestination(file=eliot_file)
        eliot.add_destinations(destination)
        structlog_file = Path(base, "structlog").open("ab")
        try:
            with eliot.start_action(action_type="outer") as action:
                with client.track_run("benchmark", "events") as run:
                    blocks = {
                        **_floor(floor, _written_by(client, run)),
                        **_telemetry(client, run),
                        **_eliot(action),
                        **_structlog(structlog_file),
                    }
                    yield blocks, client
        finally:
            eliot.remove_destination(destination)
            client.close(60)
            eliot_file.close()
            structlog_file.close()
            os.close(floor)


def _written_by(client: TelemetryClient, run) -> bytes:
    """
    Return the line that one event writes.
    """
    run.log_event("checkpoint", PAYLOAD)
    newest = max(client.config.ndjson_dir.glob("events_*.ndjson"))
    return newest.read_bytes().splitlines(keepends=True)[-1]


def _floor(descriptor: int, line: bytes) -> dict[str, Block]:
    return {"write": repeated(lambda: os.write(descriptor, line))}


def _telemetry(client: TelemetryClient, run) -> dict[str, Block]:
    def whole() -> None:
        with client.track_run("agent", "job") as ctx:
            for step in range(EVENTS_A_RUN):
                ctx.log_event("checkpoint", {"step": step, "input": "data.csv"})
            ctx.set_metrics(items_discovered=10, items_succeeded=9, items_failed=1)

    @tracked_run("agent", "job", client=client)
    def decorated() -> None:
        pass

    return {
        "event": repeated(lambda: run.log_event("checkpoint", PAYLOAD)),
        "start_end": repeated(lambda: client.end_run(client.start_run("agent", "job"))),
        "run": repeated(whole),
        "decorated": repeated(decorated),
    }


def _eliot(action) -> dict[str, Block]:
    def start_end() -> None:
        with eliot.start_action(action_type="job"):
            pass

    @eliot.log_call
    def decorated() -> None:
        pass

    return {
        "eliot event": repeated(lambda: action.log("checkpoint", step=3, input="data.csv")),
        "eliot start_end": repeated(start_end),
        "eliot decorated": repeated(decorated),
    }


def _structlog(file: io.BufferedWriter) -> dict[str, Block]:
    """
    The same lines through structlog with orjson, as its documentation shows for speed.
    """
    logger = structlog.wrap_logger(
        structlog.BytesLogger(file),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        cache_logger_on_first_use=True,
    )

    def whole() -> None:
        bound = logger.bind(run_id="20261122T004217Z-agent-0a1b2c3d", agent="agent", job="job")
        bound.info("started", status="running")
        for step in range(EVENTS_A_RUN):
            bound.info("checkpoint", step=step, input="data.csv")
        bound.info("updated", items_discovered=10, items_succeeded=9, items_failed=1)
        bound.info(
            "ended", status="success", items_discovered=10, items_succeeded=9, items_failed=1
        )

    return {"structlog run": repeated(whole)}


def _settle(client: TelemetryClient) -> None:
    """
    Wait for the followers, and once more: observers record what they find out about ended runs.
    """
    client.flush(60)
    client.flush(60)


def measure(*, quick: bool) -> list[Row]:
    """
    Measure every claim about the caller's thread.
    """
    rounds, base = (7 if quick else 25), 4000
    share = {"event": 1, "write": 1, "eliot event": 1, "run": 20, "structlog run": 20}
    with scene() as (blocks, client):
        calls = {name: base // share.get(name, 4) for name in blocks}
        times = in_turn(blocks, rounds=rounds, calls=calls, settle=lambda: _settle(client))
    return [
        Row(
            what="log_event / os.write of the same bytes",
            value=times.ratio("event", "write"),
            target=6,
        ),
        Row(
            what="log_event / eliot's message", value=times.ratio("event", "eliot event"), target=1
        ),
        Row(
            what="start_run + end_run / eliot's action",
            value=times.ratio("start_end", "eliot start_end"),
            target=1,
        ),
        Row(
            what="run of 10 events / structlog with orjson",
            value=times.ratio("run", "structlog run"),
            target=0.6,
        ),
        Row(
            what="decorated call / eliot's log_call",
            value=times.ratio("decorated", "eliot decorated"),
            target=0.5,
        ),
    ]
