"""
What the tests of the runtime stand on: a real journal, sinks that do as they are told, child processes.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import telemetry
from telemetry.config import TelemetryConfig
from telemetry.model.codec import encode_line
from telemetry.model.ids import new_writer
from telemetry.runtime import notices
from telemetry.runtime.followers import Followers
from telemetry_plugins.ndjson import NdjsonJournal

WAIT_S = 60.0


class Collector:
    """
    A sink that keeps what it is given, and fails as often as it is told.
    """

    def __init__(self, name="collector", fails=lambda batch: None):
        self.name = name
        self.fails = fails
        self.lock = threading.Lock()
        self.batches = []
        self.attempt_count = 0
        self.close_count = 0

    def write(self, batch, cursor, /):
        self.attempt_count += 1
        self.fails(batch)
        with self.lock:
            self.batches.append((tuple(batch), cursor))

    def close(self):
        self.close_count += 1

    @property
    def ids(self):
        with self.lock:
            return [record.id for batch, _ in self.batches for record in batch]


class Station:
    """
    One process at work in one base directory.
    """

    def __init__(self, base_dir, **settings):
        self.config = TelemetryConfig.from_env({}, base_dir=base_dir, **settings)
        self.journal = NdjsonJournal(self.config.ndjson_dir)
        self.writer = new_writer()
        self.numbers = itertools.count(1)
        self.opened = []

    def follow(self, *sinks, **options):
        followers = Followers(sinks, self.journal, self.config, **options)
        self.opened.append(followers)
        return followers

    def line(self, **payload):
        return encode_line(
            "event",
            id=f"{self.writer}-{next(self.numbers)}",
            timestamp="2026-11-22T00:42:17.123456Z",
            event_id="e",
            run_id="r",
            event_type="step",
            payload=repr(payload.get("value", 1)).encode(),
        )

    def log(self, count=1, followers=None):
        ids = []
        for _ in range(count):
            line = self.line()
            assert self.journal.append(line, int(time.time()))
            ids.append(line.split(b'"id":"', 1)[1].split(b'"', 1)[0].decode())
            if followers is not None:
                followers.ring()
        return ids

    def dead(self, sink):
        return self.config.state_dir / "dead" / f"{sink}.ndjson"

    def close(self):
        for followers in self.opened:
            followers.close(0.5)
        self.journal.close()


@pytest.fixture
def stations(tmp_path):
    """
    Make stations in one base directory; close them at the end.
    """
    made = []

    def make(**settings):
        made.append(Station(tmp_path, **settings))
        return made[-1]

    yield make
    for station in made:
        station.close()


@pytest.fixture
def station(stations):
    return stations()


@pytest.fixture
def collector():
    return Collector


@pytest.fixture
def eventually():
    """
    Wait until something holds, for a limited time.
    """

    def wait(holds, timeout_s=WAIT_S):
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < deadline, "it never came to hold"
            time.sleep(0.002)
        return True

    return wait


@pytest.fixture
def said():
    """
    Collect what the library says, instead of writing it to stderr.
    """
    import logging

    class Keeper(logging.Handler):
        def __init__(self):
            super().__init__()
            self.messages = []

        def emit(self, record):
            self.messages.append((record.levelname, record.getMessage()))

        def about(self, part):
            return [message for _, message in self.messages if part in message]

    keeper = Keeper()
    before = notices.logger.level
    notices.forget()
    notices.logger.addHandler(keeper)
    notices.set_level("DEBUG")
    yield keeper
    notices.logger.removeHandler(keeper)
    notices.logger.setLevel(before)
    notices.forget()


@pytest.fixture
def child_environ():
    """
    Variables under which a child process finds the library that is tested, and nothing of the user's.
    """
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TELEMETRY_", "AGENT_", "METRICS_", "COV_"))
    }
    environ["PYTHONPATH"] = str(Path(telemetry.__file__).parents[1])
    return environ


@pytest.fixture
def child(child_environ, tmp_path):
    """
    Start Python children; kill those that are left at the end.
    """
    started = []

    def start(code, *args):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=child_environ,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
