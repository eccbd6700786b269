"""
Reading segments: what is whole is found, whatever happened around it.
"""

import os
import stat
from zlib import crc32

import pytest
from descriptors import needs_proc, open_below
from examples import share_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telemetry.model.codec import encode_line
from telemetry.sinks import Cursor
from telemetry.storage.segments import SegmentReader, header_line, segment_name

SECOND = 1_795_348_800
NAME = "events_20261122.ndjson"
FOREIGN = (
    b'{"run_id": "20240101T000000Z-agent-0123abcd", "event_type": "start", "payload": {"a": 1}}\n'
)


def line(number, size=0):
    """
    Return an event's line.
    """
    return encode_line(
        "event",
        id=f"00000000000000aa-{number}",
        timestamp="2026-11-22T12:00:00.000000Z",
        event_type="step",
        payload=b'{"text":"%b"}' % (b"x" * size),
    )


def short_line(number):
    """
    Return a line that is as short as can be, where each byte is tried.
    """
    return encode_line("event", id=f"aa-{number}", timestamp="t")


def header(segment_id="5e95e95e95e95e95"):
    """
    Return a segment's first line.
    """
    return header_line(segment_id, SECOND, "00000000000000aa")


def file_of(directory, *lines, name=NAME, segment_id="5e95e95e95e95e95"):
    """
    Write a segment.
    """
    path = directory / name
    path.write_bytes(b"".join([header(segment_id), *lines]))
    return path


def only(reader):
    """
    Return the one segment there is.
    """
    (segment,) = reader.segments()
    return segment


def read_on(reader, segment, cursor=None, max_bytes=65536):
    """
    Read to the end; return the numbers, the last cursor and all damage.
    """
    numbers, damage = [], 0
    while True:
        chunk = reader.read(segment, cursor, max_bytes)
        numbers += [record.number for record in chunk.records]
        damage += chunk.damaged_bytes
        cursor = chunk.cursor
        if cursor.offset == cursor.start:
            return numbers, cursor, damage


@pytest.mark.parametrize("directory", ["missing", "a-file"])
def test_no_directory_means_no_segments(tmp_path, directory):
    """
    A journal that was never written has nothing to read.
    """
    (tmp_path / "a-file").touch()

    assert SegmentReader(tmp_path / directory).segments() == ()


def test_segments_are_listed_by_day(tmp_path):
    """
    The oldest day comes first, also where days have several files.
    """
    names = [
        segment_name("20261123"),
        segment_name("20261122", "ffffffffffffffff"),
        segment_name("20261122"),
        "events_20251231.restored.ndjson",
    ]
    for number, name in enumerate(names):
        file_of(tmp_path, name=name, segment_id=f"id{number}")

    found = SegmentReader(tmp_path).segments()

    assert [segment.path.name[7:15] for segment in found] == [
        "20251231",
        "20261122",
        "20261122",
        "20261123",
    ]
    assert {segment.id for segment in found} == {"id0", "id1", "id2", "id3"}
    assert {segment.host for segment in found} == {os.uname().nodename}
    assert {segment.size for segment in found} == {len(header("id0"))}


def test_what_is_no_segment_is_left_out(tmp_path):
    """
    Other names, links, directories, empty files and files without a whole line are not listed.
    """
    file_of(tmp_path, name="events_20261122.ndjson.gz")
    file_of(tmp_path, name=".events_20261122.ndjson.aa.tmp")
    file_of(tmp_path, name="events_2026.ndjson")
    (tmp_path / "events_20261101.ndjson").symlink_to(tmp_path / "events_2026.ndjson")
    (tmp_path / "events_20261102.ndjson").mkdir()
    (tmp_path / "events_20261103.ndjson").touch()
    (tmp_path / "events_20261104.ndjson").write_bytes(header()[:50])

    assert SegmentReader(tmp_path).segments() == ()


def test_file_that_vanishes_or_cannot_be_read_is_left_out(tmp_path, monkeypatch):
    """
    One bad file does not hide the others.
    """
    file_of(tmp_path, line(1))
    file_of(tmp_path, line(2), name="events_20261123.ndjson", segment_id="other")
    real = os.open

    def refuse(path, *arguments, **options):
        if str(path).endswith("events_20261123.ndjson"):
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)

    assert [segment.path.name for segment in SegmentReader(tmp_path).segments()] == [NAME]


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(line(0), id="a record"),
        pytest.param(FOREIGN, id="another system's line"),
        pytest.param(header()[:40] + b"?" + header()[41:], id="a damaged header"),
        pytest.param(b"x" * 5000, id="no line at all"),
        pytest.param(
            encode_line("segment", id="s-0", timestamp="", body={"segment": 7}), id="no text"
        ),
        pytest.param(encode_line("segment", id="s-0", timestamp=""), id="no id"),
    ],
)
def test_file_without_header_is_known_by_its_name(tmp_path, first):
    """
    The identity is the same for every reader and after every append.
    """
    path = tmp_path / NAME
    path.write_bytes(first)
    before = only(SegmentReader(tmp_path))
    with path.open("ab") as file:
        file.write(line(1))

    assert before.id == only(SegmentReader(tmp_path)).id == NAME
    assert before.host == ""


def test_copy_is_told_from_its_original(tmp_path):
    """
    Two files with one header have two identities, so that each has its own cursor.
    """
    file_of(tmp_path, line(1))
    file_of(tmp_path, line(1), name="events_20261122.copy.ndjson")

    ids = {segment.path.name: segment.id for segment in SegmentReader(tmp_path).segments()}

    assert len(set(ids.values())) == 2
    assert "5e95e95e95e95e95" in ids.values()


def test_header_is_not_handed_on(tmp_path):
    """
    A segment's own line is no record for sinks, wherever it stands.
    """
    file_of(tmp_path, line(1), header("again"), line(2))
    reader = SegmentReader(tmp_path)

    assert read_on(reader, only(reader))[0] == [1, 2]


def test_cursor_tells_where_the_chunk_ends_and_began(tmp_path):
    """
    A cursor carries offset, start and the checksum of the bytes before it.
    """
    path = file_of(tmp_path, line(1), line(2))
    reader = SegmentReader(tmp_path)
    segment = only(reader)

    first = reader.read(segment, None, len(header()) + len(line(1)))
    second = reader.read(segment, first.cursor, 65536)
    third = reader.read(segment, second.cursor, 65536)

    middle = len(header()) + len(line(1))
    content = path.read_bytes()
    assert first.cursor == Cursor(segment.id, middle, crc32(content[:middle][-256:]), 0)
    assert second.cursor == Cursor(segment.id, len(content), crc32(content[-256:]), middle)
    assert third.cursor == Cursor(segment.id, len(content), crc32(content[-256:]), len(content))
    assert third.records == []


@settings(
    max_examples=share_of(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(sizes=st.lists(st.integers(0, 700), max_size=30), max_bytes=st.integers(1, 3000))
def test_any_chunk_size_reads_the_same(tmp_path, sizes, max_bytes):
    """
    Chunks of any size hold every record once, in order, and end at the file's end.
    """
    path = file_of(tmp_path, *(line(number, size) for number, size in enumerate(sizes)))
    reader = SegmentReader(tmp_path)

    numbers, cursor, damage = read_on(reader, only(reader), max_bytes=max_bytes)

    assert numbers == list(range(len(sizes)))
    assert cursor.offset == path.stat().st_size
    assert damage == 0


def test_unterminated_tail_is_left(tmp_path):
    """
    Half a line at the end may be a live writer's: it is neither taken nor counted, then read whole.
    """
    path = file_of(tmp_path, line(1))
    reader = SegmentReader(tmp_path)
    segment = only(reader)
    cursor = reader.read(segment, None, 65536).cursor
    for cut in range(1, len(line(2))):
        with path.open("ab") as file:
            file.write(line(2)[cut - 1 : cut])
        chunk = reader.read(segment, cursor, 65536)
        assert (list(chunk.records), chunk.cursor.offset, chunk.damaged_count) == (
            [],
            cursor.offset,
            0,
        )
    with path.open("ab") as file:
        file.write(b"\n")

    assert read_on(reader, segment, cursor)[0] == [2]


def test_truncation_at_every_byte(tmp_path):
    """
    Of a file cut anywhere, and then appended to, every record that is whole is found and no other.
    """
    lines = [short_line(number) for number in range(50)]
    path = file_of(tmp_path, *lines)
    ends = [len(header()) + sum(map(len, lines[: number + 1])) for number in range(50)]
    reader = SegmentReader(tmp_path)
    segment = only(reader)

    for cut in range(path.stat().st_size, len(header()) - 1, -1):
        os.truncate(path, cut)
        assert read_on(reader, segment)[0] == [n for n, end in enumerate(ends) if end <= cut]
        with path.open("ab") as file:
            file.write((b"\n" if cut % 2 else b"") + short_line(99))
        whole = [number for number, end in enumerate(ends) if end - 1 <= cut]
        assert read_on(reader, segment)[0] == [*whole, 99]


def test_truncation_inside_the_header(tmp_path):
    """
    Also without a whole header every whole record is found.
    """
    reader = SegmentReader(tmp_path)
    for cut in range(len(header())):
        (tmp_path / NAME).write_bytes(header()[:cut] + b"\n" + line(1) + line(2))
        assert read_on(reader, only(reader))[0] == [1, 2]


@pytest.mark.parametrize("mask", [0x01, 0x20, 0xFF])
def test_flip_of_every_byte(tmp_path, mask):
    """
    One wrong byte harms at most the lines it belongs to; no wrong record is ever made of it.
    """
    lines = [header(), *(short_line(number) for number in range(20))]
    content = b"".join(lines)
    owner = [number - 1 for number, whole in enumerate(lines) for _ in whole]
    path = tmp_path / NAME
    reader = SegmentReader(tmp_path)

    path.write_bytes(content)
    segment = only(reader)
    for position, byte in enumerate(content):
        path.write_bytes(content[:position] + bytes([byte ^ mask]) + content[position + 1 :])
        segment = only(reader) if position <= len(header()) else segment
        numbers, _, damage = read_on(reader, segment)
        assert set(range(20)) - {owner[position]} <= set(numbers)
        assert set(numbers) <= set(range(20))
        assert len(numbers) == len(set(numbers))
        assert damage > 0 or position == len(content) - 1 or len(numbers) == 20


def test_zeros_are_damage_around_whole_records(tmp_path):
    """
    A hole of zeros, between lines, inside one or at the end, costs no other record.
    """
    zeros = b"\0" * 4096
    torn = line(2)
    contents = {
        "between": (line(1) + zeros + b"\n" + line(2) + line(3), [1, 2, 3]),
        "glued": (line(1) + zeros + line(2) + line(3), [1, 2, 3]),
        "inside": (line(1) + torn[:60] + zeros + torn[60:] + line(3), [1, 3]),
        "over the end": (line(1) + torn[:60] + zeros + line(3), [1, 3]),
        "at the end": (line(1) + zeros, [1]),
    }
    for content, expected in contents.values():
        (tmp_path / NAME).write_bytes(header() + content)
        reader = SegmentReader(tmp_path)
        assert read_on(reader, only(reader))[0] == expected


def test_foreign_lines_are_counted_apart(tmp_path):
    """
    The original system's lines are neither records nor damage; broken ones are damage.
    """
    file_of(
        tmp_path,
        FOREIGN,
        line(1),
        FOREIGN,
        b"garbage\n",
        b'{"a": [1, 2}\n',
        b"[1]\n",
        line(2)[:50] + b"\n",
    )
    reader = SegmentReader(tmp_path)

    chunk = reader.read(only(reader), None, 65536)

    assert [record.number for record in chunk.records] == [1]
    assert chunk.foreign_count == 2
    assert chunk.damaged_count == 4
    assert chunk.damaged_bytes == len(b"garbage") + len(b'{"a": [1, 2}') + len(b"[1]") + 50


def test_nested_json_of_others_is_damage_not_a_crash(tmp_path):
    """
    A line that no decoder takes does not stop the reader.
    """
    file_of(tmp_path, b'{"a":' * 100_000 + b"\n", line(1))
    reader = SegmentReader(tmp_path)

    assert read_on(reader, only(reader))[0] == [1]


def test_other_versions_records_are_kept(tmp_path):
    """
    A record type that this version does not know is handed on.
    """
    file_of(
        tmp_path, encode_line("future", id="00000000000000aa-7", timestamp="t", body={"new": 1})
    )
    reader = SegmentReader(tmp_path)

    chunk = reader.read(only(reader), None, 65536)

    assert [record.record_type for record in chunk.records] == ["future"]


@pytest.mark.parametrize("change", ["cut", "emptied", "replaced", "shorter"])
def test_cursor_that_no_longer_fits_goes_back_to_the_start(tmp_path, change):
    """
    A cursor ahead of the file, or one whose last bytes have changed, skips nothing.
    """
    path = file_of(tmp_path, *(line(number) for number in range(10)))
    reader = SegmentReader(tmp_path)
    segment = only(reader)
    _, cursor, _ = read_on(reader, segment)
    if change == "cut":
        os.truncate(path, len(header()) + len(line(0)) * 3)
        expected = [0, 1, 2, 50]
    elif change == "emptied":
        os.truncate(path, 0)
        expected = [50]
    else:
        path.write_bytes(
            header() + b"".join(line(20 + n) for n in range(30 if change == "replaced" else 5))
        )
        expected = [*range(20, 50 if change == "replaced" else 25), 50]
    with path.open("ab") as file:
        file.write(line(50))

    numbers, after, _ = read_on(reader, segment, cursor)

    assert numbers == expected
    assert after.offset == path.stat().st_size
    assert reader.read(segment, cursor, 65536).cursor.start == 0


def test_file_with_an_equal_beginning_is_another_segment(tmp_path):
    """
    A file put in the place of another is known by its header, even where inode and records agree.
    """
    path = file_of(tmp_path, line(1), segment_id="one")
    reader = SegmentReader(tmp_path)
    before = only(reader)
    _, cursor, _ = read_on(reader, before)
    path.write_bytes(header("two") + line(1) + line(2))

    numbers, _, _ = read_on(reader, before, cursor)

    assert numbers == [1, 2]
    assert only(reader).id == "two"


def test_cursor_of_another_segment_is_not_used(tmp_path):
    """
    An offset means nothing in a file it was not taken in.
    """
    file_of(tmp_path, line(1))
    reader = SegmentReader(tmp_path)

    assert read_on(reader, only(reader), Cursor("other", 10, 5))[0] == [1]


def test_cursor_behind_a_lost_tail_skips_no_new_line(tmp_path):
    """
    When a power cut took lines that a sink had already seen, what is written then is still read.
    """
    path = file_of(tmp_path, *(line(number) for number in range(6)))
    reader = SegmentReader(tmp_path)
    segment = only(reader)
    _, cursor, _ = read_on(reader, segment)
    size = path.stat().st_size
    for lost in range(1, len(line(0)) * 3, 11):
        os.truncate(path, size - lost)
        with path.open("ab") as file:
            file.write(b"\n" + b"".join(line(100 + number) for number in range(8)))

        assert set(range(100, 108)) <= set(read_on(reader, segment, cursor)[0])


def test_line_longer_than_the_chunk_is_read_whole(tmp_path):
    """
    `max_bytes` bounds the reading, not the length of a line.
    """
    file_of(tmp_path, line(1, 3_000_000), line(2))
    reader = SegmentReader(tmp_path)

    assert read_on(reader, only(reader), max_bytes=1000)[0] == [1, 2]


def test_endless_line_is_damage(tmp_path):
    """
    Megabytes without a newline are passed over piece by piece, with the whole records in them kept.
    """
    path = file_of(tmp_path, line(1))
    with path.open("ab") as file:
        file.write(b"x" * 9_000_000 + line(2)[:-1] + b"y" * 9_000_000)
    os.truncate(path, 38_000_000)
    with path.open("ab") as file:
        file.write(b"\n" + line(3))
    reader = SegmentReader(tmp_path)

    numbers, _, damage = read_on(reader, only(reader))

    assert numbers in ([1, 3], [1, 2, 3])
    assert damage > 37_000_000


def test_zeros_may_be_data_on_their_way(tmp_path):
    """
    On a network file system zeros at the end wait for `settle_s`; lines before them do not.
    """
    now = [100.0]
    path = file_of(tmp_path, line(1), b"\0" * len(line(2)), line(3))
    reader = SegmentReader(tmp_path, settle_s=2.0, monotonic=lambda: now[0])
    segment = only(reader)

    numbers, cursor, damage = read_on(reader, segment)
    assert (numbers, damage) == ([1], 0)
    now[0] += 1
    with path.open("r+b") as file:
        file.seek(len(header()) + len(line(1)))
        file.write(line(2))
    assert read_on(reader, segment, cursor)[0] == [2, 3]


def test_zeros_that_stay_are_damage(tmp_path):
    """
    After `settle_s` the records behind the zeros are read.
    """
    now = [100.0]
    file_of(tmp_path, line(1), b"\0" * 100 + b"\n", line(3))
    reader = SegmentReader(tmp_path, settle_s=2.0, monotonic=lambda: now[0])
    segment = only(reader)
    numbers, cursor, _ = read_on(reader, segment)
    now[0] += 1
    assert (numbers, read_on(reader, segment, cursor)[0]) == ([1], [])
    now[0] += 1

    assert read_on(reader, segment, cursor)[0] == [3]


@needs_proc
def test_reading_changes_nothing(tmp_path):
    """
    A reader leaves modes, sizes and names as they are, and no descriptor open.
    """
    path = file_of(tmp_path, line(1))
    path.chmod(0o400)
    before = (path.stat().st_size, stat.S_IMODE(path.stat().st_mode))
    reader = SegmentReader(tmp_path)

    read_on(reader, only(reader))

    assert before == (path.stat().st_size, stat.S_IMODE(path.stat().st_mode))
    assert open_below(tmp_path) == []
    assert list(tmp_path.iterdir()) == [path]


def test_reading_a_vanished_segment_is_an_os_error(tmp_path):
    """
    Whoever holds a segment that was deleted is told so.
    """
    path = file_of(tmp_path, line(1))
    reader = SegmentReader(tmp_path)
    segment = only(reader)
    path.unlink()

    with pytest.raises(FileNotFoundError):
        reader.read(segment, None, 65536)
    path.mkdir()
    with pytest.raises(OSError, match="not a regular file"):
        reader.read(segment, None, 65536)


def test_a_line_that_is_no_text_is_damage(tmp_path):
    """
    A line of another program that only looks like JSON stops no reader.
    """
    path = tmp_path / "events_20261122.ndjson"
    path.write_bytes(b'{"a":"\xff"}\n{"a":1e999}\n')
    reader = SegmentReader(tmp_path)
    (segment,) = reader.segments()
    chunk = reader.read(segment, None, 1 << 20)

    assert (chunk.records, chunk.damaged_count) == ([], 2)
