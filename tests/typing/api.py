"""
The public names as a user's type checker sees them; checked by mypy and pyright, never run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator
from datetime import datetime, timezone
from typing import Any, Callable, Optional, Union

from typing_extensions import assert_type

from telemetry import (
    Run,
    RunContext,
    Status,
    TelemetryClient,
    TelemetryConfig,
    current_run,
    in_context,
    tracked_run,
)
from telemetry.api import (
    AsyncTelemetryAPI,
    BatchResult,
    CreateResult,
    EditResult,
    Page,
    RateLimitedError,
    RecordsResult,
    RunEvent,
    StoredRun,
    TelemetryAPI,
)
from telemetry.helpers import CleanupResult, cleanup_on_startup, cleanup_stale_runs
from telemetry.tracking import NoRun


@tracked_run
def bare(number: int, text: str = "") -> list[str]:
    return [text] * number


@tracked_run("agent", "job", "scheduler", product="shop")
def named(number: int) -> Optional[str]:
    return None if number else ""


@tracked_run()
async def coroutine(number: int) -> float:
    return float(number)


@tracked_run("agent")
def generator(number: int) -> Iterator[int]:
    yield number


@tracked_run
async def async_generator(number: int) -> AsyncIterator[int]:
    yield number


class Agent:
    @tracked_run
    def method(self, number: int) -> int:
        return number

    @classmethod
    @tracked_run("agent", "class")
    def of_class(cls, number: int) -> int:
        return number

    @staticmethod
    @tracked_run
    def static(number: int) -> int:
        return number


assert_type(bare(1, text="x"), list[str])
assert_type(named(1), Optional[str])
assert_type(generator(1), Iterator[int])
assert_type(async_generator(1), AsyncIterator[int])
assert_type(Agent().method(1), int)
assert_type(Agent.of_class(1), int)
assert_type(Agent.static(1), int)
awaited: Awaitable[float] = coroutine(1)
bound: Callable[[int], Optional[str]] = in_context(named)

client = TelemetryClient()
assert_type(TelemetryClient.from_env(), TelemetryClient)
assert_type(TelemetryClient(TelemetryConfig.from_env(), base_dir="x"), TelemetryClient)
assert_type(client.start_run("agent", "job", "cli", items_discovered=1), str)
assert_type(client.associate_commit("run", "a1b2c3d", "llm"), tuple[bool, str])
assert_type(client.flush(1.0), bool)
assert_type(current_run(), Union[RunContext, NoRun])
with client.track_run("agent", "job") as run:
    assert_type(run, RunContext)
    assert_type(run.run_id, str)
    run.log_event("start", {"input": "data.csv"})
    run.set_metrics(items_discovered=1)
    run.update_metrics(items_failed=0)


def read(run: Run) -> Status:
    return run.status


async def entered() -> None:
    async with client.track_run("agent", "job") as inner:
        assert_type(inner, RunContext)


def ask(moment: datetime) -> None:
    with TelemetryAPI("http://localhost:8765", "token", timeout_s=5.0) as api:
        assert_type(api, TelemetryAPI)
        assert_type(api.create_run({"event_id": "e"}), CreateResult)
        assert_type(api.create_runs(iter([{"event_id": "e"}])), BatchResult)
        found = api.runs(limit=10, status=["failed", Status.TIMEOUT], created_before=moment)
        assert_type(found, Iterator[StoredRun])
        assert_type(api.page(cursor=None, agent_name="a"), Page)
        one: Run = api.run("e")
        assert_type(api.run("e").etag, Optional[str])
        edit = api.update_run("e", {"status": Status.FAILED, "end_time": None}, if_match="x")
        assert_type(edit, EditResult)
        assert_type(api.events("e"), Iterator[RunEvent])
        assert_type(api.stats("summary"), dict[str, Any])
        assert_type(api.commit_url(one.event_id), Optional[str])
        assert_type(api.send_records([b"line"]), RecordsResult)
    try:
        TelemetryAPI().health()
    except RateLimitedError as error:
        assert_type(error.retry_after_s, Optional[float])


async def ask_later() -> None:
    async with AsyncTelemetryAPI() as api:
        assert_type(await api.create_run({"event_id": "e"}), CreateResult)
        assert_type(await api.run("e"), StoredRun)
        assert_type(api.runs(agent_name="a"), AsyncIterator[StoredRun])
        async for found in api.runs(start_time_from=datetime.now(timezone.utc)):
            assert_type(found, StoredRun)
        async for event in api.events("e"):
            assert_type(event, RunEvent)


assert_type(cleanup_stale_runs("http://localhost:8765", "agent", 2), CleanupResult)
assert_type(cleanup_on_startup("http://localhost:8765", "agent"), bool)
