"""
One real service for all tests of a process, and a client for it.
"""

from __future__ import annotations

import itertools

import httpx
import pytest
from servers import Server

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """
    A service that every test shares: leave it as you found it.
    """
    with Server(tmp_path_factory.mktemp("service") / "base") as found:
        yield found


@pytest.fixture
def own_server(tmp_path):
    """
    A service of this test alone, to be stopped, killed and started again.
    """
    with Server(tmp_path / "base") as found:
        yield found


@pytest.fixture(scope="session")
def api(server):
    """
    A client of the shared service.
    """
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


@pytest.fixture
def run():
    """
    A new run as a client hands it over; each has its own agent.
    """
    return new_run()


@pytest.fixture
def new():
    """
    Make as many new runs as a test wants.
    """
    return new_run


def new_run(**fields):
    number = next(_numbers)
    return {
        "event_id": f"e-{number}-{id(fields):x}",
        "run_id": f"r-{number}",
        "agent_name": f"agent-{number}",
        "job_type": "job",
        "start_time": "2026-11-22T05:13:00.5+01:00",
        **fields,
    }
