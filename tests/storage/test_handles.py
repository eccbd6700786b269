import gc
import threading

import pytest

from telemetry.storage import handles
from telemetry.storage.handles import Handle
from telemetry.storage.sqlite import connect


@pytest.fixture
def handle(db):
    """
    Return a handle of a database.
    """
    handle = Handle(db, lambda: connect(db))
    yield handle
    handle.drop()


def test_one_connection_for_one_thread(handle):
    """
    A thread gets the same connection again; another thread gets one of its own.
    """
    mine = handle.get()
    theirs = []
    thread = threading.Thread(target=lambda: theirs.append(handle.get()))
    thread.start()
    thread.join()

    assert handle.get() is not theirs[0]
    assert theirs[0] is not mine
    assert handle.get() is handle.get()


def test_knows_when_its_file_is_gone(handle, db):
    """
    A file that is replaced or deleted is noticed; with none open nothing is amiss.
    """
    assert not handle.was_replaced()
    handle.get()
    assert not handle.was_replaced()
    db.unlink()

    assert handle.was_replaced()
    handle.drop()
    assert not handle.was_replaced()
    assert handle.file is None


def test_fork_waits_for_the_work_at_hand(handle, monkeypatch):
    """
    A fork waits for a batch that another thread is writing, but not for ever.
    """
    monkeypatch.setattr(handles, "FORK_WAIT_S", 0.05)
    begun, end = threading.Event(), threading.Event()

    def work():
        with handle.held():
            begun.set()
            end.wait(60)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait(60)
    handles._before_fork()
    assert handle not in handles._held_for_fork
    handles._after_fork_in_parent()
    end.set()
    thread.join()
    handles._before_fork()
    assert handle in handles._held_for_fork
    handles._after_fork_in_parent()
    assert handles._held_for_fork == []


def test_handles_are_not_kept_alive(db):
    """
    The hook knows handles only as long as somebody uses them.
    """
    before = len(handles._handles)
    handle = Handle(db, lambda: connect(db))
    assert len(handles._handles) == before + 1
    del handle
    gc.collect()

    assert len(handles._handles) <= before
