"""
What the application makes of errors.
"""

from __future__ import annotations

from pathlib import Path

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
