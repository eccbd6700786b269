"""
Every bundled sink passes the checks that strangers' sinks pass.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from telemetry.config import TelemetryConfig
from telemetry.sinks import Cursor
from telemetry.testing import SinkConformance, batches_of, sample_batches
from telemetry_plugins import sqlite


class TestSqliteSink(SinkConformance):
    def make_sink(self, base):
        (sink,) = sqlite.telemetry_register_sinks(TelemetryConfig(base_dir=base))
        return sink

    def delivered(self, base):
        path = base / "db" / "telemetry.sqlite"
        if not path.exists():
            return []
        with closing(sqlite3.connect(path)) as connection:
            return [
                id_ for (id_,) in connection.execute("SELECT id FROM run_events ORDER BY rowid")
            ]

    def is_shown(self, record):
        return record.record_type == "event"


@pytest.mark.parametrize("order", ["in order", "backwards", "twice"])
def test_the_runs_of_the_samples_are_whole(order, tmp_path):
    """
    Whatever the order in which their records came, the runs end as they ended.
    """
    batches = sample_batches(3)
    records = [record for batch, _ in batches for record in batch]
    (sink,) = sqlite.telemetry_register_sinks(TelemetryConfig(base_dir=tmp_path))
    if order == "backwards":
        records.reverse()
    for number, (batch, cursor) in enumerate(batches_of(records, 7)):
        sink.write(batch, cursor)
        if order == "twice":
            sink.write(batch, Cursor("", number))
    sink.close()

    with closing(sqlite3.connect(tmp_path / "db" / "telemetry.sqlite")) as connection:
        rows = connection.execute(
            "SELECT status, duration_ms, items_failed, git_commit_source FROM agent_runs"
        ).fetchall()
    assert rows == [("success", 60_000, 1, "ci")] * 3
