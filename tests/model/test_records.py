from __future__ import annotations

import pytest
from strategies import make_record

from telemetry.model.codec import decode_line, seal
from telemetry.model.records import ENVELOPE_KEYS

ENVELOPE = b'{"lt":1,"record_type":"run","change":"updated","id":"w-1","timestamp":"t"'


def test_a_record_has_two_halves_of_an_id():
    """
    An id is a writer and its number.
    """
    record = make_record(id="00000000000000aa-17")

    assert (record.writer, record.number) == ("00000000000000aa", 17)


@pytest.mark.parametrize("text", ["", "x", "-", "w-", "w-x", "w--1", "w-1-2", "w-" + "9" * 5000])
def test_an_id_that_is_none_of_ours_has_no_number(text):
    """
    What does not end in a number of 64 bits counts as 0.
    """
    assert make_record(id=text).number == 0


def test_fields_are_what_is_beyond_the_envelope():
    """
    Each call gives a new dictionary of the columns, unknown ones among them.
    """
    record = make_record("updated", {"product": "p", "colour": [1]})
    fields = record.fields()
    fields["product"] = "q"

    assert record.fields() == {
        "event_id": record.event_id,
        "run_id": record.run_id,
        "product": "p",
        "colour": [1],
    }
    assert not ENVELOPE_KEYS & fields.keys()


def test_a_number_that_no_reader_takes_harms_no_others():
    """
    A value that cannot be decoded is its own text; the rest of the line is as it is.
    """
    record = decode_line(seal(ENVELOPE + b',"huge":1e999,"product":"p"'))

    assert record.fields() == {"huge": "1e999", "product": "p"}


def test_a_payload_is_plain_data():
    """
    A payload is decoded when asked for; one that cannot be is its own text.
    """
    event = seal(ENVELOPE + b',"payload":{"a":[1]}')
    bad = seal(ENVELOPE + b',"payload":[1e999]')

    assert decode_line(event).payload_value() == {"a": [1]}
    assert decode_line(bad).payload_value() == "[1e999]"
    assert make_record().payload_value() is None


def test_a_line_too_deep_for_the_stack_does_not_raise():
    """
    Near the end of the stack, where not even the keys can be read, a record has no fields.
    """
    deep = b"[" * 150 + b"]" * 150
    body = b',"product":"p","payload":' + deep + b',"colour":' + deep
    record = decode_line(seal(ENVELOPE + body))

    def descend():
        try:
            return descend()
        except RecursionError:
            return record.fields(), record.raw_fields(), record.payload_value()

    fields, raw_fields, payload = descend()

    # From Python 3.12 on, the decoder has a stack of its own.
    assert fields in ({}, record.fields())
    assert raw_fields in ({}, record.raw_fields())
    assert payload in (deep.decode(), record.payload_value())


def test_records_do_not_change():
    """
    A record is as it was written.
    """
    with pytest.raises(AttributeError):
        make_record().id = "x"
