"""
What an operator waits for: the health of a large base directory, and a backup of it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.exporting import fill
from benchmarks.harness import Row

#: A run a second: the last day of a large base has 86,400 of them.
HEALTH = "import sys; sys.argv[1:] = ['health']; from telemetry.cli.main import main; main()"


def _fill_base(base: Path, count: int) -> Path:
    """
    Make a base directory whose last run is of just now; return its database.
    """
    environment = {**os.environ, "TELEMETRY_BASE_DIR": str(base)}
    subprocess.run(
        [sys.executable, "-m", "telemetry", "init"],
        check=True,
        stdout=subprocess.DEVNULL,
        env=environment,
    )
    database = base / "db" / "telemetry.sqlite"
    fill(database, count, begin=int(time.time()) - count)
    return database


def _cpu_of_health(base: Path) -> float:
    """
    Return the seconds of CPU of one ``telemetry health``, the interpreter's start included.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", HEALTH],
        check=False,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TELEMETRY_BASE_DIR": str(base)},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if "database  " not in done.stdout:
        raise RuntimeError(f"health must say how it stands (got {done.stdout!r})")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _by_sqlite(database: Path, target: Path) -> None:
    with contextlib.closing(sqlite3.connect(database)) as source:
        with contextlib.closing(sqlite3.connect(target)) as copy:
            source.backup(copy)


def _copy_ratio(database: Path, directory: Path) -> float:
    """
    Return the CPU of our copy by that of SQLite's own backup, one after the other.
    """
    from telemetry.storage.copying import copy_database

    used = []
    for name, copy in (("ours", copy_database), ("sqlite", _by_sqlite)):
        target = directory / name
        begun = time.process_time()
        copy(database, target)
        used.append(time.process_time() - begun)
        if target.stat().st_size != database.stat().st_size:
            raise RuntimeError(f"a copy must be as large as the database (got {name})")
        target.unlink()
    return used[0] / used[1]


def measure(*, quick: bool) -> list[Row]:
    """
    Measure ``telemetry health`` on a million runs, and a copy beside SQLite's own.
    """
    count, rounds = (100_000, 3) if quick else (1_000_000, 5)
    with tempfile.TemporaryDirectory() as directory:
        database = _fill_base(Path(directory, "base"), count)
        health = [_cpu_of_health(Path(directory, "base")) for _ in range(rounds)]
        copying = [_copy_ratio(database, Path(directory)) for _ in range(rounds)]
    return [
        Row(
            what=f"seconds of CPU of `telemetry health` on {count:,} runs",
            value=statistics.median(health),
            target=1,
            unit="s",
        ),
        Row(
            what="CPU of a backup's copy / SQLite's own backup interface",
            value=statistics.median(copying),
            target=1.1,
        ),
    ]
