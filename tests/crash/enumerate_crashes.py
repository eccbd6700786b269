"""
Kill a process at each storage system call of a scenario, one after the other; check what is left.

    python tests/crash/enumerate_crashes.py
    python tests/crash/enumerate_crashes.py --scenario append --most 10
    python tests/crash/enumerate_crashes.py --scenario recover --part 1/4

Needs strace, which stops the process on its way into the call. Exit status 0 if nothing that was acknowledged was lost and
everything left behind could be used, else 1.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from client_scenarios import SCENARIOS as CLIENT_SCENARIOS

from telemetry.model.codec import encode_line
from telemetry.storage.segments import SegmentReader
from telemetry_plugins.ndjson import NdjsonJournal

CALLS = (
    "openat,open,creat,write,pwrite64,writev,link,linkat,unlink,unlinkat,rename,renameat,renameat2,"
    "mkdir,mkdirat,rmdir,truncate,ftruncate,fallocate,fsync,fdatasync,chmod,fchmod,fchmodat,fcntl,"
    "dup3,dup2,close,mmap,munmap"
)
NOON = 1_795_348_800
DAY = 86_400
TIME_LIMIT_S = 60


def line(number, size=0):
    """
    Return an event's line.
    """
    return encode_line(
        "event",
        id=f"00000000000000aa-{number}",
        timestamp="2026-11-22T12:00:00.000000Z",
        payload=b'{"fill":"%b"}' % (b"x" * size),
    )


def numbers(directory):
    """
    Return the number of every record in a directory.
    """
    reader = SegmentReader(directory)
    return [
        record.number
        for segment in reader.segments()
        for record in reader.read(segment, None, 1 << 24).records
    ]


class Create:
    """
    The first records of a new directory.
    """

    def prepare(self, directory):
        """
        Leave the directory as it is: missing.
        """

    def run(self, directory, acknowledge):
        """
        Append, each record acknowledged.
        """
        journal = NdjsonJournal(directory / "raw")
        for number in range(3):
            if journal.append(line(number), NOON):
                acknowledge(number)
        journal.sync()

    def check(self, directory, acknowledged):
        """
        Return what is wrong after the crash, and after the next process's records.
        """
        raw = directory / "raw"
        problems = [f"{number} is lost" for number in acknowledged - set(numbers(raw))]
        journal = NdjsonJournal(raw)
        if not (journal.append(line(900), NOON) and journal.append(line(901), NOON + DAY)):
            problems.append(f"the next process cannot write: {journal.problem}")
        journal.close()
        found = numbers(raw)
        problems += [
            f"{n} is lost to the next process" for n in {*acknowledged, 900, 901} - set(found)
        ]
        problems += [f"{n} is there twice" for n, count in Counter(found).items() if count > 1]
        for path in raw.rglob("*"):
            mode = stat.S_IMODE(path.lstat().st_mode)
            if mode & 0o077:
                problems.append(f"{path.name} has mode {mode:o}")
        return problems


class Append(Create):
    """
    More records in a file that another process left torn, over many pages and over midnight.
    """

    def prepare(self, directory):
        """
        Leave half a line at the end.
        """
        journal = NdjsonJournal(directory / "raw")
        journal.append(line(800), NOON)
        journal.close()
        with (directory / "raw" / "events_20261122.ndjson").open("ab") as file:
            file.write(line(801)[:50])

    def run(self, directory, acknowledge):
        """
        Append, sync and close around each other.
        """
        journal = NdjsonJournal(directory / "raw")
        steps = [(1, 0, 0), (2, 20_000, 0), (3, 0, 1), (4, 9_000, DAY), (5, 0, DAY + 1), (6, 0, 2)]
        for number, size, later in steps:
            if journal.append(line(number, size), NOON + later):
                acknowledge(number)
            if number % 2:
                journal.sync()
        journal.close()
        if journal.append(line(7), NOON + 3):
            acknowledge(7)
        journal.sync()


class Reopen(Create):
    """
    A file that is deleted, emptied and replaced under its writer.
    """

    def run(self, directory, acknowledge):
        """
        Acknowledge only what was written after the last loss.
        """
        journal = NdjsonJournal(directory / "raw")
        file = directory / "raw" / "events_20261122.ndjson"
        journal.append(line(100), NOON)
        file.unlink()
        journal.append(line(101), NOON + 1)
        os.truncate(file, 0)
        journal.append(line(102), NOON + 2)
        file.rename(file.with_name("events_20261122.old.ndjson"))
        for number in range(3):
            if journal.append(line(number), NOON + 3):
                acknowledge(number)
        journal.sync()


class Own(Create):
    """
    Files of one writer, where no file can be shared.
    """

    def run(self, directory, acknowledge):
        """
        Append over midnight.
        """
        journal = NdjsonJournal(directory / "raw", shares_appends=lambda _: False)
        for number in range(4):
            if journal.append(line(number), NOON + number // 2 * DAY):
                acknowledge(number)
        journal.sync()


SCENARIOS = {
    "create": Create,
    "append": Append,
    "reopen": Reopen,
    "own": Own,
    **CLIENT_SCENARIOS,
}


class Traced:
    """
    A scenario in a process of its own, which waits until strace holds it.

    It has run the scenario once elsewhere, so that no import is among the calls that are counted.
    """

    def __init__(self, scenario, directory):
        self.said = b""
        ready, is_ready = os.pipe()
        start, may_start = os.pipe()
        self._reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            for fd in (ready, may_start, self._reading):
                os.close(fd)
            self._work(scenario, directory, writing, is_ready, start)
        for fd in (is_ready, start, writing):
            os.close(fd)
        os.read(ready, 1)
        os.close(ready)
        self._may_start = may_start

    def _work(self, scenario, directory, writing, is_ready, start):
        code = 70
        try:
            with tempfile.TemporaryDirectory(dir=directory.parent) as elsewhere:
                scenario.prepare(Path(elsewhere))
                scenario.run(Path(elsewhere), lambda _: None)
            os.write(is_ready, b"!")
            os.read(start, 1)
            scenario.run(directory, lambda number: os.write(writing, b"%d\n" % number))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def trace(self, *options):
        """
        Let the scenario run under strace; return its exit status, negative for a signal.
        """
        tracer = subprocess.Popen(
            ["strace", "-f", "-qq", "-p", str(self.pid), *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._await_tracer(tracer)
        os.close(self._may_start)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        tracer.wait(TIME_LIMIT_S)
        with open(self._reading, "rb") as said:  # noqa: PTH123 (a descriptor, not a path)
            self.said = said.read()
        return status

    def _await_tracer(self, tracer):
        limit = time.monotonic() + TIME_LIMIT_S
        tasks = Path(f"/proc/{self.pid}/task")
        while not all("TracerPid:\t0\n" not in (t / "status").read_text() for t in tasks.iterdir()):
            if tracer.poll() is not None or time.monotonic() > limit:
                os.kill(self.pid, signal.SIGKILL)
                raise RuntimeError("strace must be able to attach")
            os.sched_yield()

    def acknowledged(self):
        """
        Return the whole numbers that were said.
        """
        return {int(number) for number in self.said.split(b"\n")[:-1]}


def apart(function, *arguments):
    """
    Return what a function returns in a process of its own, so that this one stays without threads.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with open(writing, "w", encoding="utf-8") as answer:  # noqa: PTH123 (a descriptor)
                json.dump(function(*arguments), answer)
        except BaseException as error:
            print(f"{function.__qualname__}: {error!r}", file=sys.stderr)
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as answer:  # noqa: PTH123 (a descriptor)
        text = answer.read()
    os.waitpid(pid, 0)
    return json.loads(text) if text else [f"{function.__qualname__} died"]


def calls_of(scenario, base):
    """
    Return how often a thread makes each storage call when nothing goes wrong.
    """
    directory = base / "count" / "run"
    directory.mkdir(parents=True)
    apart(scenario.prepare, directory)
    log = base / "log"
    process = Traced(scenario, directory)
    status = process.trace("-e", f"trace={CALLS}", "-o", str(log))
    problems = apart(scenario.check, directory, process.acknowledged())
    if status or problems:
        raise RuntimeError(f"without a crash all must be well (got {status} and {problems})")
    calls = re.findall(r"^(\d+) +(\w+)\(", log.read_text(errors="replace"), re.MULTILINE)
    most = Counter()
    for (_, call), count in Counter(calls).items():
        most[call] = max(most[call], count)
    return most


def crash(scenario, directory, call, when):
    """
    Kill the scenario at a thread's n-th of a call; return whether it was, and what is wrong.
    """
    directory.mkdir(parents=True)
    apart(scenario.prepare, directory)
    process = Traced(scenario, directory)
    inject = f"inject={call}:signal=KILL:when={when}"
    status = process.trace("-e", f"trace={call}", "-e", inject, "-o", os.devnull)
    return status != 0, apart(scenario.check, directory, process.acknowledged())


def chosen(points, most, part):
    """
    Return evenly spread points, and of these one of several interleaved parts.
    """
    step = max(1, -(-len(points) // most)) if most else 1
    number, parts = (int(text) for text in part.split("/"))
    return points[::step][number - 1 :: parts]


def enumerate_scenario(name, base, most, part):
    """
    Crash a scenario everywhere, or at evenly spread points; return (points, problems).
    """
    scenario = SCENARIOS[name]()
    counts = calls_of(scenario, base / name)
    points = [(call, when) for call, count in counts.items() for when in range(1, count + 1)]
    crashes, problems = 0, []
    for call, when in chosen(points, most, part):
        where = base / name / f"{call}-{when}" / "run"
        is_killed, wrong = crash(scenario, where, call, when)
        crashes += is_killed
        problems += [f"{name}: killed at {call} {when}: {text}" for text in wrong]
        shutil.rmtree(where.parent)
    return crashes, problems


def main():
    """
    Read the options, run, report.
    """
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), action="append")
    parser.add_argument("--most", type=int, default=0, help="crash points a scenario; 0 for all")
    parser.add_argument("--part", default="1/1", help="I/N: every N-th of them, from the I-th")
    options = parser.parse_args()
    failures = []
    with tempfile.TemporaryDirectory(prefix="crashes-") as directory:
        for name in options.scenario or SCENARIOS:
            started = time.monotonic()
            crashes, problems = enumerate_scenario(
                name, Path(directory), options.most, options.part
            )
            failures += problems
            seconds = time.monotonic() - started
            print(f"{name:10} {crashes:4} crash points, {len(problems)} problems, {seconds:.1f} s")
    for text in failures:
        print(text)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
