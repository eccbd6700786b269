from __future__ import annotations

import json
import random
from pathlib import Path

import msgspec
import pytest
from examples import share_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import json_objects, lines

from telemetry.model import codec
from telemetry.model.codec import (
    ESCAPED_MARKER,
    MARKER,
    Decoded,
    decode_line,
    decode_lines,
    encode_again,
    encode_line,
    escape_marker,
    lines_without,
    relayed,
    seal,
)
from telemetry.model.errors import CodecError
from telemetry.model.records import Change, RecordType

GOLDEN = Path(__file__).parents[1] / "golden"


def examples(count):
    return settings(
        max_examples=share_of(count), deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )


def some_lines(count):
    """
    Return lines of every kind, some with text that looks like the format's own.
    """
    rng = random.Random(count)
    made = []
    for number in range(1, count + 1):
        envelope = {
            "id": f"00000000000000aa-{number}",
            "timestamp": f"2026-11-22T00:42:{number % 60:02}.000000Z",
            "event_id": f"0193a5f0-0000-7000-8000-{number:012}",
            "run_id": "r",
        }
        if rng.random() < 0.6:
            payload = rng.choice(
                [
                    b'{"crc":"00000000"}',
                    b'"{\\"lt\\":1}"',
                    '"\u00e9\u2028 \U0001f600"'.encode(),
                    b'[{ "lt":1,"crc":"11111111"}]',
                    b"null",
                ]
            )
            made.append(encode_line("event", event_type="e", payload=payload, **envelope))
        else:
            body = {"agent_name": "\x00\n\r", "context_json": {"lt": 1, "x": {"lt": [{"lt": 2}]}}}
            made.append(encode_line("run", change="started", body=body, **envelope))
    return made


def found_in(data):
    """
    Decode a damaged journal, hold the sums, and return the lines that were found in it.
    """
    decoded = decode_lines(data)
    found = [record.line + b"\n" for record in decoded.records]

    newlines = data.count(b"\n") + (not data.endswith(b"\n"))
    assert (
        0
        <= len(data) - sum(map(len, found)) - decoded.damaged_bytes + len(found)
        <= newlines + (len(found))
    )
    assert (decoded.damaged_count == 0) == (decoded.damaged_bytes == 0)
    return found


# Round trip


@examples(300)
@given(st.lists(lines, max_size=6))
def test_what_was_encoded_is_decoded(written):
    """
    Lines come back as records in order, one by one or many at a time, each with its own bytes.
    """
    decoded = decode_lines(b"".join(written))

    assert decoded == Decoded([decode_line(line) for line in written], 0, 0)
    assert [record.line + b"\n" for record in decoded.records] == written


@examples(300)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), json_objects, max_size=4))
def test_a_body_comes_back(body):
    """
    Whatever keys a body has, beside those of the envelope, the record has the same.
    """
    body = {f"x{key}": value for key, value in body.items()}
    record = decode_line(encode_line("run", id="w-1", timestamp="t", change="started", body=body))

    assert record.fields() == body


@examples(300)
@given(lines)
def test_a_line_is_one_json_object(line):
    """
    Any JSON reader reads a line: one object, its marker first, its checksum last, one newline.
    """
    decoded = json.loads(line, object_pairs_hook=list)
    keys = [key for key, _ in decoded]

    assert (keys[0], keys[-1]) == ("lt", "crc")
    assert line.count(b"\n") == 1
    assert line.endswith(b'"}\n')


@examples(300)
@given(lines)
def test_the_marker_opens_a_line_and_stands_nowhere_else(line):
    """
    Neither a payload nor a string can hold what opens a record.
    """
    assert line.rfind(MARKER) == 0


def test_escaping_changes_no_meaning():
    """
    An object that begins like a record is written with a space, and means the same.
    """
    data = b'{"a":[{"lt":1},{"lt":{"lt":2}}]}'

    assert msgspec.json.decode(escape_marker(data)) == msgspec.json.decode(data)
    assert MARKER not in escape_marker(data)
    assert escape_marker(data).count(ESCAPED_MARKER) == 3
    assert escape_marker(b'{"a":1}') == b'{"a":1}'


def test_the_envelope_leaves_out_what_is_empty():
    """
    Empty keys are not written, and read as empty.
    """
    line = encode_line("event", id="w-1", timestamp="t")
    record = decode_line(line)

    assert line.startswith(b'{"lt":1,"record_type":"event","id":"w-1","timestamp":"t","crc":"')
    assert (record.event_id, record.run_id, record.change, record.event_type) == ("",) * 4
    assert record.payload_value() is None


def test_a_line_is_decoded_with_or_without_its_newline():
    """
    The newline is not the record's.
    """
    line = some_lines(1)[0]

    assert decode_line(line) == decode_line(line[:-1])


@pytest.mark.parametrize("value", [object(), {1, 2}.__iter__(), "\ud800", 1j])
def test_a_body_that_is_no_json_is_an_error(value):
    """
    What JSON cannot hold is not written in part.
    """
    with pytest.raises(CodecError, match="plain JSON"):
        encode_line("run", id="w-1", timestamp="t", body={"x": value})


@pytest.mark.parametrize("kinds", [(RecordType.EVENT,), (RecordType.RUN,), (Change.STARTED, "new")])
def test_kinds_can_be_left_out(kinds):
    """
    What is of none of them stays as it is, in order; a kind that nobody knows leaves nothing out.
    """
    written = some_lines(20)
    others = [
        line
        for line, record in zip(written, map(decode_line, written))
        if record.record_type not in kinds and record.change not in kinds
    ]

    assert 0 < len(others) < len(written)
    assert lines_without(b"".join(written), kinds) == b"".join(others)
    assert lines_without(b"", kinds) == b""


# Damage


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{}",
        b"null",
        b'{"lt":1}',
        b'{"lt":',
        seal(b'{"lt":1'),
        seal(b'{"lt":"1","record_type":"run","id":"a","timestamp":"b"'),
        seal(b'{"lt":1,"record_type":"run","id":"a","timestamp":"b","payload":'),
        seal(b'{"lt":1,"record_type":"run","id":"a","timestamp":"b","x":' + b"[" * 100_000),
        seal(b'{"lt":1,"record_type":"run","id":"\xff","timestamp":"b"'),
        seal(b' {"lt":1,"record_type":"run","id":"a","timestamp":"b"'),
        encode_line("run", id="a", timestamp="b") + b"\n",
        encode_line("run", id="a", timestamp="b").replace(b"\n", b"\r\n"),
        encode_line("run", id="a", timestamp="b").replace(b'"crc"', b'"CRC"'),
        encode_line("run", id="a", timestamp="b")[:-3] + b"g" + b'"}\n',
    ],
)
def test_what_is_no_record_is_an_error(line):
    """
    A line is a record as a whole, checksum and all, or none.
    """
    with pytest.raises(CodecError, match="record"):
        decode_line(line)


def test_a_good_checksum_over_what_is_no_record_is_damage():
    """
    One sealed line that is no record costs its neighbours nothing.
    """
    good = some_lines(4)
    bad = seal(b'{"lt":"1","record_type":"run","id":"a","timestamp":"b"')

    assert found_in(b"".join([*good[:2], bad, *good[2:]])) == good


def test_blank_lines_are_nothing():
    """
    A writer that finds a torn tail begins with a newline: blank lines are no damage.
    """
    first, second = some_lines(2)

    assert found_in(b"\n" + first + b"\n\n" + second + b"\n") == [first, second]
    assert decode_lines(b"\n\n") == Decoded([], 0, 0)
    assert decode_lines(b"") == Decoded([], 0, 0)


def test_each_byte_truncated():
    """
    A journal cut anywhere gives all lines that are whole, and nothing else.
    """
    written = some_lines(12)
    data = b"".join(written)

    for cut in range(len(data)):
        whole = [
            line for n, line in enumerate(written) if len(b"".join(written[: n + 1])) <= cut + 1
        ]
        assert found_in(data[:cut]) == whole


@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80, 0xFF])
def test_each_byte_flipped(flip):
    """
    A flipped byte costs at most the record it is in; nothing is read that was not written.
    """
    written = some_lines(6)
    data = b"".join(written)
    start = 0
    for number, line in enumerate(written):
        others = written[:number] + written[number + 1 :]
        for position in range(start, start + len(line)):
            damaged = bytearray(data)
            damaged[position] ^= flip
            found = found_in(bytes(damaged))
            # A newline is all that a record can lose without loss.
            assert found == others or (found == written and position == start + len(line) - 1)
        start += len(line)


@examples(200)
@given(st.data())
def test_damage_is_local(data):
    """
    Any bytes put over any others leave every record intact that they do not touch.
    """
    written = some_lines(8)
    journal = b"".join(written)
    start = data.draw(st.integers(0, len(journal)))
    end = data.draw(st.integers(start, min(len(journal), start + 300)))
    garbage = data.draw(
        st.binary(max_size=40)
        | st.sampled_from([b"\0" * 4096, MARKER, b'"}', b"\n", b"\n\n", b',"crc":"00000000"}', b""])
    )
    found = found_in(journal[:start] + garbage + journal[end:])

    assert set(found) <= set(written)
    position = 0
    for line in written:
        untouched = position + len(line) <= start or position >= end
        # A glued neighbour may end an untouched line only where its own newline was taken.
        assert not untouched or line in found
        position += len(line)


def test_two_torn_fragments_glued():
    """
    Fragments of two dead writers before a live one's record cost nothing but themselves.
    """
    torn, other, whole = some_lines(3)

    for cut in range(1, len(torn) - 1):
        assert found_in(torn[:cut] + other[: cut // 2] + whole) == [whole]


def test_a_record_that_lost_only_its_newline_is_whole():
    """
    A record glued to the next, or followed by zeros or garbage, is read all the same.
    """
    first, second = some_lines(2)

    assert found_in(first[:-1] + second) == [first, second]
    assert found_in(first[:-1] + b"\0" * 4096 + b"\n" + second) == [first, second]
    assert found_in(first[:-1] + second[:40] + b"\n" + second) == [first, second]
    assert decode_lines(first[:-1] + second).damaged_count == 0


def test_zeros_are_damage():
    """
    A hole of zeros, as a power cut leaves it, is counted once and passed over.
    """
    first, second = some_lines(2)
    decoded = decode_lines(first + b"\0" * 4096 + b"\n" + second)

    assert [record.line + b"\n" for record in decoded.records] == [first, second]
    assert (decoded.damaged_count, decoded.damaged_bytes) == (1, 4096)


def test_a_record_inside_a_payload_is_not_read():
    """
    Not even with its own good checksum, not even from a torn line.
    """
    inner = encode_line("run", id="evil-1", timestamp="t", change="deleted", event_id="e")
    for payload in (inner.strip(), msgspec.json.encode(inner.decode())):
        line = encode_line("event", id="w-1", timestamp="t", payload=payload)

        assert found_in(line) == [line]
        for cut in range(len(line)):
            assert all(record.id == "w-1" for record in decode_lines(line[:cut] + b"\n").records)
            assert decode_lines(line[cut:]).records == [] or cut == 0


def test_a_closing_inside_a_payload_ends_nothing():
    """
    A payload that holds a good checksum for all before it does not cut its record short.
    """
    head = b'{"lt":1,"record_type":"event","id":"w-1","timestamp":"t","payload":{"a":1'
    closing = seal(head)[len(head) : -1]
    line = seal(head + closing)
    torn = line[:-4] + b"\n"

    assert found_in(line) == [line]
    assert found_in(torn) == []


def test_garbage_costs_linear_time():
    """
    A megabyte of markers, or of endings, is no more than a megabyte of damage.
    """
    for garbage in (MARKER, b',"crc":"', b"\n", b"\0", b'{"lt":1,"crc":"00000000"}'):
        data = garbage * (1 << 20 // len(garbage))
        assert decode_lines(data).records == []


def test_many_at_a_time_is_as_strict_as_one_by_one():
    """
    The quick check over a whole chunk lets nothing pass that the check of one line refuses.
    """
    written = some_lines(5)
    upper = written[2][:-11] + written[2][-11:].upper()
    shorter = written[2][:-4] + b'"}\n'
    spaced = written[2].replace(b',"crc":"', b', "crc":"')
    for bad in (upper, shorter, spaced, b" " + written[2]):
        if bad != written[2]:
            assert not codec._are_whole([*written[:2], bad[:-1]])
            assert found_in(b"".join([*written[:2], bad, *written[3:]])) == [
                *written[:2],
                *written[3:],
            ] or bad.endswith(written[2])


# For ever


def test_the_first_format_is_read_for_ever():
    """
    A journal of format 1, as it was first written, gives the same records in every version.
    """
    decoded = decode_lines((GOLDEN / "journal-1.ndjson").read_bytes())
    expected = json.loads((GOLDEN / "journal-1.json").read_text(encoding="utf-8"))

    assert (decoded.damaged_count, decoded.damaged_bytes) == (2, expected["damaged_bytes"])
    assert [
        {
            "record_type": record.record_type,
            "change": record.change,
            "id": record.id,
            "writer": record.writer,
            "number": record.number,
            "timestamp": record.timestamp,
            "event_id": record.event_id,
            "run_id": record.run_id,
            "event_type": record.event_type,
            "payload": record.payload_value(),
            "fields": record.fields(),
        }
        for record in decoded.records
    ] == expected["records"]


def test_a_record_may_be_given_other_content():
    """
    A record that is encoded again keeps its envelope: whoever has it under its id has it already.
    """
    line = codec.encode_line(
        "event",
        id="00000000000000aa-1",
        timestamp="2026-11-22T00:42:17.000000Z",
        event_id="e",
        run_id="r",
        event_type="step",
        payload=b'{"a":1}',
    )
    record = decode_line(line)
    again = decode_line(encode_again(record, payload=b'{"b":2}'))

    assert again.payload_value() == {"b": 2}
    assert (again.id, again.timestamp, again.event_type) == (
        record.id,
        record.timestamp,
        record.event_type,
    )
    assert (again.event_id, again.run_id) == (record.event_id, record.run_id)


@given(lines)
def test_a_relayed_line_says_the_same_once(line):
    """
    The mark belongs to the record, not to what it says, and is not made twice.
    """
    marked = relayed(line[:-1])

    assert relayed(marked) == marked
    before, after = decode_line(line), decode_line(marked)
    assert after.fields() == before.fields()
    assert (after.id, after.payload_value()) == (before.id, before.payload_value())
