from __future__ import annotations

import os

import pytest

from telemetry.model.errors import PermanentSinkError, TransientSinkError
from telemetry.runtime.deadletters import DeadLetters, read_dead_letters
from telemetry.runtime.locks import RecordLock
from telemetry.runtime.redelivery import letters_of, redeliver
from telemetry.testing import MemorySink, sample_records

RECORDS = sample_records(1)


class Sink(MemorySink):
    """
    Raises what it is told to, batch by batch, then takes everything.
    """

    def __init__(self, *errors):
        super().__init__("webhook")
        self.errors = list(errors)

    def write(self, batch, cursor, /):
        if self.errors:
            error = self.errors.pop(0)
            if error is not None:
                raise error
        super().write(batch, cursor)


@pytest.fixture
def dead(tmp_path):
    letters = DeadLetters(tmp_path, "webhook")
    for record in RECORDS[:4]:
        letters.add(record, ValueError("no"))
    return letters


def ids(letters):
    return [letter.id for letter in letters]


def anything(letter):
    return True


def test_letters_are_handed_over_once_and_are_gone(dead, tmp_path):
    """
    In their order; nothing is left behind.
    """
    dead.add(RECORDS[0], ValueError("no, again"))
    sink = Sink()
    done = redeliver(sink, tmp_path, anything)

    assert (done.delivered_count, done.refused_count, done.left_count) == (4, 0, 0)
    assert sorted(record.id for record in sink.records) == sorted(r.id for r in RECORDS[:4])
    assert letters_of(tmp_path, "webhook") == []
    assert list((tmp_path / "dead").iterdir()) == []


def test_only_what_is_wanted_is_touched(dead, tmp_path):
    """
    The others stay as they were, reason and time included.
    """
    before = letters_of(tmp_path, "webhook")
    redeliver(Sink(), tmp_path, lambda letter: letter.id == RECORDS[1].id)

    assert letters_of(tmp_path, "webhook") == [before[0], *before[2:]]
    assert redeliver(Sink(), tmp_path, lambda _: False).left_count == 3


def test_what_is_refused_again_is_a_dead_letter_again(dead, tmp_path):
    """
    With the new reason; the rest arrives.
    """
    sink = Sink(PermanentSinkError("x", reasons={RECORDS[2].id: "still no"}))
    done = redeliver(sink, tmp_path, anything)

    assert (done.delivered_count, done.refused_count, done.left_count) == (3, 1, 0)
    assert [(each.id, each.reason) for each in letters_of(tmp_path, "webhook")] == [
        (RECORDS[2].id, "still no")
    ]


def test_an_outage_leaves_everything(dead, tmp_path):
    """
    And says why.
    """
    done = redeliver(Sink(TransientSinkError("away")), tmp_path, anything)

    assert (done.left_count, done.problem) == (4, "away")
    assert ids(letters_of(tmp_path, "webhook")) == [record.id for record in RECORDS[:4]]


def test_a_line_that_is_no_record_stays(dead, tmp_path):
    """
    What cannot be read cannot be sent.
    """
    (letter, *_) = read_dead_letters(dead.path)
    dead.put_back(type(letter)(**{**_as_dict(letter), "id": "broken", "line": "{"}))
    redeliver(Sink(), tmp_path, anything)

    assert ids(letters_of(tmp_path, "webhook")) == ["broken"]


def _as_dict(letter):
    import attrs

    return attrs.asdict(letter)


def test_a_killed_process_loses_no_letter(dead, tmp_path):
    """
    What it had moved aside is found, listed and delivered by the next.
    """
    dead.path.replace(dead.path.with_name("webhook.retrying.ndjson"))
    dead.add(RECORDS[5], ValueError("no"))
    assert len(letters_of(tmp_path, "webhook")) == 5

    assert redeliver(Sink(), tmp_path, anything).delivered_count == 5
    assert letters_of(tmp_path, "webhook") == []


def test_a_letter_that_is_written_while_others_are_put_back_is_kept(dead, tmp_path):
    """
    The sink's own follower may bury another record at any time.
    """

    class Busy(Sink):
        def write(self, batch, cursor, /):
            DeadLetters(tmp_path, "webhook").add(RECORDS[6], ValueError("meanwhile"))
            super().write(batch, cursor)

    redeliver(Busy(), tmp_path, anything)

    assert ids(letters_of(tmp_path, "webhook")) == [RECORDS[6].id]


def test_a_file_that_is_taken_away_is_written_again(dead, tmp_path, monkeypatch):
    """
    A letter never ends up in a file that is about to be removed.
    """
    gone = dead.path.with_suffix(".gone")
    really_open = os.open

    def open_and_lose(path, *rest):
        fd = really_open(path, *rest)
        if path == dead.path and not gone.exists():
            dead.path.replace(gone)
        return fd

    monkeypatch.setattr(os, "open", open_and_lose)
    dead.add(RECORDS[7], ValueError("no"))

    assert ids(read_dead_letters(dead.path)) == [RECORDS[7].id]


def test_one_process_at_a_time_puts_letters_back(dead, tmp_path, child):
    """
    A second one is told.
    """
    process = child(
        "import sys\nfrom pathlib import Path\nfrom telemetry.runtime.locks import RecordLock\n"
        "lock = RecordLock(Path(sys.argv[1]) / 'retry-webhook.lock')\n"
        "print(lock.try_acquire(), flush=True)\nsys.stdin.read()"
    )
    assert process.stdout.readline() == "True\n"

    with pytest.raises(RuntimeError, match="another does so now"):
        redeliver(Sink(), tmp_path, anything)
    assert len(letters_of(tmp_path, "webhook")) == 4
    process.kill()
    process.wait()
    assert RecordLock(tmp_path / "retry-webhook.lock").try_acquire()
