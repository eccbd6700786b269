"""
Corrupt the database in random ways while agents write; recover; look for what was acknowledged.

    python tests/crash/corruption_soak.py
    python tests/crash/corruption_soak.py --ways 6 --seed 1

Exit status 0 if nothing acknowledged was ever missing after ``telemetry recover``, else 1.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import select
import shutil
import signal
import sqlite3
import struct
import sys
import tempfile
import time
from pathlib import Path

from client_scenarios import FINISH_S, in_database, settings
from enumerate_crashes import apart

from telemetry.cli.main import invoke
from telemetry.client import TelemetryClient
from telemetry.storage.backup import create
from telemetry.storage.recovery import check, differences
from telemetry_plugins import sqlite
from telemetry_plugins.ndjson import NdjsonJournal

PLUGINS = (sqlite,)
NUMBER = struct.Struct("<I")
TIME_LIMIT_S = 60
#: Calls of agents before the damage, between it and the recovery, and after it.
BEFORE, BETWEEN, AFTER = 60, 20, 40
#: Between two runs of an agent, so that the machine is left to the others.
PAUSE_S = 0.01
#: Numbers that one agent uses.
SHARE = 1_000_000
#: What recover may answer: fine, or made anew beside damaged lines.
GOOD_CODES = (0, 1)


def _flip(path, dice, low, high):
    size = path.stat().st_size
    high = min(high, size)
    if high <= low:
        return
    at = dice.randrange(low, high)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(dice.randbytes(min(dice.choice((1, 16, 500, 4096)), size - at)))


def header(db, dice):
    """
    Damage the first hundred bytes.
    """
    _flip(db, dice, 0, 100)


def page(db, dice):
    """
    Damage some pages.
    """
    for _ in range(dice.randrange(1, 6)):
        _flip(db, dice, 0, db.stat().st_size)


def schema_page(db, dice):
    """
    Damage the page that names the tables.
    """
    _flip(db, dice, 100, 4096)


def zeros(db, dice):
    """
    Overwrite pages with zeros, as a power cut may.
    """
    with db.open("r+b") as file:
        file.seek(4096 * dice.randrange(max(1, db.stat().st_size // 4096)))
        file.write(bytes(4096 * dice.randrange(1, 4)))


def truncation(db, dice):
    """
    Cut the file anywhere.
    """
    os.truncate(db, dice.randrange(db.stat().st_size))


def emptiness(db, dice):
    """
    Cut the file to nothing.
    """
    os.truncate(db, 0)


def deletion(db, dice):
    """
    Delete the file, with its log or without.
    """
    db.unlink()
    if dice.random() < 0.5:
        Path(f"{db}-wal").unlink(missing_ok=True)


def rubbish(db, dice):
    """
    Put another file in its place.
    """
    other = db.with_name("other")
    other.write_bytes(dice.randbytes(20_000))
    other.replace(db)


def log(db, dice):
    """
    Damage the write-ahead log.
    """
    path = Path(f"{db}-wal")
    if path.exists() and path.stat().st_size:
        _flip(path, dice, 0, path.stat().st_size)
    else:
        path.write_bytes(dice.randbytes(9_000))


def log_deletion(db, dice):
    """
    Delete the write-ahead log.
    """
    Path(f"{db}-wal").unlink(missing_ok=True)


def old_copy(db, dice):
    """
    Put an older state of the file in its place.
    """
    backups = sorted(db.parent.parent.glob("backups/*.sqlite"))
    shutil.copy(backups[0], db.with_name("older"))
    db.with_name("older").replace(db)


def lost_rows(db, dice):
    """
    Delete rows by hand.
    """
    table = dice.choice(("agent_runs", "run_folds", "run_records", "cursors", "run_rollups"))
    with contextlib.closing(sqlite3.connect(db, timeout=10)) as database:
        database.execute(f"DELETE FROM {table} WHERE abs(random()) % 2")
        database.commit()


def lost_table(db, dice):
    """
    Drop a table by hand.
    """
    with contextlib.closing(sqlite3.connect(db, timeout=10)) as database:
        database.execute(f"DROP TABLE {dice.choice(('agent_runs', 'run_events', 'cursors'))}")


WAYS = (
    page, header, truncation, deletion, log, lost_rows, zeros, emptiness, rubbish, schema_page,
    log_deletion, old_copy, lost_table,
)  # fmt: skip


class Agent:
    """
    A process that records runs until it is killed, and says each number when its call returned.
    """

    def __init__(self, directory, number, drain):
        self._reading, writing = os.pipe()
        self._said = b""
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self._reading)
                sys.stderr = io.StringIO()
                self._work(directory, number * SHARE, drain, writing)
            finally:
                os._exit(1)
        os.close(writing)

    def _work(self, directory, number, drain, writing):
        client = TelemetryClient(settings(directory, drain))

        def acknowledge(value):
            os.write(writing, NUMBER.pack(value))

        while True:
            run_id = client.start_run("crash", "write", run_id=f"crash-{number}")
            acknowledge(number)
            for _ in range(3):
                number += 1
                client.log_event(run_id, "step", {"number": number, "fill": "x" * 300})
                acknowledge(number)
            number += 1
            client.end_run(run_id, items_succeeded=number)
            acknowledge(number)
            number += 1
            time.sleep(PAUSE_S)

    def hear(self, count):
        """
        Wait until so many more calls have returned.
        """
        limit = time.monotonic() + TIME_LIMIT_S
        wanted = len(self._said) + count * NUMBER.size
        while len(self._said) < wanted:
            if time.monotonic() > limit or not select.select([self._reading], [], [], 5)[0]:
                raise TimeoutError("an agent must go on whatever becomes of the database")
            data = os.read(self._reading, 1 << 12)
            if not data:
                raise RuntimeError("an agent has died of the damage")
            self._said += data

    def kill(self):
        """
        End it, and return the numbers that it said.
        """
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        while data := os.read(self._reading, 1 << 16):
            self._said += data
        os.close(self._reading)
        whole = len(self._said) // NUMBER.size * NUMBER.size
        return {number for (number,) in NUMBER.iter_unpack(self._said[:whole])}


def prepare(directory):
    """
    Leave a database with a few runs, and a backup of it.
    """
    config = settings(directory, "auto")
    client = TelemetryClient(config)
    run_id = client.start_run("crash", "write", run_id="crash-0")
    client.end_run(run_id, items_succeeded=1)
    client.flush(FINISH_S)
    client.close()
    create(config.db_path, config.backups_dir)


def damage(directory, way, seed):
    """
    Damage the database.
    """
    with contextlib.suppress(sqlite3.Error, FileNotFoundError):
        WAYS[way](settings(directory, "auto").db_path, random.Random(seed))


def recover(directory, *options):
    """
    Run ``telemetry recover``; return its exit code and its words.
    """
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = invoke(["--base-dir", str(directory), "recover", "--wait", "50", *options])
    return code, out.getvalue()


def finish(directory):
    """
    Let a last process catch up and bury the dead; return what is wrong, and what is there.
    """
    config = settings(directory, "auto")
    client = TelemetryClient(config)
    problems = [] if client.catch_up(FINISH_S) else ["the last process lags behind"]
    client.reap()
    client.catch_up(FINISH_S)
    client.close()
    problems += check(config.db_path)
    problems += differences(config.db_path, NdjsonJournal(config.ndjson_dir))
    return problems, sorted(in_database(config.db_path))


def suffer(directory, way, seed):
    """
    Go through one way; return how many calls were acknowledged, and what is wrong.
    """
    directory.mkdir()
    apart(prepare, directory)
    agents = [Agent(directory, 1, "auto"), Agent(directory, 2, "external")]
    problems = []
    try:
        for agent in agents:
            agent.hear(BEFORE)
        apart(damage, directory, way, seed)
        for agent in agents:
            agent.hear(BETWEEN)
        code, words = apart(recover, directory)
        if code not in GOOD_CODES:
            problems.append(f"recover exits with {code}: {words}")
        for agent in agents:
            agent.hear(AFTER)
    finally:
        acknowledged = set().union(*(agent.kill() for agent in agents))
    # Only a comparison with the journal finds a flipped byte inside a text.
    code, words = apart(recover, directory, "--compare")
    if code not in GOOD_CODES:
        problems.append(f"recover exits with {code} in the end: {words}")
    wrong, found = apart(finish, directory)
    missing = acknowledged - set(found)
    problems += wrong + ([f"{len(missing)} acknowledged calls are missing"] if missing else [])
    return len(acknowledged), problems


def main():
    """
    Read the options, go through the ways, report.
    """
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--ways", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    dice = random.Random(options.seed)
    first = dice.randrange(len(WAYS))
    total, failures = 0, []
    with tempfile.TemporaryDirectory(prefix="corruption-") as base:
        for number in range(options.ways):
            way, seed = (first + number) % len(WAYS), dice.randrange(10**6)
            directory = Path(base) / str(number)
            count, problems = suffer(directory, way, seed)
            total += count
            failures += [f"{WAYS[way].__name__} (seed {seed}): {text}" for text in problems]
            shutil.rmtree(directory)
    print(f"seed {options.seed}")
    print(f"{options.ways} ways, {total} acknowledged, {len(failures)} problems")
    for text in failures:
        print(text)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
