"""
What the application makes of errors.
"""

from __future__ import annotations

from pathlib import Path

import httpx

from telemetry.config import TelemetryConfig
from telemetry.service.app import Resource, create_app
from telemetry.storage.ddl import LOOKED_UP
from telemetry.storage.queries import SlowQueryError

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "http-api.md"


def test_a_slow_question_names_the_columns_that_are_looked_up(tmp_path):
    """
    The way out is in the answer, and in the documentation; the store's own words are not.
    """
    service = create_app(TelemetryConfig.from_env({}, base_dir=tmp_path / "base")).state.service
    try:
        problem = Resource(service, {})._problem(SlowQueryError("SELECT"))
    finally:
        service.close(10)
    told = DOCS.read_text(encoding="utf-8").partition("Looked up in an index are")[2]

    assert (problem.status, problem.slug, "retry-after") == (
        503,
        "query-too-slow",
        *[name.lower() for name in problem.headers],
    )
    assert "SELECT" not in problem.detail
    for name in LOOKED_UP:
        assert name in problem.detail
        assert f"`{name}`" in told.partition("\n\n")[0]


def test_a_run_may_be_called_as_a_path_is(own_server, new):
    """
    An id that is also the last word of another path is no less an id.
    """
    with httpx.Client(base_url=f"{own_server.url}/api/v1/runs/", timeout=60) as api:
        created = api.post("../runs", json=new(event_id="batch"))
        edited = api.patch("batch", json={"status": "failed"})
        found = api.get("batch")
        wrong = api.put("batch", json={})
        deleted = api.delete("batch")

    assert (created.status_code, edited.status_code, deleted.status_code) == (201, 200, 200)
    assert (found.json()["event_id"], found.json()["status"]) == ("batch", "failed")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
