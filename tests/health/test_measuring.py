"""
Measuring: percentiles that are right, and baselines judged by who set them.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

import attrs
import pytest

from telemetry import TelemetryClient
from telemetry.health.baselines import BASELINES, Whose, judged
from telemetry.health.measuring import QUESTIONS, latency, measure
from telemetry.health.results import Outcome
from telemetry.model.errors import TransientSinkError


@pytest.fixture
def measured(config):
    """
    The figures of a few runs.
    """
    client = TelemetryClient(config)
    return measure(client, config.ndjson_dir, config.db_path, runs=5, seconds=20, patience_s=60)


def test_what_does_not_arrive_is_not_asked_for(config):
    """
    A database that is held by somebody else is said to be late, not to be broken.
    """
    TelemetryClient(config).close(60)
    config.db_path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(config.db_path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        client = TelemetryClient(config)
        with pytest.raises(TransientSinkError) as caught:
            measure(client, config.ndjson_dir, config.db_path, runs=1, seconds=0.1, patience_s=0.1)
        client.close(0)

    assert "must take what is recorded within 0.1 s" in str(caught.value)


def test_percentiles_are_times_that_were_taken():
    """
    By the nearest rank, in milliseconds.
    """
    found = latency([number / 1000 for number in range(100, 0, -1)])

    assert found.count == 100
    figures = (found.p50_ms, found.p95_ms, found.p99_ms, found.max_ms)
    assert figures == pytest.approx((50, 95, 99, 100))
    assert latency([0.004]).p50_ms == pytest.approx(4)


def test_each_call_and_question_is_timed(measured):
    """
    One start, event and end a run; each question of the runbook; sizes and rates.
    """
    assert measured.run_count == 5
    counts = {name: one.count for name, one in measured.calls.items()}
    assert counts == {"start": 5, "event": 5, "end": 5, "write": 15}
    assert measured.questions.keys() == QUESTIONS.keys()
    assert measured.journal_bytes_per_run > 100
    assert measured.database_bytes_per_run > 100
    assert measured.writes_per_s >= measured.stored_per_s > 0


def test_a_missed_promise_is_a_finding_and_a_missed_wish_a_warning(measured):
    """
    What users were promised counts more than what we want ourselves.
    """
    slow = attrs.evolve(
        measured,
        calls={name: latency([9.0]) for name in measured.calls},
        questions={"count": latency([9.0])},
        stored_per_s=1.0,
        exit_ms=9000.0,
    )
    fast = attrs.evolve(
        measured,
        calls={name: latency([0.000_01]) for name in measured.calls},
        questions={"count": latency([0.000_01])},
        stored_per_s=1e6,
        exit_ms=1.0,
    )

    outcomes = {result.name: result.outcome for result in judged(slow)}
    assert outcomes == {
        each.name: Outcome.WARNING if each.whose is Whose.OWN else Outcome.FINDING
        for each in BASELINES
    }
    assert {result.outcome for result in judged(fast)} == {Outcome.OK}
