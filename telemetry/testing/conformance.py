"""
What every sink must do, as tests.

Subclass `SinkConformance` in a test module, or call `check_sink` from anywhere:

    class TestMySink(SinkConformance):
        def make_sink(self, base):
            return MySink(base / "out.txt")

        def delivered(self, base):
            return [line.split()[0] for line in (base / "out.txt").read_text().splitlines()]
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Optional

import attrs

from telemetry.model.errors import CursorMovedError
from telemetry.sinks import Cursor, CursorKeeper
from telemetry.testing.elsewhere import OtherThread, in_child
from telemetry.testing.samples import batches_of, sample_batches, sample_records

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from telemetry.model.records import Record
    from telemetry.sinks import Sink

    Batch = tuple[tuple[Record, ...], Cursor]

#: The position of records that no segment has.
_NOWHERE = Cursor("", 0)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class SinkConformance(ABC):
    """
    The checks; each is a test of its own with a directory of its own.
    """

    #: Whether a record that comes twice is there once. False declares at-least-once delivery, such
    #: as appending to a file: the sink's documentation must say so, too.
    repeats_are_harmless: ClassVar[bool] = True

    @abstractmethod
    def make_sink(self, base: Path) -> Sink:
        """
        Return a new sink that keeps its data in a directory; called several times for one.
        """

    def delivered(self, base: Path) -> Optional[Sequence[str]]:
        """
        Return the ids of the records that have arrived, in order; None where nobody can see them.

        Asked while no sink is open.
        """
        return None

    def is_shown(self, record: Record) -> bool:
        """
        Return whether `delivered` shows a record that has arrived; a sink may keep only some.
        """
        return True

    def test_its_name_can_name_files(self, tmp_path: Path) -> None:
        """
        The name names a cursor, a lock and dead letters, so it is the same in each process.
        """
        names = []
        for _ in range(2):
            sink = self.make_sink(tmp_path)
            names.append(sink.name)
            sink.close()
        _require(
            _NAME.fullmatch(str(names[0])) is not None,
            f"a name must be letters, digits, dots, dashes and underscores (got {names[0]!r})",
        )
        _require(
            names[0] == names[1], f"a name must stay the same (got {names[0]!r}, {names[1]!r})"
        )

    def test_records_arrive_in_order(self, tmp_path: Path) -> None:
        """
        All of them, in the order of the journal.
        """
        batches = sample_batches()
        self._write(tmp_path, batches)
        self._expect(tmp_path, batches)

    def test_a_sink_goes_on_where_another_process_ended(self, tmp_path: Path) -> None:
        """
        A new sink over the same data takes the next batch.
        """
        batches = sample_batches()
        for batch in batches:
            self._write(tmp_path, [batch])
        self._expect(tmp_path, batches)

    def test_segments_are_apart(self, tmp_path: Path) -> None:
        """
        Positions in one segment say nothing about another.
        """
        records = sample_records(2)
        half = len(records) // 2
        batches = [
            *batches_of(records[:half], 5, segment="5e9a1c000000000a"),
            *batches_of(records[half:], 5, segment="5e9a1c000000000b"),
        ]
        self._write(tmp_path, batches)
        self._expect(tmp_path, batches)

    def test_what_it_does_not_know_is_taken(self, tmp_path: Path) -> None:
        """
        A record of an unknown type, and a known one with an unknown field, are no errors.
        """
        unknown = [
            record
            for record in sample_records()
            if record.record_type == "weather" or b"field_of_tomorrow" in record.line
        ]
        batches = batches_of(unknown, 1)
        self._write(tmp_path, batches)
        self._expect(tmp_path, batches)

    def test_records_are_left_as_they_are(self, tmp_path: Path) -> None:
        """
        Other sinks are handed the same objects.
        """
        batches = sample_batches()
        before = [[_content(record) for record in records] for records, _ in batches]
        self._write(tmp_path, batches)
        after = [[_content(record) for record in records] for records, _ in batches]
        _require(after == before, "a record must not be changed by a sink")

    def test_a_batch_that_comes_again_is_no_error(self, tmp_path: Path) -> None:
        """
        After a crash between the sink and its cursor the batch comes once more, to a new process.
        """
        batches = sample_batches()
        self._write(tmp_path, batches[:2])
        self._write_again(tmp_path, batches[1])
        self._write(tmp_path, batches[2:])
        self._expect(tmp_path, batches)

    def test_records_without_a_position_are_taken(self, tmp_path: Path) -> None:
        """
        What the journal could not take comes with no segment, and may come again with one.
        """
        batches = sample_batches()
        self._write(tmp_path, [(batches[0][0], _NOWHERE)])
        sink = self.make_sink(tmp_path)
        if isinstance(sink, CursorKeeper):
            _require(not sink.cursors(), "a batch without a segment must not become a cursor")
        sink.close()
        if self.repeats_are_harmless:
            self._write(tmp_path, batches)
            self._expect(tmp_path, batches)

    def test_cursors_are_kept_with_the_records(self, tmp_path: Path) -> None:
        """
        A sink that keeps cursors has a position as soon as its batch is in, and after its end.
        """
        for records, cursor in sample_batches():
            sink = self._keeper(tmp_path)
            if sink is None:
                return
            sink.write(records, cursor)
            _same_position(sink, cursor)
            sink.close()
            reopened = self._keeper(tmp_path)
            _same_position(reopened, cursor)
            _close(reopened)

    def test_a_position_without_records_is_kept(self, tmp_path: Path) -> None:
        """
        Damaged lines and the segment's own header move the cursor and bring nothing.
        """
        sink = self._keeper(tmp_path)
        if sink is None:
            return
        _, cursor = sample_batches()[0]
        sink.write((), cursor)
        _same_position(sink, cursor)
        sink.close()
        self._expect(tmp_path, [])

    def test_an_overtaken_process_changes_nothing(self, tmp_path: Path) -> None:
        """
        Of two that stand at the same cursor, the second is told, and its rows are not there.
        """
        first, second = self._keeper(tmp_path), self._keeper(tmp_path)
        if first is None or second is None:
            return
        batches = sample_batches()
        second.cursors()
        first.write(*batches[0])
        longer = (batches[0][0] + batches[1][0], attrs.evolve(batches[1][1], start=0))
        try:
            second.write(*longer)
        except CursorMovedError:
            pass
        else:
            raise AssertionError("a write from a cursor that has moved must be a CursorMovedError")
        _same_position(second, batches[0][1])
        second.write(*batches[1])
        first.close()
        second.close()
        self._expect(tmp_path, batches[:2])

    def test_any_thread_may_call_it(self, tmp_path: Path) -> None:
        """
        One thread at a time, but not always the same: made, used and closed by three.
        """
        batches = sample_batches()
        with ExitStack() as stack:
            # All alive at once: the number of a thread that has ended is given away again.
            maker, writer, closer = (stack.enter_context(OtherThread()) for _ in range(3))
            sink = maker.call(lambda: self.make_sink(tmp_path))
            for batch in batches:
                writer.call(partial(sink.write, *batch))
            closer.call(sink.close)
        self._expect(tmp_path, batches)

    def test_a_child_process_goes_on_with_it(self, tmp_path: Path) -> None:
        """
        After a fork the child may use the sink, and the parent's is none the worse.
        """
        if not hasattr(os, "fork"):  # pragma: no cover (Windows)
            return
        batches = sample_batches()
        sink = self.make_sink(tmp_path)
        sink.write(*batches[0])

        def go_on() -> None:  # pragma: no cover (runs in the child)
            _call(sink, "after_fork")
            sink.write(*batches[1])
            sink.close()

        in_child(go_on)
        sink.close()
        self._write(tmp_path, batches[2:])
        self._expect(tmp_path, batches)

    def test_close_may_be_called_twice(self, tmp_path: Path) -> None:
        """
        And without a batch in between, or before.
        """
        unused = self.make_sink(tmp_path)
        unused.close()
        unused.close()
        used = self.make_sink(tmp_path)
        used.write(*sample_batches()[0])
        used.close()
        used.close()

    def test_the_optional_methods_can_be_called(self, tmp_path: Path) -> None:
        """
        ``idle`` when it has caught up, at any time; ``after_fork`` before anything else.
        """
        batches = sample_batches()
        sink = self.make_sink(tmp_path)
        _call(sink, "after_fork")
        _call(sink, "idle")
        for records, cursor in batches:
            sink.write(records, cursor)
            _call(sink, "idle")
        sink.close()
        self._expect(tmp_path, batches)

    def _write(self, base: Path, batches: Sequence[Batch]) -> None:
        """
        Hand batches to a new sink, and close it.
        """
        sink = self.make_sink(base)
        try:
            for records, cursor in batches:
                sink.write(records, cursor)
        finally:
            sink.close()

    def _write_again(self, base: Path, batch: Batch) -> None:
        """
        Hand a batch that the sink has to a new one; only a sink that keeps cursors may refuse it.
        """
        sink = self.make_sink(base)
        try:
            sink.write(*batch)
        except CursorMovedError:
            if not isinstance(sink, CursorKeeper):
                raise
        finally:
            sink.close()

    def _keeper(self, base: Path) -> Any:
        """
        Return a new sink if it keeps cursors.
        """
        sink = self.make_sink(base)
        if isinstance(sink, CursorKeeper):
            return sink
        sink.close()
        return None

    def _expect(self, base: Path, batches: Sequence[Batch]) -> None:
        """
        Check what has arrived, where that can be seen.
        """
        delivered = self.delivered(base)
        if delivered is None:
            return
        shown = (record for records, _ in batches for record in records if self.is_shown(record))
        expected = [record.id for record in shown]
        found = list(delivered) if self.repeats_are_harmless else list(dict.fromkeys(delivered))
        _require(
            found == expected,
            f"{len(expected)} records must arrive, each once, in order (got {len(found)}; "
            f"first difference: {_difference(found, expected)})",
        )


def _require(condition: bool, message: str) -> None:  # noqa: FBT001 (like the statement)
    """
    Raise where a rule is broken; plain asserts vanish under ``python -O``.
    """
    if not condition:
        raise AssertionError(message)


def _content(record: Record) -> tuple[Any, ...]:
    """
    Return all that a record holds.
    """
    fields = tuple(getattr(record, name) for name in record.__struct_fields__)
    return (*fields, record.fields(), record.payload_value())


def _same_position(sink: CursorKeeper, cursor: Cursor) -> None:
    """
    Check that a sink stands at a position.
    """
    found = sink.cursors().get(cursor.segment)
    _require(
        found is not None
        and (found.offset, found.fingerprint) == (cursor.offset, cursor.fingerprint),
        f"the cursor must be that of the last batch (got {found}, expected {cursor})",
    )


def _close(sink: Sink) -> None:
    sink.close()


def _call(sink: Sink, method: str) -> None:
    """
    Call an optional method.
    """
    getattr(sink, method, lambda: None)()


def _difference(found: Sequence[str], expected: Sequence[str]) -> str:
    """
    Return where two lists of ids part.
    """
    pairs: Iterator[tuple[str, str]] = zip(found, expected)
    for number, (one, other) in enumerate(pairs):
        if one != other:
            return f"{one} instead of {other} at {number}"
    return f"at the end, {min(len(found), len(expected))}"
