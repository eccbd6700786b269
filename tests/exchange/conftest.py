"""
A database with runs to export.
"""

import pytest

from telemetry.model.codec import encode_line
from telemetry_plugins.ndjson import NdjsonJournal
from telemetry_plugins.sqlite import SqliteSink

NOON = 1_795_348_800


@pytest.fixture
def record(tmp_path):
    """
    Write runs, each given as its columns, and return the database that holds them.
    """

    def write(*runs, base=None):
        base = base or tmp_path / "base"
        journal = NdjsonJournal(base / "raw")
        for number, fields in enumerate(runs, start=1):
            said = {
                "agent_name": "seo",
                "job_type": "crawl",
                "status": "success",
                "start_time": f"2026-11-22T12:{number // 60 % 60:02d}:{number % 60:02d}.000000Z",
                **fields,
            }
            key = said.pop("event_id", f"key-{number:06d}")
            line = encode_line(
                "run",
                id=f"00000000000000aa-{number}",
                timestamp="2026-11-22T13:00:00.000000Z",
                event_id=key,
                run_id=said.pop("run_id", f"run-{number}"),
                change="recorded",
                body=said,
            )
            assert journal.append(line, NOON)
        sink = SqliteSink(base / "db" / "telemetry.sqlite")
        cursors = sink.cursors()
        for segment in journal.segments():
            chunk = journal.read(segment, cursors.get(segment.id), 1 << 26)
            sink.write([r for r in chunk.records if r.record_type != "segment"], chunk.cursor)
        sink.close()
        journal.close()
        return base / "db" / "telemetry.sqlite"

    return write
