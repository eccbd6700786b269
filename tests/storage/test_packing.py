import gzip
import os

import pytest

from telemetry.model.codec import encode_line
from telemetry.storage import packing
from telemetry.storage.packed import PackedFile
from telemetry.storage.packing import ChangedSegmentError, pack, sweep_unfinished
from telemetry.storage.segments import SegmentReader
from telemetry_plugins.ndjson import NdjsonJournal

NOON = 1_795_348_800


def line(number, fill=b"x" * 300):
    return encode_line(
        "event",
        id=f"00000000000000aa-{number}",
        timestamp="2026-11-22T12:00:00.000000Z",
        payload=b'{"fill":"%b"}' % fill,
    )


def read_all(directory):
    reader = SegmentReader(directory)
    return [
        (segment.id, record.id)
        for segment in reader.segments()
        for record in reader.read(segment, None, 1 << 24).records
    ]


@pytest.fixture
def filled(tmp_path):
    """
    Return the path of a journal's file with fifty records.
    """
    journal = NdjsonJournal(tmp_path / "raw")
    for number in range(50):
        assert journal.append(line(number), NOON)
    journal.close()
    return tmp_path / "raw" / "events_20261122.ndjson"


def test_a_packed_segment_is_the_same_segment(filled):
    """
    Id, records, age and mode are as they were, any position goes on, and the file is smaller.
    """
    reader = SegmentReader(filled.parent)
    (before,) = reader.segments()
    position = reader.read(before, None, 4000).cursor
    rest = reader.read(before, position, 1 << 20)
    status, records = filled.stat(), read_all(filled.parent)
    heard = []
    freed = pack(filled, advance=heard.append)

    (path,) = filled.parent.iterdir()
    assert path.name == "events_20261122.ndjson.gz"
    assert freed == status.st_size - path.stat().st_size > 0
    assert sum(heard) == status.st_size
    assert path.stat().st_mode == status.st_mode
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    assert read_all(filled.parent) == records
    again = SegmentReader(filled.parent)
    assert again.segments()[0].size == before.size
    assert again.read(again.segments()[0], position, 1 << 20).cursor == rest.cursor


def test_who_listed_it_before_reads_it_still(filled):
    """
    A reader that has listed the plain file goes on in the compressed one.
    """
    reader = SegmentReader(filled.parent)
    (segment,) = reader.segments()
    position = reader.read(segment, None, 4000).cursor
    expected = reader.read(segment, position, 1 << 20)
    pack(filled)

    assert reader.read(segment, position, 1 << 20).cursor == expected.cursor


def test_a_file_without_a_header_keeps_its_id(filled):
    """
    What the original system wrote is known by the same name before and after.
    """
    other = filled.with_name("events_20200101.ndjson")
    other.write_bytes(b'{"not":"ours"}\n' * 9)
    before = [segment.id for segment in SegmentReader(filled.parent).segments()]
    pack(other)

    assert [segment.id for segment in SegmentReader(filled.parent).segments()] == before


@pytest.mark.parametrize("share", [0.3, 0.9, 1.0])
def test_what_a_killed_one_left_is_done_over(filled, share):
    """
    A part of a compressed file, or a whole one beside the plain file, counts once and is replaced.
    """
    records = read_all(filled.parent)
    data = gzip.compress(filled.read_bytes())
    target = filled.with_name(filled.name + ".gz")
    target.write_bytes(data[: int(len(data) * share)])
    filled.with_name(".packing." + target.name).write_bytes(b"half")
    assert read_all(filled.parent) == records
    pack(filled)

    assert [path.name for path in filled.parent.iterdir()] == [target.name]
    assert read_all(filled.parent) == records


def test_other_lines_are_never_replaced(filled):
    """
    A compressed file that holds something else is left, and so is the plain one.
    """
    target = filled.with_name(filled.name + ".gz")
    target.write_bytes(gzip.compress(filled.read_bytes() + line(99)))
    with pytest.raises(ChangedSegmentError, match="something else"):
        pack(filled)

    assert filled.exists()
    assert target.exists()


def test_a_writer_that_comes_back_loses_nothing(filled):
    """
    What is written to the plain file before it goes keeps it; what is written later gets a file.
    """
    journal = NdjsonJournal(filled.parent)
    assert journal.append(line(100), NOON)

    def write_on(_):
        assert journal.append(line(101), NOON)

    with pytest.raises(ChangedSegmentError, match="written to"):
        pack(filled, advance=write_on)
    assert [path.name for path in filled.parent.iterdir()] == [filled.name]
    fd = os.open(filled, os.O_WRONLY | os.O_APPEND)
    keeper = os.open(filled, os.O_RDONLY)
    size = filled.stat().st_size
    pack(filled)
    os.write(fd, line(102))
    packing._keep_late(filled, keeper, size)
    for each in (fd, keeper):
        os.close(each)
    journal.close()

    numbers = sorted(int(record.partition("-")[2]) for _, record in read_all(filled.parent))
    assert numbers == [*range(50), 100, 101, 102]


def test_no_room_changes_nothing(filled, monkeypatch):
    """
    A disk that is full ends it; the plain file is there, and nothing else.
    """

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync" if hasattr(os, "fdatasync") else "fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        pack(filled)

    assert [path.name for path in filled.parent.iterdir()] == [filled.name]


def test_unfinished_work_is_swept(filled):
    """
    Only files that were being compressed go.
    """
    filled.with_name(".packing.events_20261122.ndjson.gz").write_bytes(b"half")
    sweep_unfinished(filled.parent)

    assert [path.name for path in filled.parent.iterdir()] == [filled.name]


def test_a_torn_end_stays_as_it_is(filled):
    """
    Half a line at the end is kept byte for byte.
    """
    with filled.open("ab") as file:
        file.write(line(7)[:40])
    content = filled.read_bytes()
    pack(filled)

    packed = PackedFile(filled.with_name(filled.name + ".gz"))
    assert packed.read_at(len(content) + 1, 0) == content
