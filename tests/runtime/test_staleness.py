from __future__ import annotations

import platform
from datetime import datetime, timedelta, timezone

import pytest

from telemetry import TelemetryConfig
from telemetry.model.values import time_text
from telemetry.runtime.staleness import Examiner, Finding

HOUR = timedelta(hours=1)


def row(*, silent=timedelta(hours=2), **fields):
    said = time_text(datetime.now(timezone.utc) - silent)
    return {
        "event_id": "key",
        "run_id": "run",
        "host": platform.node(),
        "owner": "00000000000000aa",
        "pid": 7,
        "start_time": said,
        "updated_at": said,
        **fields,
    }


@pytest.fixture
def examine(tmp_path):
    config = TelemetryConfig(base_dir=tmp_path)

    def examine(*rows, older_than=HOUR):
        return Examiner(config, older_than).stale(rows)

    return examine


@pytest.mark.parametrize(
    ("fields", "finding", "words"),
    [
        ({}, Finding.DEAD, "process 7 on"),
        ({"silent": timedelta(0)}, Finding.DEAD, "seconds ago"),
        ({"host": "elsewhere"}, Finding.SILENT, "cannot be seen from here"),
        ({"host": None}, Finding.SILENT, "an unknown host"),
        ({"owner": None}, Finding.SILENT, "recorded from elsewhere"),
        ({"owner": "no hex"}, Finding.SILENT, "cannot be seen"),
        ({"host": "elsewhere", "silent": timedelta(days=3)}, Finding.SILENT, "3.0 days ago"),
        ({"host": "elsewhere", "pid": None}, Finding.SILENT, "process unknown"),
    ],
)
def test_each_finding_has_its_evidence(examine, fields, finding, words):
    """
    The lock tells the dead of this host, silence those of others; the evidence says which.
    """
    (found,) = examine(row(**fields))

    assert found.finding is finding
    assert words in found.evidence


@pytest.mark.parametrize("fields", [{"host": "elsewhere"}, {"owner": None}])
def test_who_was_heard_lately_is_not_stale(examine, fields):
    """
    Where only silence speaks, it must have lasted; a time in the future is no silence.
    """
    minutes = timedelta(minutes=50)

    assert examine(row(silent=minutes, **fields), row(silent=-minutes, **fields)) == []


def test_a_run_without_readable_times_is_not_old(examine):
    """
    A run that says no time it began at is never found by its age.
    """
    unread = row(host="elsewhere", updated_at="soon", start_time=None)

    assert examine(unread) == []
    assert len(examine(unread, older_than=timedelta(0))) == 1
