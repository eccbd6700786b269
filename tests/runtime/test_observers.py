from __future__ import annotations

import pytest

from telemetry.model.codec import encode_line
from telemetry.model.records import Change, RecordType
from telemetry.runtime.observers import ObserverSink
from telemetry_plugins.ndjson import NdjsonJournal


@pytest.fixture
def journal(tmp_path):
    """
    Return a journal with a line of each kind.
    """
    made = NdjsonJournal(tmp_path)
    kinds = [
        *(("run", change.value) for change in Change),
        *((kind.value, "") for kind in RecordType if kind is not RecordType.RUN),
    ]
    for number, (record_type, change) in enumerate(kinds, 1):
        envelope = {"id": f"00000000000000aa-{number}", "timestamp": "2026-11-22T00:42:17.000000Z"}
        assert made.append(encode_line(record_type, change=change, event_id="r", **envelope), 0)
    yield made
    made.close()


@pytest.mark.parametrize("observed", [{"started"}, {"ended"}, {"started", "ended"}])
def test_only_what_is_observed_is_decoded(journal, observed):
    """
    A kind of record that no plugin observes is left out before it is decoded; the others are told.
    """
    told = []
    hear = [lambda heard: told.append(heard.record.change) or {}]
    sink = ObserverSink(
        hear if "started" in observed else (), hear if "ended" in observed else (), print
    )
    segment = journal.segments()[0]

    chunk = journal.read(segment, None, 1 << 20, without=sink.does_without)
    sink.write(chunk.records, chunk.cursor)

    assert told == [record.change for record in chunk.records]
    assert set(told) == observed
    assert chunk.cursor.offset == segment.size
