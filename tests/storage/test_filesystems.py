import os

import pytest

from telemetry.storage.filesystems import _on_linux, file_system, is_local


@pytest.mark.skipif(not os.path.exists("/proc/self/mountinfo"), reason="the table is Linux's")
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
    device = os.stat(tmp_path).st_dev
    name = f"{os.major(device)}:{os.minor(device)}"
    table = _table(
        tmp_path,
        "21 1 0:999 / / rw - ext4 /dev/vda rw",
        f"22 21 {name} / /elsewhere rw shared:1 - nfs4 server:/x rw",
    )

    assert _on_linux(tmp_path, table) == "nfs4"


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

    assert _on_linux(inner, table) == "btrfs"
    assert _on_linux(inner.parent, table) == "btrfs"
    assert _on_linux(tmp_path, table) == "ext4"


def test_nobody_knows(tmp_path):
    """
    Without a table or a directory the answer is empty: an unknown file system.
    """
    assert _on_linux(tmp_path, tmp_path / "missing") == ""
    assert _on_linux(tmp_path / "missing", tmp_path / "missing") == ""
    assert _on_linux(tmp_path, _table(tmp_path)) == ""
