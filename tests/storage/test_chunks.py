from __future__ import annotations

import attrs
import pytest

from telemetry.storage.chunks import chunks_of

COUNT = 50


@pytest.fixture
def segment(journal, tell):
    """
    Return the one segment of a journal with some records.
    """
    for number in range(COUNT):
        tell(number)
    (segment,) = journal.segments()
    return segment


def numbers(chunks):
    """
    Return the numbers of the records, the segment's header left out.
    """
    return [r.number for chunk in chunks for r in chunk.records if r.record_type != "segment"]


def test_all_of_it_comes_once_in_order(journal, segment):
    """
    However small the pieces are.
    """
    pieces = list(chunks_of(journal, segment, max_bytes=1))

    assert len(pieces) > 1
    assert numbers(pieces) == numbers(chunks_of(journal, segment)) == sorted(numbers(pieces))
    assert len(numbers(pieces)) >= COUNT


def test_it_goes_on_behind_a_cursor(journal, segment):
    """
    The pieces behind a piece are those that would have come next.
    """
    first, *rest = chunks_of(journal, segment, max_bytes=2000)

    assert numbers(chunks_of(journal, segment, first.cursor)) == numbers(rest)
    assert list(chunks_of(journal, segment, rest[-1].cursor)) == []


def test_a_cursor_that_does_not_fit_begins_anew(journal, segment):
    """
    Even one that lies at the very end: the file is another than the one that was read.
    """
    *_, last = chunks_of(journal, segment)
    foreign = attrs.evolve(last.cursor, fingerprint=last.cursor.fingerprint ^ 1)

    assert numbers(chunks_of(journal, segment, foreign)) == numbers(chunks_of(journal, segment))


def test_what_is_damaged_at_the_end_is_told(journal, segment):
    """
    A piece that holds nothing but damage comes, too; then it is over.
    """
    with segment.path.open("ab") as file:
        file.write(b"rubbish\n")
    segment = attrs.evolve(segment, size=segment.size + 8)

    assert sum(chunk.damaged_count for chunk in chunks_of(journal, segment)) == 1


def test_one_that_grows_all_the_while_ends(journal, segment, tell):
    """
    What is added while it is read does not keep it from ending.
    """
    total = 0
    for chunk in chunks_of(journal, segment, max_bytes=1):
        tell(1000 + total)
        total += len(chunk.records)

    assert total >= COUNT
