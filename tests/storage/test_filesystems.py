import os
from pathlib import Path

import pytest

from telemetry.storage.filesystems import file_system, is_local, mounted_kind


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="the table is Linux's")
def test_this_directory_has_one(tmp_path):
    """
    An existing directory lies on a file system that has a name.
    """
    assert file_system(tmp_path) != ""


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("ext4", True),
        ("tmpfs", True),
        ("APFS", True),
        ("nfs4", False),
        ("cifs", False),
        ("fuse.sshfs", False),
        ("virtiofs", False),
        ("9p", False),
        ("", False),
    ],
)
def test_only_what_is_known_to_be_local_is(name, local):
    """
    Network and unknown file systems are not trusted with shared memory.
    """
    assert is_local(name) is local


def _table(tmp_path, *lines):
    table = tmp_path / "mountinfo"
    table.write_text("".join(f"{line}\n" for line in lines))
    return table


def test_device_decides(tmp_path):
    """
    The mount with the directory's device is the one, wherever it is mounted.
    """
    device = tmp_path.stat().st_dev
    name = f"{os.major(device)}:{os.minor(device)}"
    table = _table(
        tmp_path,
        "21 1 0:999 / / rw - ext4 /dev/vda rw",
        f"22 21 {name} / /elsewhere rw shared:1 - nfs4 server:/x rw",
    )

    assert file_system(tmp_path, table) == "nfs4"


def test_longest_path_decides_for_unknown_devices(tmp_path):
    """
    A subvolume's device is not in the table; then the innermost mount above the directory is meant.
    """
    inner = tmp_path / "with space" / "data"
    inner.mkdir(parents=True)
    escaped = str(inner.parent).replace(" ", "\\040")
    table = _table(
        tmp_path,
        "21 1 0:997 / / rw - ext4 /dev/vda rw",
        f"22 21 0:998 / {escaped} rw - btrfs /dev/vdb rw",
        f"23 21 0:999 / {escaped}/dat rw - nfs4 server:/x rw",
    )

    assert file_system(inner, table) == "btrfs"
    assert file_system(inner.parent, table) == "btrfs"
    assert file_system(tmp_path, table) == "ext4"


def test_nobody_knows(tmp_path):
    """
    Without a table or a directory the answer is empty: an unknown file system.
    """
    assert file_system(tmp_path, tmp_path / "missing") == ""
    assert file_system(tmp_path / "missing", tmp_path / "missing") == ""
    assert file_system(tmp_path, _table(tmp_path)) == ""


def test_kind_of_a_directory_to_be(tmp_path):
    """
    A directory that does not exist yet counts as its nearest parent.
    """
    assert file_system(tmp_path / "not" / "yet") == file_system(tmp_path)


def test_lines_that_are_no_mounts_are_passed_over():
    """
    What cannot be read in the table hides nothing else.
    """
    lines = [
        "broken",
        "1 2 0:1 / / rw -",
        "22 1 0:28 / /home rw shared:2 master:1 - nfs4 server:/ rw",
    ]

    assert mounted_kind(lines, 0, 28, Path("/home/user")) == "nfs4"
    assert mounted_kind(lines, 0, 29, Path("/srv")) == ""
