"""
Kill writers and drainers at random, for as long as it is asked for; then count what was lost.

    python tests/crash/kill_soak.py --kills 1000

Writers say each acknowledged record over a pipe before they make the next one. What they said and what is found in the
end are compared: nothing that was acknowledged may be missing. Exit status 0 if so, else 1.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import selectors
import shutil
import signal
import struct
import sys
import tempfile
import time
from pathlib import Path

from client_workload import ClientWorkload, journal_content

from telemetry.model.codec import encode_line
from telemetry_plugins.ndjson import NdjsonJournal

ACKNOWLEDGED = struct.Struct("<I")
TIME_LIMIT_S = 3600


def sizes(worker, large_share):
    """
    Return an endless stream of payload sizes: small ones, and some over many pages.
    """
    dice = random.Random(worker)
    while True:
        is_large = dice.random() < large_share
        yield dice.randrange(2_000, 64_000) if is_large else dice.randrange(200)


class JournalWorkload:
    """
    The journal alone, without anything that follows it.
    """

    drains = False

    def __init__(self, base, large_share):
        self.raw = base / "raw"
        self.large_share = large_share
        self.problems = []

    def write(self, worker, acknowledge):
        """
        Append for ever, each record acknowledged before the next.
        """
        journal = NdjsonJournal(self.raw)
        for number, size in enumerate(sizes(worker, self.large_share)):
            line = encode_line(
                "event",
                id=f"{worker:016x}-{number}",
                timestamp="2026-11-22T12:00:00.000000Z",
                event_type="soak",
                payload=b'{"worker":%d,"number":%d,"fill":"%b"}' % (worker, number, b"x" * size),
            )
            if journal.append(line, int(time.time())):
                acknowledge(number)

    def finish(self):
        """
        Do nothing: there is nothing that lags.
        """

    def recovered(self):
        """
        Return, by place, what is found there.
        """
        return {"journal": journal_content(self.raw)}


class Pool:
    """
    The processes that live now, and what each writer has said.
    """

    def __init__(self, workload, dice):
        self.workload = workload
        self.dice = dice
        self.selector = selectors.DefaultSelector()
        self.said = {}
        self.alive = {}
        self.killed = {"writer": 0, "drainer": 0}
        self.died = 0

    def start(self, role):
        """
        Fork a process of a role.
        """
        worker = len(self.said)
        self.said[worker] = bytearray()
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            self._work(role, worker, writing)
        os.close(writing)
        os.set_blocking(reading, False)
        self.selector.register(reading, selectors.EVENT_READ, worker)
        self.alive[pid] = (role, reading, worker)

    def _work(self, role, worker, writing):
        code = 70
        try:
            if role == "writer":
                pack, write = ACKNOWLEDGED.pack, os.write
                self.workload.write(worker, lambda number: write(writing, pack(number)))
            else:
                self.workload.drain()
        except BaseException as error:  # a process of its own: nothing may reach the parent's stack
            print(f"{role} {worker}: {error!r}", file=sys.stderr)
        finally:
            os._exit(code)

    def listen(self, timeout_s):
        """
        Take in what the writers say.
        """
        for key, _ in self.selector.select(timeout_s):
            self._take(key.fd, key.data)

    def _take(self, fd, worker):
        with contextlib.suppress(BlockingIOError):
            while True:
                data = os.read(fd, 1 << 16)
                if not data:
                    self.selector.unregister(fd)
                    return
                self.said[worker] += data
                if len(data) < 1 << 16:
                    return

    def kill_one(self):
        """
        Kill a random process and start another of its role.
        """
        pid = self.dice.choice(list(self.alive))
        role = self.alive[pid][0]
        self._end(pid)
        self.killed[role] += 1
        self.start(role)

    def kill_all(self):
        """
        End what is left.
        """
        for pid in list(self.alive):
            self._end(pid)

    def _end(self, pid):
        _, reading, worker = self.alive.pop(pid)
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        self.died += not os.WIFSIGNALED(status)
        with contextlib.suppress(KeyError):
            while reading in self.selector.get_map():
                self._take(reading, worker)
        os.close(reading)

    def acknowledged_count(self):
        """
        Return how many records were acknowledged so far.
        """
        return sum(map(len, self.said.values())) // ACKNOWLEDGED.size

    def acknowledged(self):
        """
        Return the acknowledged records.
        """
        return {
            (worker, number)
            for worker, said in self.said.items()
            for (number,) in ACKNOWLEDGED.iter_unpack(said[: len(said) // 4 * 4])
        }


def soak(workload, options):
    """
    Run until enough processes were killed and enough was acknowledged.
    """
    pool = Pool(workload, random.Random(options.seed))
    limit = time.monotonic() + TIME_LIMIT_S
    for _ in range(options.writers):
        pool.start("writer")
    for _ in range(options.drainers if workload.drains else 0):
        pool.start("drainer")
    try:
        while (
            sum(pool.killed.values()) < options.kills
            or pool.acknowledged_count() < options.acknowledged
        ):
            if time.monotonic() > limit:
                raise TimeoutError("the soak must end within an hour")
            until = time.monotonic() + pool.dice.expovariate(1000 / options.pause_ms)
            while (left := until - time.monotonic()) > 0:
                pool.listen(left)
            pool.kill_one()
    finally:
        pool.kill_all()
    return pool


def report(pool, workload, started, options):
    """
    Print the table; return whether nothing is missing.
    """
    acknowledged = pool.acknowledged()
    rows = [
        ("layer", options.layer),
        ("seed", options.seed),
        ("writers killed", pool.killed["writer"]),
        ("drainers killed", pool.killed["drainer"]),
        ("processes that ended by themselves", pool.died),
        ("acknowledged", len(acknowledged)),
    ]
    is_good = pool.died == 0 and not workload.problems
    for place, (found, duplicates, damaged) in workload.recovered().items():
        missing = acknowledged - found
        rows += [
            (f"{place}: found", len(found)),
            (f"{place}: acknowledged and missing", len(missing)),
            (f"{place}: not acknowledged and found", len(found - acknowledged)),
            (f"{place}: found twice", duplicates),
            (f"{place}: damaged pieces", damaged),
        ]
        is_good = is_good and not missing and not (duplicates and place != "journal")
    rows.append(("problems", len(workload.problems)))
    rows.append(("seconds", round(time.monotonic() - started, 1)))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
    for problem in workload.problems:
        print(problem)
    return is_good


def main():
    """
    Read the options, run, report.
    """
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--acknowledged", type=int, default=None, help="default: 100 for each kill")
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--drainers", type=int, default=2)
    parser.add_argument("--pause-ms", type=float, default=10.0, help="mean time between two kills")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument(
        "--large-share", type=float, default=0.004, help="share of the records over 2 to 64 KB"
    )
    parser.add_argument("--layer", choices=sorted(WORKLOADS), default="client")
    parser.add_argument("--keep", type=Path, help="leave the files in this directory")
    options = parser.parse_args()
    if options.acknowledged is None:
        options.acknowledged = 100 * options.kills
    base = options.keep or Path(tempfile.mkdtemp(prefix="kill-soak-"))
    started = time.monotonic()
    try:
        workload = WORKLOADS[options.layer](base, options.large_share)
        pool = soak(workload, options)
        workload.finish()
        return 0 if report(pool, workload, started, options) else 1
    finally:
        if not options.keep:
            shutil.rmtree(base, ignore_errors=True)


WORKLOADS = {"client": ClientWorkload, "journal": JournalWorkload}

if __name__ == "__main__":
    sys.exit(main())
