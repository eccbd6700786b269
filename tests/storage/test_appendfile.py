"""
Making and opening files that others append to.
"""

import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from telemetry.storage.appendfile import (
    create_by_link,
    create_exclusively,
    is_torn,
    make_private_directory,
    open_private,
    open_to_append,
    open_to_read,
    read_at,
    sync_data,
    sync_directory,
    sync_file,
    take_place,
)


def test_directories_are_made_for_this_user(tmp_path):
    """
    Every missing level is made, the levels above stay as they are, and what changed is told.
    """
    tmp_path.chmod(0o755)

    changed = make_private_directory(tmp_path / "a" / "b")

    assert changed == [tmp_path, tmp_path / "a"]
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert make_private_directory(tmp_path / "a" / "b") == []


def test_file_in_the_way_of_a_directory(tmp_path):
    """
    A file is never taken for a directory, nor removed.
    """
    (tmp_path / "a").touch()

    with pytest.raises(FileExistsError):
        make_private_directory(tmp_path / "a")
    with pytest.raises(NotADirectoryError):
        make_private_directory(tmp_path / "a" / "b")


def test_root_that_is_missing(tmp_path, monkeypatch):
    """
    A path whose every parent is missing ends in an error, not in endless recursion.
    """

    def mkdir(*_arguments, **_options):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(Path, "mkdir", mkdir)

    with pytest.raises(FileNotFoundError):
        make_private_directory(tmp_path / "a")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc")
def test_a_file_system_that_takes_no_directory():
    """
    Where the system says that an existing parent is missing, that is the answer; nothing goes on.
    """
    with pytest.raises(FileNotFoundError):
        make_private_directory(Path("/proc/telemetry-test/below"))


def test_half_made_file_is_removed(tmp_path, monkeypatch):
    """
    A file that did not take its whole content does not stay.
    """
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))

    with pytest.raises(OSError, match="No space left"):
        create_exclusively(tmp_path / "file", b"content")
    assert list(tmp_path.iterdir()) == []


def test_file_that_is_there_is_not_made(tmp_path):
    """
    Exclusive creation never touches what another has made, nor follows a link.
    """
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")

    for name in ("file", "link"):
        with pytest.raises(FileExistsError):
            create_exclusively(tmp_path / name, b"content")
    assert (tmp_path / "file").read_bytes() == b"mine"


@pytest.mark.parametrize("umask", [0, 0o277, 0o777])
def test_a_file_that_is_opened_is_made_private(tmp_path, umask):
    """
    Whatever the umask; one that is there keeps the rights that somebody gave it.
    """
    (tmp_path / "shared").touch()
    (tmp_path / "shared").chmod(0o640)
    before = os.umask(umask)
    try:
        for name in ("new", "shared"):
            os.close(open_private(tmp_path / name, os.O_WRONLY))
    finally:
        os.umask(before)

    assert (tmp_path / "new").is_file()
    if sys.platform != "win32":
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "shared").stat().st_mode) == 0o640


def test_a_file_that_another_makes_first_is_opened(tmp_path, monkeypatch):
    """
    Between the look and the making, another process may be faster.
    """
    really = os.open

    def too_late(path, flags, *mode):
        if flags & os.O_CREAT:
            Path(path).write_bytes(b"theirs")
        return really(path, flags, *mode)

    monkeypatch.setattr(os, "open", too_late)
    fd = open_private(tmp_path / "file", os.O_RDONLY)
    content = os.read(fd, 10)
    os.close(fd)

    assert content == b"theirs"


def test_first_maker_wins(tmp_path):
    """
    Of two that make one file, the second leaves the first one's; no scratch file stays.
    """
    (tmp_path / "scratch").write_bytes(b"left by somebody who was killed")
    create_by_link(tmp_path / "file", b"first", tmp_path / "scratch")
    create_by_link(tmp_path / "file", b"second", tmp_path / "scratch")

    assert (tmp_path / "file").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_appending_goes_to_the_end(tmp_path):
    """
    Two descriptors never overwrite each other.
    """
    path = tmp_path / "file"
    path.write_bytes(b"0")
    fds = [open_to_append(path), open_to_append(path)]

    for number in range(4):
        os.write(fds[number % 2], b"%d" % number)

    assert path.read_bytes() == b"00123"
    for fd in fds:
        os.close(fd)


def test_number_stays_low_where_no_high_one_is_left(tmp_path, monkeypatch):
    """
    A process with few descriptors is served too.
    """
    import fcntl

    def refuse(*_arguments):
        raise OSError(errno.EINVAL, "Invalid argument")

    (tmp_path / "file").touch()
    monkeypatch.setattr(fcntl, "fcntl", refuse)
    fd = open_to_append(tmp_path / "file")

    assert os.write(fd, b"x") == 1
    os.close(fd)


def test_reading_needs_a_file(tmp_path):
    """
    Links, directories and pipes are not read; a pipe does not block.
    """
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")

    for name in ("link", "pipe", "."):
        with pytest.raises(OSError, match=r"regular|symbolic"):
            open_to_read(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "expected"), [(b"", False), (b"a\n", False), (b"a\nb", True), (b"\0", True)]
)
def test_torn_means_ending_inside_a_line(tmp_path, content, expected):
    """
    Only the last byte counts, and nothing in an empty file is torn.
    """
    path = tmp_path / "file"
    path.write_bytes(content)

    assert is_torn(path, len(content)) is expected


def test_unreadable_file_may_be_torn(tmp_path):
    """
    Where the end cannot be seen a newline too many is better than one too few.
    """
    assert is_torn(tmp_path / "missing", 5)


def test_new_file_under_an_old_number(tmp_path):
    """
    The number leads to the new file at once, and a started program does not inherit it.
    """
    old = os.open(tmp_path / "old", os.O_WRONLY | os.O_CREAT)
    new = os.open(tmp_path / "new", os.O_WRONLY | os.O_CREAT)

    assert take_place(new, old) == old
    os.write(old, b"x")

    assert (tmp_path / "new").read_bytes() == b"x"
    assert not os.get_inheritable(old)
    os.close(old)


def test_sync_of_what_is_gone_or_closed_to_us(tmp_path, monkeypatch):
    """
    What has gone needs no sync; what cannot be opened is to be tried again.
    """
    (tmp_path / "file").touch()

    assert sync_file(tmp_path / "file")
    assert sync_file(tmp_path / "missing")
    assert sync_directory(tmp_path)
    assert sync_directory(tmp_path / "missing")

    def refuse(*_arguments, **_options):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "open", refuse)
    assert not sync_file(tmp_path / "file")
    assert not sync_directory(tmp_path)


def test_sync_error_is_told(monkeypatch):
    """
    Data that the system lost is an error; a descriptor that cannot be synced is none.
    """
    reading, writing = os.pipe()
    sync_data(writing)
    for fd in (reading, writing):
        os.close(fd)

    with pytest.raises(OSError, match="Bad file descriptor"):
        sync_data(writing)


def test_reading_at_an_offset(tmp_path):
    """
    Reading beyond the end gives what there is.
    """
    (tmp_path / "file").write_bytes(b"0123456789")
    fd = open_to_read(tmp_path / "file")

    assert read_at(fd, 4, 3) == b"3456"
    assert read_at(fd, 4, 8) == b"89"
    assert read_at(fd, 4, 99) == b""
    os.close(fd)
