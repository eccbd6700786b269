"""
Opening the shared file of a day, against everything that may stand in its place.
"""

import os
import time

import pytest

from telemetry.storage.appendfile import identity_of
from telemetry.storage.dayfile import NotShareableError, open_own, open_shared


def test_shared_file_is_made_once(tmp_path):
    """
    The first opener makes the file with its first line; the next ones take it as it is.
    """
    path = tmp_path / "events_20261122.ndjson"
    for header in (b"first\n", b"second\n"):
        os.close(open_shared(path, header, "aa", {}))

    assert path.read_bytes() == b"first\n"


def test_file_that_was_given_up_is_refused_with_the_reason(tmp_path):
    """
    A file that has lost data is not opened again by the same process.
    """
    path = tmp_path / "events_20261122.ndjson"
    path.touch()

    with pytest.raises(NotShareableError, match="lost data"):
        open_shared(path, b"", "aa", {identity_of(path.stat()): "lost data"})


def test_file_that_is_deleted_as_often_as_it_is_made(tmp_path, monkeypatch):
    """
    Against somebody who deletes for ever there is an error in the end, no endless loop.
    """
    path = tmp_path / "events_20261122.ndjson"
    link = os.link

    def link_and_delete(source, target):
        link(source, target)
        path.unlink()

    monkeypatch.setattr(os, "link", link_and_delete)

    with pytest.raises(OSError, match="deleted as often"):
        open_shared(path, b"", "aa", {})
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_not_a_reason_for_another_file(tmp_path, monkeypatch):
    """
    Errors that another file would meet too are raised.
    """

    def link(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", link)

    with pytest.raises(OSError, match="No space left"):
        open_shared(tmp_path / "events_20261122.ndjson", b"", "aa", {})
    assert list(tmp_path.iterdir()) == []


def test_input_error_on_opening_is_raised(tmp_path, monkeypatch):
    """
    A disk that cannot open the file is not taken for a file of another user.
    """
    path = tmp_path / "events_20261122.ndjson"
    path.touch()

    def refuse(*_arguments, **_options):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "open", refuse)

    with pytest.raises(OSError, match="Input/output"):
        open_shared(path, b"", "aa", {})


def test_debris_that_cannot_be_removed_is_left(tmp_path):
    """
    Sweeping is a favour: a directory of that name does not stop the journal.
    """
    debris = tmp_path / ".events_1.ndjson.a.tmp"
    debris.mkdir()
    os.utime(debris, (time.time() - 3600,) * 2)

    os.close(open_shared(tmp_path / "events_20261122.ndjson", b"x\n", "aa", {}))
    assert debris.is_dir()


def test_own_file_is_made_and_found_again(tmp_path):
    """
    A file of one writer is opened again as it was left.
    """
    path = tmp_path / "events_20261122.aa.ndjson"
    fd = open_own(path, b"header\n")
    os.write(fd, b"line\n")
    os.close(fd)
    os.close(open_own(path, b"another\n"))

    assert path.read_bytes() == b"header\nline\n"
