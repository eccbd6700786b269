import gzip
import random

import pytest

from telemetry.model.codec import encode_line
from telemetry.storage import packed
from telemetry.storage.segments import SegmentReader
from telemetry_plugins.ndjson import NdjsonJournal

NOON = 1_795_348_800


@pytest.fixture
def filled(tmp_path):
    """
    Return the path of a journal's file with a thousand records of all lengths.
    """
    journal = NdjsonJournal(tmp_path / "raw")
    dice = random.Random(1)
    for number in range(1, 1001):
        fill = bytes(dice.choices(b"abcdefghij", k=dice.randrange(2000)))
        line = encode_line(
            "event",
            id=f"00000000000000aa-{number}",
            timestamp="2026-11-22T12:00:00.000000Z",
            payload=b'"%b"' % fill,
        )
        assert journal.append(line, NOON)
    journal.close()
    return tmp_path / "raw" / "events_20261122.ndjson"


def pack(path, *, keep=False, parts=1):
    data = path.read_bytes()
    step = -(-len(data) // parts)
    target = path.with_name(path.name + ".gz")
    members = (data[at : at + step] for at in range(0, len(data), step))
    target.write_bytes(b"".join(gzip.compress(member) for member in members))
    if not keep:
        path.unlink()
    return target


def read_all(reader, max_bytes=10_000):
    found = []
    for segment in reader.segments():
        cursor = None
        while cursor is None or cursor.offset != cursor.start:
            chunk = reader.read(segment, cursor, max_bytes)
            cursor = chunk.cursor
            ids = [record.id for record in chunk.records]
            damage = (chunk.damaged_count, chunk.damaged_bytes)
            found.append((segment.id, segment.size, ids, cursor, damage))
    return found


@pytest.mark.parametrize("parts", [1, 3])
def test_reads_as_before(filled, parts):
    """
    A compressed segment has the same id, records and cursors, whatever compressed it.
    """
    before = read_all(SegmentReader(filled.parent))
    pack(filled, parts=parts)
    reader = SegmentReader(filled.parent)
    after = read_all(reader)

    assert [entry[2:] for entry in after] == [entry[2:] for entry in before]
    assert {entry[0] for entry in after} == {entry[0] for entry in before}
    assert reader.segments()[0].size == before[0][1]


def test_any_cursor_goes_on(filled):
    """
    A cursor of the plain file goes on in the compressed one, forwards or back.
    """
    plain = SegmentReader(filled.parent)
    (segment,) = plain.segments()
    chunks = [plain.read(segment, None, 20_000)]
    while chunks[-1].cursor.offset < segment.size:
        chunks.append(plain.read(segment, chunks[-1].cursor, 20_000))
    pack(filled)
    reader = SegmentReader(filled.parent)
    (segment,) = reader.segments()
    order = list(range(len(chunks) - 1))
    random.Random(2).shuffle(order)

    for at in order:
        found = reader.read(segment, chunks[at].cursor, 20_000)
        assert found.cursor == chunks[at + 1].cursor
        assert found.records == chunks[at + 1].records


def test_beside_its_original_it_is_nothing(filled):
    """
    While a segment is being compressed it is there once.
    """
    (before,) = SegmentReader(filled.parent).segments()
    pack(filled, keep=True)

    assert SegmentReader(filled.parent).segments() == (before,)


def test_a_new_file_of_the_day_is_another_segment(filled):
    """
    A late writer's file of a day that was compressed is read beside it.
    """
    pack(filled)
    journal = NdjsonJournal(filled.parent)
    journal.append(encode_line("event", id="00000000000000bb-1", timestamp="t"), NOON)
    journal.close()
    ids = [i for entry in read_all(SegmentReader(filled.parent)) for i in entry[2]]

    assert len(SegmentReader(filled.parent).segments()) == 2
    assert len(ids) == len(set(ids)) == 1001


@pytest.mark.parametrize("kind", ["cut", "flipped"])
def test_damage_is_counted_once(filled, kind):
    """
    What cannot be inflated is lost, counted, and keeps no reader from going on.
    """
    target = pack(filled)
    data = bytearray(target.read_bytes())
    if kind == "cut":
        del data[len(data) // 2 : -4]
    else:
        data[len(data) // 2 : len(data) // 2 + 64] = b"\xa5" * 64
    target.write_bytes(data)
    reader = SegmentReader(filled.parent)
    first, again = read_all(reader), read_all(reader)

    assert sum(entry[4][0] for entry in first) >= 1
    assert 0 < sum(len(entry[2]) for entry in first) < 1000
    assert [entry[2] for entry in again] == [entry[2] for entry in first]
    (segment,) = reader.segments()
    end = max(entry[3].offset for entry in first)
    assert reader.read(segment, first[-1][3], 1 << 20).cursor.offset == end


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", b"no gzip at all, but a file of that name"])
def test_rubbish_is_no_segment(tmp_path, content):
    """
    A file that is not compressed, whatever its name says, is passed over.
    """
    (tmp_path / "events_20261122.ndjson.gz").write_bytes(content)

    assert read_all(SegmentReader(tmp_path)) == []


def test_the_size_of_a_large_file_is_counted(filled, monkeypatch):
    """
    Where four bytes might not say the size, the file is read through.
    """
    size = filled.stat().st_size
    target = pack(filled, parts=2)
    assert packed.size_of(target).unpacked < size
    monkeypatch.setattr(packed, "_LARGEST_SURE_BYTES", 10)

    assert packed.size_of(target).unpacked == size
