"""
A webhook's sink at work: its settings, its runs, and the process around it.
"""

from __future__ import annotations

import contextlib
import sqlite3

from telemetry.model.codec import decode_line, encode_line
from telemetry.model.fold import Fold
from telemetry.sinks import Cursor

NOWHERE = Cursor("", 0)
TOKEN = "canary-0123456789"
WHEN = "2026-11-22T12:00:00.000000Z"


def run_line(number, change, *, event_id="e-1", **body):
    return decode_line(
        encode_line(
            "run",
            id=f"00000000000000aa-{number}",
            timestamp=f"2026-11-22T12:00:{number:02d}.000000Z",
            event_id=event_id,
            run_id=f"run-{event_id}",
            change=change,
            body=body,
        )
    )


def whole(number, change, status="success", **body):
    return run_line(
        number,
        change,
        agent_name="agent",
        job_type="job",
        start_time=WHEN,
        status=status,
        end_time=WHEN,
        **body,
    )


def rows(config, sql):
    with contextlib.closing(sqlite3.connect(config.db_path)) as connection:
        return connection.execute(sql).fetchall()


class Desk:
    """
    What a process offers to a sink, kept for the test to see.
    """

    def __init__(self):
        self.recorded = []
        self.known = {}
        self.left_s = None
        self.journal = {}

    def record(self, change, event_id, run_id, fields):
        self.recorded.append((change.value, event_id, run_id, dict(fields)))

    def recall(self, event_id):
        return self.known.get(event_id) or Fold()

    def sizes(self):
        return self.journal

    def time_left_s(self):
        return self.left_s
