"""
Runs in code that recurses until the stack is full: what has no room to end, ends a little later.
"""

from __future__ import annotations

import inspect
import sqlite3
import sys
from collections import Counter
from contextlib import closing

import pytest

from telemetry import TelemetryClient, current_run, tracked_run

#: So many calls from the stack's limit on, a run is tried at each depth.
DEPTHS = 80


@pytest.fixture
def client(tmp_path):
    """
    Return a client that has recorded: what only a first record does is done.
    """
    client = TelemetryClient(base_dir=tmp_path)
    with client.track_run("first", "job"):
        pass
    client.flush(60)
    yield client
    client.close()


@pytest.fixture(autouse=True)
def limit():
    """
    Make the stack small, for fewer runs to fit.
    """
    usual = sys.getrecursionlimit()
    depth = len(inspect.stack(0))
    sys.setrecursionlimit(depth + 400)
    yield depth + 400
    sys.setrecursionlimit(usual)


def statuses(client):
    """
    Return how many runs of each agent have which status.
    """
    assert client.flush(60)
    with closing(sqlite3.connect(client.config.db_path)) as connection:
        rows = connection.execute("SELECT agent_name, status FROM agent_runs").fetchall()
    return Counter(rows)


def at_depth(depth, work):
    """
    Call something so many calls further down.
    """
    if depth:
        at_depth(depth - 1, work)
    else:
        work()


def test_runs_without_room_to_end_fail_with_the_others(client):
    """
    A full stack ends every run in it as failed, also those that had no room for a call of ours.
    """

    @tracked_run("decorated", "job", client=client)
    def decorated():
        decorated()

    def in_block():
        with client.track_run("block", "job"):
            in_block()

    for deep in (decorated, in_block):
        with pytest.raises(RecursionError):
            deep()

    counts = statuses(client)
    assert {status for agent, status in counts if agent != "first"} == {"failed"}
    assert counts["decorated", "failed"] > 1
    assert counts["block", "failed"] > 1
    assert not current_run()


def test_a_block_that_was_entered_is_left_without_an_error(client, limit):
    """
    Near the limit a run may have room to start and none to end: the block never feels it.
    """
    left = []

    def leaf():
        with client.track_run("leaf", "job"):
            left.append("entered")
        left.append("left")

    for depth in range(limit - DEPTHS, limit):
        try:
            at_depth(depth, leaf)
        except RecursionError:
            assert left[-1] == "left", "it was entered, and an error came out of its end"
    with client.track_run("last", "job"):
        pass

    counts = statuses(client)
    assert counts["leaf", "success"] == left.count("left") > 1
    assert counts["leaf", "running"] == 0
    assert not current_run()
