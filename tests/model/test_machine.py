"""
Journal, drainers and database as one machine, against sets and dictionaries.

Three writers, two drainers, one database. They start, change and end runs, edit and delete them,
and everything that can happen to them in between happens: writers die in the middle of a write,
drainers in the middle of a transaction, clocks jump, days pass, files are copied and emptied, the
database vanishes, records are delivered twice. After each step the database is what was delivered;
in the end it is what was written.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from reference import row_of

from telemetry.model.codec import decode_line, encode_line
from telemetry.model.errors import CursorMovedError
from telemetry.model.ids import Clock
from telemetry.model.records import RecordType
from telemetry.model.run import COLUMNS
from telemetry.runtime.cursors import NOWHERE
from telemetry.storage.recovery import check, differences, rebuild
from telemetry.storage.segments import day_of, segment_name
from telemetry_plugins.ndjson import NdjsonJournal
from telemetry_plugins.sqlite import SqliteSink

#: More of them on a quiet machine: `TELEMETRY_TEST_MACHINE_EXAMPLES=2000`.
EXAMPLES = int(os.environ.get("TELEMETRY_TEST_MACHINE_EXAMPLES", "12"))
STEPS = 40
FIRST_US = 1_795_308_137_123_456

writers = st.integers(0, 2)
drainers = st.integers(0, 1)
picks = st.integers(0, 1000)
statuses = st.sampled_from(["success", "failed", "partial", "timeout", "cancelled"])
counts = st.integers(0, 5)


class DiedError(BaseException):
    """
    A drainer was killed in the middle of a transaction.
    """


class Bomb:
    """
    What kills a drainer when it looks at it.
    """

    @property
    def record_type(self):
        raise DiedError


class Writer:
    """
    One process that records: its journal, its name, its numbers, its clock.
    """

    def __init__(self, machine, name, skew_us):
        self.name = name
        self.number = 0
        self.skew_us = skew_us
        self.journal = NdjsonJournal(machine.raw)
        self.clock = Clock(lambda: (machine.now_us + self.skew_us) * 1000)

    def line(self, record_type, run, **parts):
        """
        Make the next line, and say in which second.
        """
        self.number += 1
        now_us = self.clock.now_us()
        event_id, run_id = run
        line = encode_line(
            record_type,
            id=f"{self.name}-{self.number}",
            timestamp=self.clock.text(now_us),
            event_id=event_id,
            run_id=run_id,
            **parts,
        )
        return line, now_us // 1_000_000


class Drainer:
    """
    One process that follows: its sink, and the cursors as it last saw them.
    """

    def __init__(self, machine):
        self.sink = SqliteSink(machine.db_path)
        self.cursors = None

    def known(self):
        if self.cursors is None:
            self.cursors = dict(self.sink.cursors())
        return self.cursors


class Machine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="telemetry-machine-"))
        self.raw = self.base / "raw"
        self.db_path = self.base / "db" / "telemetry.sqlite"
        self.db_path.parent.mkdir()
        self.now_us = FIRST_US
        self.writer_count = 0
        self.copy_count = 0
        #: Whole lines by id: what was acknowledged, and what may or may not have been.
        self.acknowledged = {}
        self.possible = {}
        #: Ids of what is in the database.
        self.delivered = set()
        self.runs = []
        self.contents = {}
        self.journal = NdjsonJournal(self.raw)
        self.writers = [self.new_writer(0) for _ in range(3)]
        self.drainers = [Drainer(self) for _ in range(2)]

    def new_writer(self, skew_us):
        self.writer_count += 1
        return Writer(self, f"{self.writer_count:016x}", skew_us)

    def write(self, number, record_type, run, **parts):
        self.now_us += 1500
        writer = self.writers[number]
        line, second = writer.line(record_type, run, **parts)

        assert writer.journal.append(line, second)
        self.acknowledged[line_id(line)] = line

    def change(self, number, change, pick, body=None):
        self.write(number, "run", self.pick_run(pick), change=change, body=body)

    def pick_run(self, pick):
        return self.runs[pick % len(self.runs)]

    def time_text(self):
        return Clock(lambda: 0).text(self.now_us)

    # What agents and people do

    @initialize(writer=writers)
    def first_start(self, writer):
        self.start(writer)

    @rule(writer=writers)
    def start(self, writer):
        number = len(self.runs) + 1
        self.runs.append((f"0193a5f0-0000-7000-8000-{number:012}", f"run-{number}"))
        body = {
            "agent_name": f"agent-{number}",
            "job_type": "j",
            "status": "running",
            "start_time": self.time_text(),
            "schema_version": 8,
        }
        self.change(writer, "started", number - 1, body)

    @rule(writer=writers, pick=picks, size=st.sampled_from([0, 10, 5000, 70_000]))
    def log_event(self, writer, pick, size):
        payload = b'{"lt_":[{ "lt":1}],"text":"%b"}' % (b"x" * size)
        self.write(writer, "event", self.pick_run(pick), event_type="e", payload=payload)

    @rule(writer=writers, pick=picks, failed=counts, skipped=st.none() | counts)
    def set_metrics(self, writer, pick, failed, skipped):
        body = {"items_failed": failed, "items_skipped": skipped, "metrics_json": {"n": [failed]}}
        self.change(writer, "updated", pick, body)

    @rule(writer=writers, pick=picks)
    def heartbeat(self, writer, pick):
        self.change(writer, "updated", pick)

    @rule(writer=writers, pick=picks, status=statuses, error=st.none() | st.just("E: e"))
    def end(self, writer, pick, status, error):
        body = {"status": status, "end_time": self.time_text(), "error_summary": error}
        self.change(writer, "ended", pick, body)

    @rule(writer=writers, pick=picks)
    def infer(self, writer, pick):
        body = {"status": "failed", "end_time": self.time_text(), "error_summary": "OwnerDied"}
        self.change(writer, "inferred", pick, body)

    @rule(writer=writers, pick=picks, digit=st.sampled_from("abc"), author=st.none() | st.just("A"))
    def commit(self, writer, pick, digit, author):
        body = {"git_commit_hash": digit * 7, "git_commit_author": author}
        self.write(writer, "commit", self.pick_run(pick), body=body)

    @rule(
        writer=writers,
        pick=picks,
        fields=st.fixed_dictionaries(
            {},
            optional={
                "status": statuses | st.just("running"),
                "duration_ms": st.none() | counts,
                "items_failed": st.none() | counts,
                "output_summary": st.none() | st.just("o"),
            },
        ),
        force=st.booleans(),
    )
    def edit(self, writer, pick, fields, force):
        run = self.pick_run(pick)
        row = self.rows().get(run[0])
        body = {**fields, "base_status": row["status"] if row else "running", "force": force}
        self.change(writer, "edited", pick, body)

    @rule(writer=writers, pick=picks)
    def posted(self, writer, pick):
        body = {"api_posted": True, "api_posted_at": self.time_text(), "api_retry_count": 1}
        self.change(writer, "posted", pick, body)

    @precondition(lambda self: len(self.runs) > 1)
    @rule(writer=writers, pick=picks)
    def delete(self, writer, pick):
        self.change(writer, "deleted", pick)

    @rule(writer=writers, pick=picks)
    def say_something_new(self, writer, pick):
        self.write(writer, "parcel", self.pick_run(pick), body={"weight_g": 5})

    # What drainers do

    @rule(drainer=drainers, pick=picks, size=st.sampled_from([1, 600, 5000, 1 << 20]))
    def drain(self, drainer, pick, size):
        follower = self.drainers[drainer]
        segments = self.journal.segments()
        if segments:
            self.deliver(follower, segments[pick % len(segments)], size)

    def deliver(self, follower, segment, size):
        """
        Carry a piece of a segment to the database, and return whether there was one.
        """
        stored = self.true_cursors().get(segment.id, NOWHERE)
        try:
            cursor = follower.known().get(segment.id)
            chunk = self.journal.read(segment, cursor, size)
            if chunk.cursor.offset == chunk.cursor.start:
                return False
            records = [r for r in chunk.records if r.record_type != RecordType.SEGMENT]
            follower.sink.write(records, chunk.cursor)
        except CursorMovedError:
            follower.cursors = None
            return True
        # I22: no other drainer has committed this range, unless the file has begun anew.
        assert chunk.cursor.start in {0, stored.offset}
        follower.cursors[segment.id] = chunk.cursor
        self.delivered.update(record.id for record in records)
        return True

    @rule(drainer=drainers, pick=picks, place=st.integers(0, 5))
    def crash_a_drainer(self, drainer, pick, place):
        follower = self.drainers[drainer]
        for segment in self.journal.segments()[pick % 3 :][:1]:
            cursor = self.true_cursors().get(segment.id)
            chunk = self.journal.read(segment, cursor, 1 << 20)
            batch = list(chunk.records)
            batch.insert(place % (len(batch) + 1), Bomb())
            with pytest.raises((DiedError, CursorMovedError)):
                follower.sink.write(batch, chunk.cursor)
        follower.sink.close()
        self.drainers[drainer] = Drainer(self)

    @rule(drainer=drainers, picked=st.lists(picks, min_size=1, max_size=4))
    def deliver_twice(self, drainer, picked):
        known = sorted(self.acknowledged)
        ids = [known[pick % len(known)] for pick in picked]
        batch = [decode_line(self.acknowledged[id_]) for id_ in (*ids, ids[0])]
        follower = self.drainers[drainer]
        follower.cursors = None
        follower.known()
        follower.sink.write(batch, NOWHERE)
        self.delivered.update(ids)

    # What happens to them

    @rule(number=writers, pick=picks, cut=st.integers(0, 400), size=st.sampled_from([0, 300, 9000]))
    def crash_a_writer(self, number, pick, cut, size):
        writer = self.writers[number]
        payload = b'{"a":"%b","inner":{ "lt":1}}' % (b"y" * size)
        line, second = writer.line("event", self.pick_run(pick), event_type="e", payload=payload)
        cut = len(line) - cut if cut <= 3 else cut * (size // 300 + 1) % len(line)
        self.raw.mkdir(exist_ok=True)
        with (self.raw / segment_name(day_of(second))).open("ab") as file:
            file.write(line[:cut])
        if cut >= len(line) - 1:
            self.possible[line_id(line)] = line
        writer.journal.close()
        self.writers[number] = self.new_writer(writer.skew_us)

    @rule(number=writers)
    def restart_a_writer(self, number):
        self.writers[number].journal.close()
        self.writers[number] = self.new_writer(0)

    @rule(number=writers, jump_s=st.sampled_from([-90_000, -3600, -1, 0, 1, 30, 100_000]))
    def jump_a_clock(self, number, jump_s):
        self.writers[number].skew_us += jump_s * 1_000_000

    @rule(seconds=st.sampled_from([1, 5, 43_200, 86_400]))
    def pass_time(self, seconds):
        self.now_us += seconds * 1_000_000

    @precondition(lambda self: self.copy_count < 3)
    @rule(pick=picks, is_first=st.booleans())
    def copy_and_truncate(self, pick, is_first):
        """
        Rotate a file as logrotate does where it must not rename; the copy stays readable.
        """
        paths = [
            path
            for path in sorted(self.raw.glob("*.ndjson"))
            if path.stat().st_size and "copy" not in path.name
        ]
        if not paths:
            return
        self.copy_count += 1
        path = paths[pick % len(paths)]
        day = path.name[len("events_") :][:8]
        # Listed before or after the file that it is a copy of.
        copy = path.with_name(f"events_{day}{'-' if is_first else '_'}copy{self.copy_count}.ndjson")
        shutil.copyfile(path, copy)
        with path.open("rb+") as file:
            file.truncate(0)
        self.contents.pop(path, None)

    @rule()
    def delete_the_database(self):
        for path in self.db_path.parent.iterdir():
            path.unlink()
        self.delivered.clear()

    # What holds after each step

    @invariant()
    def no_file_is_rewritten(self):
        """
        I5: what is in an unsealed file stays, and only the end grows.
        """
        for path in self.raw.glob("*.ndjson"):
            content = path.read_bytes()

            assert content.startswith(self.contents.get(path, b""))
            self.contents[path] = content

    @invariant()
    def only_what_was_written_is_read(self):
        """
        I1, I3, I4: every acknowledged line is read, and nothing that no writer wrote.
        """
        read = {}
        for segment in self.journal.segments():
            chunk = self.journal.read(segment, None, 1 << 30)
            read.update({record.id: record.line + b"\n" for record in chunk.records})
        headers = {id_ for id_ in read if id_.endswith("-0")}

        assert read.keys() - headers <= self.acknowledged.keys() | self.possible.keys()
        assert self.acknowledged.keys() <= read.keys()
        assert all(line == self.line_of(id_) for id_, line in read.items() if id_ not in headers)

    @invariant()
    def the_database_is_what_was_delivered(self):
        """
        I6, I7: each record counts once, however often it came; a batch counts whole or not at all.
        """
        lines = {}
        for id_ in self.delivered:
            line = self.line_of(id_)
            lines.setdefault(decode_line(line).event_id, []).append(line)
        expected = {event_id: row_of(of_run) for event_id, of_run in lines.items()}
        deleted = {
            event_id
            for event_id, of_run in lines.items()
            if any(decode_line(line).change == "deleted" for line in of_run)
        }

        assert self.rows() == {id_: row for id_, row in expected.items() if row is not None}
        assert self.select("SELECT id FROM run_events") == sorted(
            (line_id(line),)
            for event_id, of_run in lines.items()
            for line in of_run
            if event_id not in deleted and decode_line(line).record_type == "event"
        )

    @invariant()
    def every_cursor_is_sound(self):
        """
        I8: a cursor is a line's end in its file, and everything before it was delivered.
        """
        cursors = self.true_cursors()
        for segment in self.journal.segments():
            cursor = cursors.get(segment.id)
            content = segment.path.read_bytes()
            if cursor is None or crc32(content[: cursor.offset][-256:]) != cursor.fingerprint:
                continue
            if cursor.offset > len(content):
                continue
            before = self.journal.read(segment, None, 1 << 30).records

            assert content[cursor.offset - 1 : cursor.offset] == b"\n"
            for record in before:
                if content.find(record.line) < cursor.offset:
                    assert record.id in self.delivered or record.id.endswith("-0")

    def teardown(self):
        try:
            self.catch_up()
            self.live_is_what_a_rebuild_gives()
        finally:
            for writer in self.writers:
                writer.journal.close()
            for drainer in self.drainers:
                drainer.sink.close()
            self.journal.close()
            shutil.rmtree(self.base)

    def catch_up(self):
        """
        I9: once faults stop, everything that was written arrives in a bounded number of steps.
        """
        follower = self.drainers[0]
        for _ in range(50):
            progress = [self.deliver(follower, s, 1 << 20) for s in self.journal.segments()]
            if not any(progress):
                break
        else:
            raise AssertionError("a drainer never came to an end")
        self.the_database_is_what_was_delivered()
        self.every_cursor_is_sound()

        assert self.acknowledged.keys() <= self.delivered

    def live_is_what_a_rebuild_gives(self):
        """
        I10: a database from the journal alone equals the live one, column by column.
        """
        live = self.everything()

        assert check(self.db_path) == []
        assert differences(self.db_path, self.journal) == []
        for drainer in self.drainers:
            drainer.sink.close()
        rebuild(self.db_path, self.journal)
        assert self.everything() == live

    # Looking on

    def line_of(self, id_):
        return self.acknowledged.get(id_) or self.possible[id_]

    def select(self, sql):
        if not self.db_path.exists():
            return []
        with closing(sqlite3.connect(self.db_path)) as connection:
            return sorted(connection.execute(sql))

    def rows(self):
        names = list(COLUMNS)
        found = self.select(f"SELECT {', '.join(names)} FROM agent_runs")
        return {row[0]: dict(zip(names, row)) for row in found}

    def everything(self):
        tables = ("agent_runs", "run_events", "run_records", "commits", "run_folds")
        return {table: self.select(f"SELECT * FROM {table}") for table in tables}

    def true_cursors(self):
        watcher = SqliteSink(self.db_path)
        try:
            return watcher.cursors() if self.db_path.exists() else {}
        finally:
            watcher.close()


def line_id(line):
    """
    Return the id of a whole line.
    """
    return decode_line(line).id


def test_everything_that_can_happen_to_a_journal():
    """
    After each step the database is what was delivered, and in the end it is what was written.
    """
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
