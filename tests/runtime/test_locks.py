from __future__ import annotations

import os
import sys

import pytest
from descriptors import needs_proc, open_below
from forking import in_child

from telemetry.runtime.locks import RecordLock, locked_by_another

FAR = 2**62 - 1
HOLD = """
import sys
from pathlib import Path
from telemetry.runtime.locks import RecordLock
lock = RecordLock(Path(sys.argv[1]) / "x.lock", int(sys.argv[2]))
print(lock.try_acquire(), flush=True)
sys.stdin.readline()
"""

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.lock"


@pytest.mark.parametrize("offset", [0, 1, FAR])
def test_a_lock_excludes_other_processes(path, child, offset):
    """
    What one process holds, no other can take, until it ends.
    """
    other = child(HOLD, offset)
    assert other.stdout.readline() == "True\n"
    lock = RecordLock(path, offset)

    assert not lock.try_acquire()
    assert locked_by_another(path, offset)
    other.kill()
    other.wait()
    assert not locked_by_another(path, offset)
    assert lock.try_acquire()
    lock.release()


def test_a_lock_excludes_other_objects_of_its_process(path):
    """
    The system would let a process lock a byte twice; the registry does not.
    """
    first, second = RecordLock(path), RecordLock(path)

    assert first.try_acquire()
    assert not second.try_acquire()
    first.release()
    assert second.try_acquire()
    second.release()


def test_bytes_of_one_file_are_locked_apart(path):
    """
    A lock is on one byte; releasing it leaves the others.
    """
    first, second = RecordLock(path, 3), RecordLock(path, 4)

    assert first.try_acquire()
    assert second.try_acquire()
    first.release()
    assert not locked_by_another(path, 3)
    assert locked_by_another(path, 4)
    second.release()


def test_a_held_lock_is_taken_again_and_released_once(path):
    """
    Taking what is held, and releasing what is not, changes nothing.
    """
    lock = RecordLock(path)

    assert lock.try_acquire()
    assert lock.try_acquire()
    assert lock.held
    lock.release()
    lock.release()
    assert not lock.held


def test_asking_does_not_create_a_file(path):
    """
    A file that does not exist is locked by nobody.
    """
    assert not locked_by_another(path)
    assert not path.exists()


def test_asking_does_not_drop_what_is_held(path, child):
    """
    Closing any descriptor of a file would drop its locks; questions close none.
    """
    lock = RecordLock(path)
    assert lock.try_acquire()

    assert not locked_by_another(path, 7)
    assert child(HOLD, 0).stdout.readline() == "False\n"
    lock.release()


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")
def test_a_file_has_one_lock_under_all_its_names(path, tmp_path):
    """
    A file is known by its device and inode, not by its path.
    """
    lock = RecordLock(path)
    assert lock.try_acquire()
    alias = tmp_path / "alias.lock"
    alias.symlink_to(path)

    assert not RecordLock(alias).try_acquire()
    assert not locked_by_another(alias, 5)
    assert locked_by_another(path)
    lock.release()


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be deleted")
def test_a_lock_follows_its_path_to_a_new_file(path):
    """
    After somebody deleted the file, taking the lock again takes it on the new one.
    """
    lock = RecordLock(path)
    assert lock.try_acquire()
    path.unlink()

    other = RecordLock(path)
    assert other.try_acquire()
    assert not lock.try_acquire()
    other.release()
    assert lock.try_acquire()
    lock.release()


@needs_fork
def test_a_child_holds_nothing_of_its_parent(path):
    """
    In a forked child the lock is not held, cannot be taken, and is not lost when the child ends.
    """
    lock = RecordLock(path)
    assert lock.try_acquire()

    answer = in_child(lambda: (lock.held, lock.try_acquire(), RecordLock(path).try_acquire()))
    assert answer == "(False, False, False)"
    assert lock.held
    assert in_child(lambda: locked_by_another(path)) == "True"
    lock.release()


@needs_fork
def test_a_lock_ends_with_its_process_though_a_child_lives_on(path, child):
    """
    A leader that forked and died leaves no lock behind in its child.
    """
    leader = child(
        """
import os, sys
from pathlib import Path
from telemetry.runtime.locks import RecordLock
lock = RecordLock(Path(sys.argv[1]) / "x.lock")
assert lock.try_acquire()
if os.fork():
    os._exit(0)
print("child", flush=True)
sys.stdin.readline()
"""
    )
    assert leader.stdout.readline() == "child\n"
    leader.wait()

    assert not locked_by_another(path)
    lock = RecordLock(path)
    assert lock.try_acquire()
    lock.release()


def test_a_missing_directory_is_an_error(tmp_path):
    """
    Whoever locks makes the directory first.
    """
    with pytest.raises(FileNotFoundError):
        RecordLock(tmp_path / "missing" / "x.lock").try_acquire()


@needs_proc
def test_a_released_lock_leaves_no_descriptor(path):
    """
    A file in which nothing is locked is closed.
    """
    lock = RecordLock(path)

    assert lock.try_acquire()
    assert open_below(path.parent) == [path.resolve()]
    lock.release()
    locked_by_another(path)
    assert open_below(path.parent) == []
