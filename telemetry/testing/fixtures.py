"""
The fixtures that pytest finds wherever telemetry is installed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from telemetry.client import TelemetryClient
    from telemetry.testing.captured import CapturedRuns

#: The plugins that a test gets unless it asks for others: nothing that leaves its directory.
ISOLATED_PLUGINS = "ndjson,sqlite"
FLUSH_TIMEOUT_S = 10.0
_PREFIXES = ("TELEMETRY_", "METRICS_API_")
_OTHERS = frozenset({"AGENT_METRICS_DIR", "AGENT_OWNER", "LOG_LEVEL", "TRACEPARENT"})


@pytest.fixture
def telemetry_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """
    Provide a base directory of this test's own, and no other setting of telemetry.

    Decorated functions and clients made without arguments record there, followed by the bundled
    sinks alone; set TELEMETRY_PLUGINS for others. Child processes inherit all of it.
    """
    from telemetry import client as clients

    for name in list(os.environ):
        if name.startswith(_PREFIXES) or name in _OTHERS:
            monkeypatch.delenv(name)
    base = tmp_path / "telemetry"
    monkeypatch.setenv("TELEMETRY_BASE_DIR", str(base))
    monkeypatch.setenv("TELEMETRY_PLUGINS", ISOLATED_PLUGINS)
    monkeypatch.setattr(clients, "_default", None)
    yield base
    made = clients._default  # noqa: SLF001 (what the test recorded by itself ends with it)
    if made is not None:
        _finish(made)


@pytest.fixture
def make_telemetry_client(
    telemetry_base: Path,
) -> Iterator[Callable[..., TelemetryClient]]:
    """
    Provide a function that makes isolated clients: ``make(plugins=[...], **settings)``.

    Each is flushed and closed when the test ends.
    """
    from telemetry.client import TelemetryClient
    from telemetry.config import TelemetryConfig

    made: list[TelemetryClient] = []

    def make(*, plugins: Sequence[object] = (), **settings: Any) -> TelemetryClient:
        config = TelemetryConfig.from_env(**settings)
        client = TelemetryClient(config, plugins=plugins)
        made.append(client)
        return client

    yield make
    for client in made:
        _finish(client)


@pytest.fixture
def telemetry_client(
    make_telemetry_client: Callable[..., TelemetryClient], monkeypatch: pytest.MonkeyPatch
) -> TelemetryClient:
    """
    Provide a client that records into this test's base directory, also for decorated functions.
    """
    from telemetry import client as clients

    client = make_telemetry_client()
    monkeypatch.setattr(clients, "_default", client)
    return client


@pytest.fixture
def captured_runs(telemetry_client: TelemetryClient) -> CapturedRuns:
    """
    Provide what this test has recorded so far: ``captured_runs.only().status``.
    """
    from telemetry.testing.captured import CapturedRuns

    return CapturedRuns(telemetry_client.config)


def _finish(client: TelemetryClient) -> None:
    """
    Deliver what a test recorded, and release its threads and files.
    """
    client.close(FLUSH_TIMEOUT_S)
