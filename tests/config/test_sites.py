"""
Settings that name hosts and origins.
"""

from __future__ import annotations

import pytest

from telemetry.config import TelemetryConfig

HOSTS = "TELEMETRY_API_ALLOWED_HOSTS"
ORIGINS = "TELEMETRY_API_ALLOWED_ORIGINS"


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        (HOSTS, "telemetry,telemetry.example:8765,10.0.0.7,[::1]:80"),
        (ORIGINS, "https://ops.example,http://localhost:8501,HTTPS://Ops.Example/"),
    ],
)
def test_names_that_can_fit_are_taken(tmp_path, variable, text):
    """
    Each as it was written.
    """
    config = TelemetryConfig.from_env({variable: text}, base_dir=tmp_path)

    assert (*config.api_allowed_hosts, *config.api_allowed_origins) == tuple(text.split(","))
    assert config.problems == ()


@pytest.mark.parametrize(
    ("variable", "bad", "good"),
    [
        (HOSTS, "*", "a.example"),
        (HOSTS, "https://b.example", "a.example"),
        (HOSTS, "b.example/x", "a.example"),
        (ORIGINS, "*", "https://a.example"),
        (ORIGINS, "null", "https://a.example"),
        (ORIGINS, "b.example", "https://a.example"),
        (ORIGINS, "https://*.example", "https://a.example"),
        (ORIGINS, "https://b.example/page", "https://a.example"),
    ],
)
def test_what_can_never_fit_is_said(tmp_path, variable, bad, good):
    """
    The other names stand.
    """
    config = TelemetryConfig.from_env({variable: f"{bad},{good}"}, base_dir=tmp_path)

    assert (*config.api_allowed_hosts, *config.api_allowed_origins) == (good,)
    (problem,) = config.problems
    assert problem.startswith(variable)
    assert f"(got {bad!r})" in problem
