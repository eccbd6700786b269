from __future__ import annotations

import os

import pytest

from telemetry.model.errors import CursorMovedError
from telemetry.runtime.cursors import MAX_SEGMENTS, FileCursors, KeptCursors
from telemetry.sinks import Cursor


@pytest.fixture
def cursors(tmp_path):
    return FileCursors(tmp_path, "http")


def test_what_was_committed_is_loaded_by_another(cursors, tmp_path):
    """
    The file tells the next process where the sink stands.
    """
    cursors.commit(Cursor("a", 10, 123))
    cursors.commit(Cursor("b", 5, 7))
    cursors.commit(Cursor("a", 30, 99, start=10))

    assert FileCursors(tmp_path, "http").load() == {
        "a": Cursor("a", 30, 99),
        "b": Cursor("b", 5, 7),
    }


def test_a_position_that_has_moved_is_not_overwritten(cursors):
    """
    Only the range that begins where the stored one ends can be committed.
    """
    cursors.commit(Cursor("a", 10))

    with pytest.raises(CursorMovedError, match="must still be at 0"):
        cursors.commit(Cursor("a", 20, start=0))
    assert cursors.load()["a"].offset == 10


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"segments":{"a":1}}', b"\xff\x00"])
def test_a_damaged_file_means_the_beginning(cursors, content):
    """
    Records come again rather than be lost.
    """
    cursors.commit(Cursor("a", 10))
    cursors.path.write_bytes(content)

    assert cursors.load() == {}


def test_what_killed_processes_left_goes(cursors, tmp_path):
    """
    A file that was never put in place is removed when it is old; a younger one may be in use.
    """
    cursors.commit(Cursor("a", 10))
    old, young = (cursors.path.with_name(f".http.json.{pid}") for pid in (1, 2))
    for path in (old, young):
        path.write_bytes(b"{}")
    os.utime(old, (1, 1))
    FileCursors(tmp_path, "http").commit(Cursor("b", 10))

    assert sorted(path.name for path in cursors.path.parent.iterdir()) == [young.name, "http.json"]


def test_the_file_is_private_and_leaves_no_temporary_one(cursors):
    """
    Only its owner reads it; a replaced file leaves nothing beside it.
    """
    cursors.commit(Cursor("a", 10))

    assert [path.name for path in cursors.path.parent.iterdir()] == ["http.json"]
    assert cursors.path.stat().st_mode & 0o077 == 0


def test_segments_of_long_ago_are_forgotten(cursors):
    """
    The file does not grow for ever: the segments used last stay.
    """
    cursors._replace(
        b'{"segments":{' + b",".join(b'"s%d":[1,2]' % n for n in range(MAX_SEGMENTS)) + b"}}"
    )
    cursors.commit(Cursor("new", 1))

    loaded = cursors.load()
    assert len(loaded) == MAX_SEGMENTS
    assert "new" in loaded
    assert "s0" not in loaded


def test_a_sink_without_cursors_of_its_own_has_none(collector):
    """
    Asked for cursors, a sink that keeps none begins at the beginning.
    """
    assert KeptCursors(collector()).load() == {}
