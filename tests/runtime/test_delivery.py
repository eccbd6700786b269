from __future__ import annotations

import pytest

from telemetry.model.codec import decode_line
from telemetry.model.errors import (
    CursorMovedError,
    PausedSinkError,
    PermanentSinkError,
    TransientSinkError,
)
from telemetry.runtime.cursors import NOWHERE, FileCursors
from telemetry.runtime.deadletters import DeadLetters, read_dead_letters
from telemetry.runtime.delivery import Delivery
from telemetry.runtime.notices import is_suppressed
from telemetry.sinks import Cursor


@pytest.fixture
def deliver(station, said):
    """
    Deliver records to a sink; the delivery keeps its cursors and letters in the state directory.
    """

    class Way:
        def __init__(self):
            self.cursors = FileCursors(station.config.state_dir, "collector")
            self.dead = DeadLetters(station.config.state_dir, "collector")
            self.start = 0

        def __call__(self, sink, records, later=()):
            delivery = Delivery(sink, self.cursors, self.dead, lambda seconds: None)
            cursor = Cursor("s", self.start + 100, start=self.start)
            delivery.deliver(records, cursor, lambda: later)
            self.start = cursor.offset

        @property
        def letters(self):
            if not self.dead.path.exists():
                return []
            return [letter.id for letter in read_dead_letters(self.dead.path)]

        @property
        def offset(self):
            return self.cursors.load().get("s", NOWHERE).offset

    return Way()


@pytest.fixture
def records(station):
    def make(count):
        return [decode_line(station.line()) for _ in range(count)]

    return make


def refusing(bad, error=ValueError):
    """
    Return what makes a sink fail at each batch that holds one of these records.
    """
    ids = {record.id for record in bad}

    def fail(batch):
        if any(record.id in ids for record in batch):
            raise error("cannot digest")

    return fail


def test_a_batch_is_handed_over_and_its_position_stored(deliver, collector, records):
    """
    The sink gets the records once, marked as the library's own work.
    """
    seen = []
    sink = collector(fails=lambda batch: seen.append(is_suppressed()))
    batch = records(3)
    deliver(sink, batch)

    assert sink.ids == [record.id for record in batch]
    assert deliver.offset == 100
    assert seen == [True]


@pytest.mark.parametrize("error", [ValueError, SystemExit, MemoryError])
def test_one_bad_record_among_ten_thousand_is_found(deliver, collector, records, error):
    """
    What only this sink cannot digest goes to its dead letters; all else arrives.
    """
    batch = records(10_000)
    bad = batch[6543]
    sink = collector(fails=refusing([bad], error))
    deliver(sink, batch)

    assert set(sink.ids) == {record.id for record in batch} - {bad.id}
    assert deliver.letters == [bad.id]
    assert deliver.offset == 100
    assert sink.attempt_count < 100


def test_many_bad_records_are_found(deliver, collector, records):
    """
    Bad records may stand side by side or far apart.
    """
    batch = records(300)
    bad = [batch[0], batch[1], batch[150], batch[299]]
    sink = collector(fails=refusing(bad))
    deliver(sink, batch)

    assert sorted(deliver.letters) == sorted(record.id for record in bad)
    assert set(sink.ids) == {record.id for record in batch} - set(deliver.letters)


def test_a_sink_that_takes_nothing_loses_nothing(deliver, collector, records):
    """
    If nothing at all succeeds it is an outage: no dead letters, no progress.
    """
    batch = records(200)
    sink = collector(fails=refusing(batch))

    with pytest.raises(TransientSinkError, match="ValueError: cannot digest"):
        deliver(sink, batch)
    assert deliver.letters == []
    assert deliver.offset == 0
    assert sink.attempt_count < 30


def test_a_batch_of_bad_records_does_not_stop_the_sink_for_ever(deliver, collector, records):
    """
    If what stands behind the batch is taken, the batch was bad, not the sink.
    """
    batch, later = records(20), records(2)
    sink = collector(fails=refusing(batch))
    deliver(sink, batch, later)

    assert sorted(deliver.letters) == sorted(record.id for record in batch)
    assert deliver.offset == 100


def test_a_sink_that_breaks_while_a_batch_is_taken_apart_buries_nothing(
    deliver, collector, records
):
    """
    Before a record is given up, the sink must still take one that it took before.
    """
    batch = records(64)
    sink = collector()

    def fail(handed):
        if sink.attempt_count > 6 or batch[40] in handed:
            raise ValueError

    sink.fails = fail

    with pytest.raises(TransientSinkError):
        deliver(sink, batch)
    assert deliver.letters == []


def test_a_failure_that_passes_is_not_noticed(deliver, collector, records):
    """
    A batch that fails once for an unknown reason is simply handed over again.
    """
    sink = collector()

    def fail(batch):
        if sink.attempt_count == 1:
            raise RuntimeError("hiccup")

    sink.fails = fail
    deliver(sink, records(2))

    assert sink.attempt_count == 2
    assert deliver.letters == []


def test_records_that_the_sink_names_are_buried_and_the_rest_delivered(deliver, collector, records):
    """
    A sink that knows what it cannot take is believed.
    """
    batch = records(5)

    def fail(handed):
        if batch[2] in handed:
            raise PermanentSinkError("no", record_ids=[batch[2].id])

    sink = collector(fails=fail)
    deliver(sink, batch)

    assert deliver.letters == [batch[2].id]
    assert sink.ids == [record.id for record in batch if record is not batch[2]]
    assert deliver.offset == 100


def test_a_batch_that_the_sink_refuses_as_a_whole_is_buried(deliver, collector, records):
    """
    A refusal without names is about all of the batch.
    """
    batch = records(3)
    sink = collector(fails=refusing(batch, PermanentSinkError))
    deliver(sink, batch)

    assert deliver.letters == [record.id for record in batch]
    assert deliver.offset == 100


def test_a_refusal_of_records_that_were_not_handed_over_is_an_unknown_failure(
    deliver, collector, records
):
    """
    A sink that names nonsense does not get its way.
    """

    def fail(batch):
        raise PermanentSinkError("no", record_ids=["nonsense"])

    with pytest.raises(TransientSinkError):
        deliver(collector(fails=fail), records(3))
    assert deliver.letters == []


@pytest.mark.parametrize("error", [ConnectionError, TimeoutError, FileNotFoundError])
def test_the_systems_errors_are_outages(deliver, collector, records, error):
    """
    A server or a disk that is away comes back; no batch is taken apart for it.
    """
    batch = records(3)
    sink = collector(fails=refusing(batch, error))

    with pytest.raises(TransientSinkError):
        deliver(sink, batch)
    assert sink.attempt_count == 1


@pytest.mark.parametrize("error", [TransientSinkError, CursorMovedError, PausedSinkError])
def test_what_the_sink_says_in_our_words_is_passed_on(deliver, collector, records, error):
    """
    The three answers of a sink go to the follower as they are.
    """
    batch = records(1)

    with pytest.raises(error):
        deliver(collector(fails=refusing(batch, error)), batch)


def test_a_letter_that_cannot_be_written_holds_the_batch(deliver, collector, records, station):
    """
    No record is passed over before it is safe among the dead letters.
    """
    batch = records(3)
    station.config.state_dir.mkdir(parents=True, exist_ok=True)
    (station.config.state_dir / "dead").write_text("a file")

    with pytest.raises(TransientSinkError, match="dead letters"):
        deliver(collector(fails=refusing(batch[:1], PermanentSinkError)), batch)
    assert deliver.offset == 0
