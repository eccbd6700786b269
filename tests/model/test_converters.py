from __future__ import annotations

import subprocess
import sys

import pytest
from examples import share_of
from hypothesis import HealthCheck, given, settings
from strategies import plain_runs, run_of, runs

from telemetry.model.converters import run_to_plain
from telemetry.model.values import run_from_row, to_row

quick = settings(
    max_examples=share_of(60), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@quick
@given(plain_runs)
def test_plain_data_survives(plain):
    """
    A run gives the plain data again that tell of it.
    """
    assert run_to_plain(run_of(plain)) == plain


@quick
@given(runs)
def test_a_row_and_plain_data_tell_of_one_run(run):
    """
    However a run is read, it is the same.
    """
    assert run_from_row(to_row(run)) == run_of(run_to_plain(run)) == run


@pytest.mark.parametrize("text", ["{broken", "", "\ud800", "[" * 100_000])
def test_a_json_column_that_is_none_is_its_text(text):
    """
    A row that another program wrote is read all the same.
    """
    row = {"event_id": "e", "run_id": "r", "agent_name": "a", "job_type": "j"}

    assert run_from_row({**row, "metrics_json": text, "no_column": 1}).metrics_json == text


def test_a_writer_does_not_pay_for_readers():
    """
    Folding and recording import no converter.
    """
    program = (
        "import sys, telemetry.model.fold, telemetry.model.codec, telemetry.model.values;"
        "print([name for name in ('cattrs', 'difflib') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"
