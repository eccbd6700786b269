"""
What is killed at each of its system calls: a process that records, drains, recovers.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from datetime import datetime, timezone

from telemetry.client import TelemetryClient
from telemetry.config import TelemetryConfig
from telemetry.storage.backup import contents, create, verify
from telemetry.storage.backupfiles import list_backups, sweep
from telemetry.storage.base import base_for
from telemetry.storage.ddl import INDEX_NAMES
from telemetry.storage.expiry import Rules, choose, delete
from telemetry.storage.healing import heal
from telemetry.storage.leftovers import sweep_database
from telemetry.storage.packing import pack, sweep_unfinished
from telemetry.storage.recovery import Start, check, differences, rebuild
from telemetry.storage.restore import Wish, restore
from telemetry.storage.retention import drop
from telemetry.storage.segments import SegmentReader
from telemetry.storage.shrinking import shrink
from telemetry_plugins import git_linker, sqlite
from telemetry_plugins.ndjson import NdjsonJournal

#: Imported before anything is forked: each process begins with all of it.
PLUGINS = (git_linker, sqlite)

FINISH_S = 60.0


def settings(directory, drain):
    """
    Return a directory's settings.
    """
    return TelemetryConfig.from_env({}, base_dir=directory, drain=drain)


def record_runs(client, count, acknowledge):
    """
    Record whole runs, each call acknowledged by its number.
    """
    number = 0
    for _ in range(count):
        run_id = client.start_run("crash", "write", run_id=f"crash-{number}")
        acknowledge(number)
        for _ in range(3):
            number += 1
            client.log_event(run_id, "step", {"number": number})
            acknowledge(number)
        number += 1
        client.end_run(run_id, items_succeeded=number)
        acknowledge(number)
        number += 1


def in_journal(raw):
    """
    Return the number of every call that a journal has.
    """
    reader = SegmentReader(raw)
    found = set()
    for segment in reader.segments():
        for record in reader.read(segment, None, 1 << 24).records:
            if record.event_type == "step":
                found.add(record.payload_value()["number"])
            elif record.change == "started":
                found.add(int(record.run_id.split("-")[1]))
            elif record.change == "ended":
                found.add(record.fields()["items_succeeded"])
    return found


def in_database(path):
    """
    Return the number of every call that a database has.
    """
    with contextlib.closing(sqlite3.connect(path)) as database:
        events = database.execute(
            "SELECT json_extract(payload_json, '$.number') FROM run_events"
        ).fetchall()
        runs = database.execute("SELECT run_id, status, items_succeeded FROM agent_runs").fetchall()
    return {
        *(number for (number,) in events),
        *(int(run_id.split("-")[1]) for run_id, _, _ in runs),
        *(number for _, status, number in runs if status == "success"),
    }


class Record:
    """
    Whole runs, of which nothing is drained.
    """

    def prepare(self, directory):
        """
        Leave the directory as it is: empty.
        """

    def run(self, directory, acknowledge):
        """
        Record and close.
        """
        client = TelemetryClient(settings(directory, "external"))
        record_runs(client, 2, acknowledge)
        client.close()

    def check(self, directory, acknowledged):
        """
        Let the next process record, catch up and bury the dead; return what is wrong then.
        """
        config = settings(directory, "auto")
        client = TelemetryClient(config)
        try:
            run_id = client.start_run("crash", "write", run_id="crash-900")
            client.end_run(run_id, items_succeeded=900)
            is_caught_up = client.catch_up(FINISH_S)
            client.reap()
            problems = (
                [] if is_caught_up and client.catch_up(FINISH_S) else ["the next one lags behind"]
            )
        finally:
            client.close()
        expected = {*acknowledged, 900}
        problems += [f"{n} is lost" for n in expected - in_journal(config.ndjson_dir)]
        problems += [f"{n} is not in the database" for n in expected - in_database(config.db_path)]
        problems += check(config.db_path)
        problems += differences(config.db_path, NdjsonJournal(config.ndjson_dir))
        with contextlib.closing(sqlite3.connect(config.db_path)) as database:
            sql = "SELECT run_id FROM agent_runs WHERE status = 'running'"
            problems += [f"{run_id} is still running" for (run_id,) in database.execute(sql)]
        problems += [
            f"{path.name} has mode {path.stat().st_mode & 0o777:o}"
            for path in directory.rglob("*")
            if path.stat().st_mode & 0o077
        ]
        return problems


class Drain(Record):
    """
    The first database: made, filled, checkpointed and closed.
    """

    def prepare(self, directory):
        """
        Leave a journal that nobody has drained.
        """
        client = TelemetryClient(settings(directory, "external"))
        record_runs(client, 2, lambda _: None)
        client.close()

    def run(self, directory, acknowledge):
        """
        Follow the journal to its end, then record and follow again.
        """
        client = TelemetryClient(settings(directory, "auto"))
        client.catch_up(FINISH_S)
        client.log_event("crash-0", "step", {"number": 500})
        acknowledge(500)
        client.flush(FINISH_S)
        client.close()


class Recover(Drain):
    """
    The database rebuilt from the journal, and put in the place of the old one.
    """

    def prepare(self, directory):
        """
        Leave a database beside its journal.
        """
        client = TelemetryClient(settings(directory, "auto"))
        record_runs(client, 2, lambda _: None)
        client.flush(FINISH_S)
        client.close()

    def run(self, directory, acknowledge):
        """
        Rebuild.
        """
        config = settings(directory, "auto")
        rebuild(config.db_path, NdjsonJournal(config.ndjson_dir))


class Backup(Recover):
    """
    A backup: copied, described, verified, named.
    """

    def run(self, directory, acknowledge):
        """
        Make one.
        """
        config = settings(directory, "auto")
        create(config.db_path, config.backups_dir)

    def check(self, directory, acknowledged):
        """
        Return what is wrong with the backups that are there, and with the next one.
        """
        config = settings(directory, "auto")
        problems = []
        for backup in list_backups(config.backups_dir):
            verify(backup.path)
        sweep(config.backups_dir)
        create(config.db_path, config.backups_dir)
        left = {path.name for path in config.backups_dir.iterdir()}
        left -= {backup.path.name for backup in list_backups(config.backups_dir)}
        problems += [f"{name} is left over" for name in left - {"verified.json"}]
        return problems + super().check(directory, acknowledged)


class Restore(Recover):
    """
    A backup in the place of a database that has more, and the journal replayed.
    """

    def prepare(self, directory):
        """
        Leave a backup, and a database that has since been given another run.
        """
        super().prepare(directory)
        config = settings(directory, "auto")
        create(config.db_path, config.backups_dir)
        client = TelemetryClient(config)
        run_id = client.start_run("crash", "write", run_id="crash-800")
        client.end_run(run_id, items_succeeded=800)
        client.flush(FINISH_S)
        client.close()

    def run(self, directory, acknowledge):
        """
        Restore.
        """
        config = settings(directory, "auto")
        (backup,) = list_backups(config.backups_dir)
        restore(
            config.db_path, NdjsonJournal(config.ndjson_dir), backup.path, self.wish_for(backup)
        )

    def wish_for(self, backup):
        """
        Return how far to replay: to the end.
        """
        return Wish()

    def check(self, directory, acknowledged):
        """
        Return what is wrong; the run since the backup is there.
        """
        config = settings(directory, "auto")
        sweep_database(config.db_path)
        problems = super().check(directory, acknowledged)
        return problems + self.outcome(in_database(config.db_path))

    def outcome(self, found):
        """
        Return what the database lacks.
        """
        return [] if 800 in found else ["the run since the backup is lost"]


class Undo(Restore):
    """
    A backup in the place of a database, and what came after it taken back.
    """

    def wish_for(self, backup):
        """
        Return how far to replay: to the time of the backup.
        """
        return Wish(until=contents(backup.path).created_at)

    def outcome(self, found):
        """
        Nothing is wrong: the run counts, as before, or does not, as afterwards.
        """
        return []


class Heal(Recover):
    """
    A database that lacks an index and a fold, repaired in place.
    """

    def prepare(self, directory):
        """
        Leave a database that can be healed.
        """
        super().prepare(directory)
        with contextlib.closing(sqlite3.connect(settings(directory, "auto").db_path)) as database:
            database.execute(f"DROP INDEX {min(INDEX_NAMES)}")
            database.execute("DELETE FROM run_folds WHERE rowid = 1")
            database.execute("DELETE FROM run_rollups")
            database.commit()

    def run(self, directory, acknowledge):
        """
        Heal.
        """
        config = settings(directory, "auto")
        heal(config.db_path, NdjsonJournal(config.ndjson_dir))

    def check(self, directory, acknowledged):
        """
        Heal once more, and return what is wrong then.
        """
        config = settings(directory, "auto")
        left = heal(config.db_path, NdjsonJournal(config.ndjson_dir)).left
        return left + super().check(directory, acknowledged)


class Retain(Recover):
    """
    A day of the journal compressed, another dropped, runs deleted, the database written anew.
    """

    def prepare(self, directory):
        """
        Leave two old days with whole runs, drained, and a backup that has them.
        """
        super().prepare(directory)
        config = settings(directory, "auto")
        self._grow_old(config, "events_20200101.ndjson")
        client = TelemetryClient(config)
        run_id = client.start_run("crash", "write", run_id="crash-800")
        client.end_run(run_id, items_succeeded=800)
        client.flush(FINISH_S)
        client.close()
        self._grow_old(config, "events_20200102.ndjson")
        create(config.db_path, config.backups_dir)

    def _grow_old(self, config, name):
        (path,) = (path for path in config.ndjson_dir.iterdir() if path.name[7:11] != "2020")
        os.utime(path.rename(path.with_name(name)), (1_577_836_800, 1_577_836_800))

    def run(self, directory, acknowledge):
        """
        Retain one run and one day.
        """
        config = settings(directory, "auto")
        raw, journal = config.ndjson_dir, NdjsonJournal(config.ndjson_dir)
        if (raw / "events_20200102.ndjson").exists():
            pack(raw / "events_20200102.ndjson")
        for segment in journal.segments():
            if segment.path.name == "events_20200101.ndjson":
                drop(segment)
        chosen = choose(config.db_path, Rules(keep_runs=1), datetime.now(timezone.utc))
        delete(config.db_path, journal, chosen.selection)
        journal.close()
        client = TelemetryClient(config)
        client.catch_up(FINISH_S)
        client.close()
        shrink(config.db_path)

    def check(self, directory, acknowledged):
        """
        Look at what is left, do it again, and look again.
        """
        problems = self._look(directory)
        self.run(directory, lambda _: None)
        problems += self._look(directory)
        found = in_database(settings(directory, "auto").db_path)
        return problems + ([] if found == {800} else [f"{found} is kept"])

    def _look(self, directory):
        config = settings(directory, "auto")
        sweep_unfinished(config.ndjson_dir)
        client = TelemetryClient(config)
        client.catch_up(FINISH_S)
        client.close()
        problems = check(config.db_path)
        journal = NdjsonJournal(config.ndjson_dir)
        segments = journal.segments()
        base = base_for(config.backups_dir, [segment.id for segment in segments])
        start = Start(base=base.backup.path, base_time=base.made_at) if base else Start()
        problems += differences(config.db_path, journal, start=start)
        found = in_database(config.db_path)
        # Each run is there with all that was said of it, or not at all; the newest one is.
        halves = [
            part for part in ({*range(5)}, {*range(5, 10)}) if part & found not in (part, set())
        ]
        problems += [f"{part - found} is lost" for part in (*halves, {800}) if part - found]
        ids = [record.id for one in segments for record in journal.read(one, None, 1 << 24).records]
        problems += [f"{one} is there twice" for one in {*ids} if ids.count(one) > 1]
        return problems


SCENARIOS = {
    "record": Record,
    "drain": Drain,
    "recover": Recover,
    "backup": Backup,
    "restore": Restore,
    "undo": Undo,
    "heal": Heal,
    "retain": Retain,
}
