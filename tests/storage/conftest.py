"""
Runs in a journal, and the database that follows it.
"""

import pytest

from telemetry.model.codec import encode_line
from telemetry_plugins.ndjson import NdjsonJournal
from telemetry_plugins.sqlite import SqliteSink

NOON = 1_795_348_800


@pytest.fixture
def db(tmp_path):
    """
    Return the path of a database that does not exist yet.
    """
    return tmp_path / "db" / "telemetry.sqlite"


@pytest.fixture
def journal(tmp_path):
    """
    Return an empty journal.
    """
    journal = NdjsonJournal(tmp_path / "raw")
    yield journal
    journal.close()


@pytest.fixture
def say(journal):
    """
    Write a record of a run, an event (with ``event_type``) or a commit (with neither) to the journal.
    """
    numbers = iter(range(1, 1_000_000))

    def write(run, change="", *, event_type="", payload=b"null", **fields):
        number = next(numbers)
        line = encode_line(
            "event" if event_type else "run" if change else "commit",
            id=f"00000000000000aa-{number}",
            timestamp=f"2026-11-22T12:00:00.{number:06d}Z",
            event_id=f"key-{run}",
            run_id=f"run-{run}",
            change=change,
            event_type=event_type,
            payload=payload if event_type else None,
            body=fields,
        )
        assert journal.append(line, NOON)
        return line

    return write


@pytest.fixture
def tell(say):
    """
    Write a whole run to the journal; without a status it has not ended.
    """

    def write(run, status="success", *, hour=12, events=0, **fields):
        about = {
            "agent_name": "seo",
            "job_type": "crawl",
            "start_time": f"2026-11-22T{hour:02d}:00:00.000000Z",
            **fields,
        }
        say(run, "started", status="running", **about)
        for number in range(events):
            say(run, event_type="step", payload=b'{"n":%d}' % number)
        if status:
            say(run, "ended", status=status, **about)

    return write


@pytest.fixture
def follow(db, journal):
    """
    Follow the journal into the database, as far as it now goes.
    """

    def run():
        sink = SqliteSink(db)
        cursors = sink.cursors()
        for segment in journal.segments():
            chunk = journal.read(segment, cursors.get(segment.id), 1 << 24)
            sink.write([r for r in chunk.records if r.record_type != "segment"], chunk.cursor)
        sink.close()

    return run
