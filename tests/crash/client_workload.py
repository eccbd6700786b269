"""
What the soak kills: whole runs recorded through the public client, and drainers that follow them.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
import time

from telemetry.client import TelemetryClient
from telemetry.config import TelemetryConfig
from telemetry.storage.chunks import chunks_of
from telemetry.storage.recovery import check, differences
from telemetry.storage.segments import SegmentReader
from telemetry_plugins.ndjson import NdjsonJournal

EVENTS_PER_RUN = 20
READ_BYTES = 1 << 20
FINISH_S = 600.0
#: One writer in so many never pauses, and one in so many also drains.
BUSY_SHARE = DRAINING_SHARE = 4


class ClientWorkload:
    """
    Writers that start, log and end runs; drainers that bring the database up to the journal.

    The number of a call stands in what it records: in the run's id, the event's payload, and in
    ``items_succeeded`` of a run's end.
    """

    drains = True

    def __init__(self, base, large_share):
        self.base = base
        self.large_share = large_share
        self.problems = []

    def client(self, drain):
        """
        Return a client of the directory.
        """
        return TelemetryClient(TelemetryConfig.from_env({}, base_dir=self.base, drain=drain))

    def write(self, worker, acknowledge):
        """
        Record runs for ever, each call acknowledged before the next.
        """
        client = self.client("external" if worker % DRAINING_SHARE else "auto")
        dice, number = random.Random(worker), 0
        while True:
            run_id = client.start_run("soak", "write", run_id=f"soak-{worker}-{number}")
            acknowledge(number)
            for _ in range(EVENTS_PER_RUN):
                number += 1
                is_large = dice.random() < self.large_share
                size = dice.randrange(2_000, 64_000) if is_large else dice.randrange(200)
                client.log_event(
                    run_id, "soak", {"worker": worker, "number": number, "fill": "x" * size}
                )
                acknowledge(number)
            number += 1
            client.end_run(run_id, "success", items_succeeded=number)
            acknowledge(number)
            number += 1
            if worker % BUSY_SHARE:
                time.sleep(dice.random() / 50)

    def drain(self):
        """
        Follow for ever.
        """
        client = self.client("auto")
        while True:
            client.catch_up(1.0)

    def finish(self):
        """
        Let a last process do what every later one does: record the dead, and catch up.
        """
        client = self.client("auto")
        self.problems += [] if client.catch_up(FINISH_S) else ["the last process cannot catch up"]
        client.reap()
        self.problems += [] if client.catch_up(FINISH_S) else ["the last process cannot catch up"]
        config = client.config
        client.close()
        self.problems += check(config.db_path)
        self.problems += differences(config.db_path, NdjsonJournal(config.ndjson_dir))
        with contextlib.closing(sqlite3.connect(config.db_path)) as database:
            (running,) = database.execute(
                "SELECT count(*) FROM agent_runs WHERE status = 'running'"
            ).fetchone()
            if running:
                self.problems.append(f"{running} runs of dead processes are still running")

    def recovered(self):
        """
        Return, by place, what is found there, how often twice, and how much is damaged.
        """
        config = TelemetryConfig.from_env({}, base_dir=self.base)
        return {
            "journal": journal_content(config.ndjson_dir),
            "database": self._in_database(config.db_path),
        }

    def _in_database(self, path):
        with contextlib.closing(sqlite3.connect(path)) as database:
            rows = database.execute(
                "SELECT json_extract(payload_json, '$.worker'), json_extract(payload_json, '$.number')"
                " FROM run_events WHERE event_type = 'soak'"
            ).fetchall()
            runs = database.execute(
                "SELECT run_id, status, items_succeeded FROM agent_runs"
            ).fetchall()
        for run_id, status, ended in runs:
            _, worker, started = run_id.split("-")
            rows.append((int(worker), int(started)))
            if status == "success":
                rows.append((int(worker), ended))
        return set(rows), len(rows) - len(set(rows)), 0


def journal_content(raw):
    """
    Read a whole journal; return (found, duplicates, damaged pieces).
    """
    found, duplicates, damaged = set(), 0, 0
    reader = SegmentReader(raw)
    for segment in reader.segments():
        for chunk in chunks_of(reader, segment, max_bytes=READ_BYTES):
            damaged += chunk.damaged_count
            for record in chunk.records:
                key = _key(record)
                if key is not None:
                    duplicates += key in found
                    found.add(key)
    return found, duplicates, damaged


def _key(record):
    """
    Return the call that a record stands for; None where it is none of a writer's.
    """
    if record.event_type == "soak":
        payload = record.payload_value()
        return payload["worker"], payload["number"]
    if record.change in ("started", "ended"):
        _, worker, started = record.run_id.split("-")
        is_end = record.change == "ended"
        return int(worker), record.fields()["items_succeeded"] if is_end else int(started)
    return None
