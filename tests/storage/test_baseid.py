from __future__ import annotations

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from telemetry.storage.baseid import FILE_NAME, base_id


def test_it_stays_the_same(tmp_path):
    """
    Whoever asks first draws it, and everybody after that is told the same.
    """
    first = base_id(tmp_path / "base" / "state")

    assert base_id(tmp_path / "base" / "state") == first
    assert len(bytes.fromhex(first)) == 16


def test_two_directories_differ(tmp_path):
    """
    It is drawn at random for each base directory.
    """
    assert base_id(tmp_path / "a") != base_id(tmp_path / "b")


def test_of_many_at_once_one_wins(tmp_path):
    """
    Processes that start together agree.
    """
    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(lambda _: base_id(tmp_path / "state"), range(64)))

    assert len(found) == 1
    assert [path.name for path in (tmp_path / "state").iterdir()] == [FILE_NAME]


def test_the_file_is_private(tmp_path):
    """
    Nobody else can read it, whatever the umask.
    """
    before = os.umask(0)
    try:
        base_id(tmp_path / "state")
    finally:
        os.umask(before)

    if os.name != "nt":
        assert stat.S_IMODE((tmp_path / "state" / FILE_NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"0123", b"z" * 32 + b"\n", b"0" * 64 + b"\n"])
def test_a_damaged_file_is_drawn_anew(content, tmp_path):
    """
    What is no identity is replaced, and the new one stays.
    """
    path = tmp_path / FILE_NAME
    path.write_bytes(content)
    found = base_id(tmp_path)

    assert base_id(tmp_path) == found
    assert path.read_text() == f"{found}\n"


def test_a_file_system_without_links_will_do(tmp_path, monkeypatch):
    """
    Where there are no hard links, the file is created under its name.
    """

    def refuse(source, target):
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)

    assert base_id(tmp_path) == base_id(tmp_path)


def test_what_cannot_be_made_is_an_error(tmp_path, monkeypatch):
    """
    A file in the place of the directory, or a full disk, is said, not hidden.
    """
    (tmp_path / "state").write_text("")
    with pytest.raises(OSError, match="state"):
        base_id(tmp_path / "state")

    def fill(source, target):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "link", fill)
    with pytest.raises(OSError, match="full"):
        base_id(tmp_path / "other")
