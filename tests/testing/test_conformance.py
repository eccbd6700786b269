"""
The conformance checks: a sink that keeps the rules passes, and each broken rule is found.
"""

from __future__ import annotations

import json
import os
import threading

import pytest

from telemetry.model.errors import CursorMovedError
from telemetry.sinks import Cursor
from telemetry.testing import SinkConformance, check_sink, elsewhere, sample_records


class FileSink:
    """
    Appends ids to a file: at least once.
    """

    name = "file"

    def __init__(self, base):
        self.path = base / "ids"

    def write(self, batch, cursor, /):
        with self.path.open("a") as file:
            file.writelines(f"{record.id}\n" for record in batch)

    def close(self):
        pass


class KeeperSink(FileSink):
    """
    Keeps ids and cursors in one file: exactly once.
    """

    name = "keeper"

    def state(self):
        return (
            json.loads(self.path.read_text()) if self.path.exists() else {"ids": [], "cursors": {}}
        )

    def cursors(self):
        return {
            segment: Cursor(segment, *each) for segment, each in self.state()["cursors"].items()
        }

    def write(self, batch, cursor, /):
        state = self.state()
        if cursor.segment:
            if state["cursors"].get(cursor.segment, [0])[0] != cursor.start:
                raise CursorMovedError("another was faster")
            state["cursors"][cursor.segment] = [cursor.offset, cursor.fingerprint]
        state["ids"] = list(dict.fromkeys([*state["ids"], *(record.id for record in batch)]))
        self.path.write_text(json.dumps(state))


def ids_in(base):
    """
    Return what a FileSink has written.
    """
    return (base / "ids").read_text().split() if (base / "ids").exists() else []


class TestFileSink(SinkConformance):
    repeats_are_harmless = False

    def make_sink(self, base):
        return FileSink(base)

    def delivered(self, base):
        return ids_in(base)


class TestKeeperSink(SinkConformance):
    def make_sink(self, base):
        return KeeperSink(base)

    def delivered(self, base):
        return KeeperSink(base).state()["ids"]


class Unnamed(FileSink):
    name = "../elsewhere"


class Renamed(FileSink):
    names = iter(f"sink-{number}" for number in range(1000))

    def __init__(self, base):
        super().__init__(base)
        self.name = next(self.names)


class Reversing(FileSink):
    def write(self, batch, cursor, /):
        super().write(batch[::-1], cursor)


class Forgetful(FileSink):
    def write(self, batch, cursor, /):
        super().write(batch[1:], cursor)


class Picky(FileSink):
    def write(self, batch, cursor, /):
        for record in batch:
            {"run": 1, "event": 2, "commit": 3}[record.record_type]
        super().write(batch, cursor)


class Overwriting(FileSink):
    def __init__(self, base):
        super().__init__(base)
        self.path.unlink(missing_ok=True)


class Changing(FileSink):
    def write(self, batch, cursor, /):
        import msgspec

        super().write(batch, cursor)
        for record in batch:
            msgspec.structs.force_setattr(record, "run_id", "mine")


class Homebound(FileSink):
    def __init__(self, base):
        import threading

        super().__init__(base)
        self.home = threading.get_ident()

    def write(self, batch, cursor, /):
        import threading

        if threading.get_ident() != self.home:
            raise RuntimeError("made in another thread")
        super().write(batch, cursor)


class ClosedOnce(FileSink):
    is_closed = False

    def close(self):
        if self.is_closed:
            raise ValueError("closed already")
        self.is_closed = True


class Restless(FileSink):
    def idle(self):
        raise RuntimeError("never idle")


class Repeating(FileSink):
    pass


class Careless(KeeperSink):
    """
    Does not compare before it sets.
    """

    def write(self, batch, cursor, /):
        try:
            super().write(batch, cursor)
        except CursorMovedError:
            super().write(batch, Cursor("", 0))


class Parental(FileSink):
    """
    Works in the process that made it.
    """

    def __init__(self, base):
        super().__init__(base)
        self.pid = os.getpid()

    def write(self, batch, cursor, /):
        assert os.getpid() == self.pid
        super().write(batch, cursor)


class Childless(FileSink):
    """
    Never comes back in a child.
    """

    def __init__(self, base):
        super().__init__(base)
        self.pid = os.getpid()

    def write(self, batch, cursor, /):
        if os.getpid() != self.pid:
            threading.Event().wait()
        super().write(batch, cursor)


class Startled(FileSink):
    """
    Tells of cursors that it does not keep.
    """

    def write(self, batch, cursor, /):
        if self.path.exists() and batch[0].id in self.path.read_text().split():
            raise CursorMovedError("but there is no cursor here")
        super().write(batch, cursor)


class Amnesiac(KeeperSink):
    def cursors(self):
        return {}


@pytest.mark.parametrize(
    "sink",
    [
        Unnamed,
        Renamed,
        Reversing,
        Forgetful,
        Picky,
        Overwriting,
        Changing,
        Homebound,
        ClosedOnce,
        Restless,
        Careless,
        Startled,
        Amnesiac,
    ],
)
def test_a_broken_rule_is_found(sink):
    """
    Each of these sinks breaks one rule, and does not pass.
    """
    with pytest.raises((AssertionError, RuntimeError, ValueError, KeyError)):
        check_sink(
            sink,
            delivered=ids_in
            if not issubclass(sink, KeeperSink)
            else lambda base: sink(base).state()["ids"],
            repeats_are_harmless=False,
        )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks there")
@pytest.mark.parametrize(
    ("sink", "message"),
    [(Parental, "in a child must succeed"), (Childless, "in a child must return")],
)
def test_a_sink_that_fails_in_a_child_is_found(sink, message, monkeypatch):
    """
    A child that raises or hangs is a broken rule, and nothing of it is left behind.
    """
    monkeypatch.setattr(elsewhere, "TIMEOUT_S", 0.3)

    with pytest.raises(AssertionError, match=message):
        check_sink(sink, delivered=ids_in, repeats_are_harmless=False)


def test_repeats_must_be_harmless_or_declared():
    """
    A sink that delivers twice says so.
    """
    with pytest.raises(AssertionError, match="each once"):
        check_sink(Repeating, delivered=ids_in)

    check_sink(Repeating, delivered=ids_in, repeats_are_harmless=False)


def test_a_sink_whose_deliveries_nobody_sees_is_checked_for_the_rest():
    """
    Errors, threads and cursors are visible without looking at what has arrived.
    """
    check_sink(FileSink)

    with pytest.raises(KeyError):
        check_sink(Picky)


def test_sample_records_are_whole_and_unique():
    """
    The samples are what a journal would hand over.
    """
    records = sample_records(5)

    assert len({record.id for record in records}) == len(records)
    assert len({record.event_id for record in records}) == 5
    assert all(record.line for record in records)
    assert {record.record_type for record in records} == {"run", "event", "commit", "weather"}
