"""
Journals on real disks, and programs that are run apart.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import telemetry
from telemetry.model.codec import encode_line
from telemetry_plugins.ndjson import NdjsonJournal

NOON = 1_795_348_800  # 2026-11-22T12:00:00Z
_ROOT = str(Path(telemetry.__file__).parents[1])


@pytest.fixture
def noon():
    """
    Return a Unix time at noon of 2026-11-22.
    """
    return NOON


@pytest.fixture
def make_line():
    """
    Return a maker of events' lines.
    """

    def make(number, size=0, writer="00000000000000aa"):
        return encode_line(
            "event",
            id=f"{writer}-{number}",
            timestamp="2026-11-22T12:00:00.000000Z",
            event_id="0193a000-0000-7000-8000-000000000000",
            run_id="run",
            event_type="step",
            payload=b'{"text":"%b"}' % (b"x" * size),
        )

    return make


@pytest.fixture
def make_journal():
    """
    Return a maker of journals that are closed in the end.
    """
    made = []

    def make(directory, **options):
        made.append(NdjsonJournal(directory, **options))
        return made[-1]

    yield make
    for journal in made:
        journal.close()


@pytest.fixture
def read_all():
    """
    Return a reader of every record's number in a directory.
    """

    def read(directory, max_bytes=65536):
        journal = NdjsonJournal(directory)
        found = []
        for segment in journal.segments():
            chunk = journal.read(segment, None, max_bytes)
            while chunk.cursor.offset != chunk.cursor.start:
                found += [record.number for record in chunk.records]
                chunk = journal.read(segment, chunk.cursor, max_bytes)
        return found

    return read


@pytest.fixture
def run_program():
    """
    Run a program that imports telemetry; return what it printed as JSON.
    """

    def run(source, *arguments, before=()):
        environment = {**os.environ, "PYTHONPATH": _ROOT}
        done = subprocess.run(
            [*before, sys.executable, "-c", source, *map(str, arguments)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def _unable(reason):
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must be able to do this: {reason}")
    pytest.skip(reason)


@pytest.fixture
def privileged():
    """
    Skip where this user cannot become another one; in CI that is a failure.
    """
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        _unable("only root can become another user")


@pytest.fixture
def mounting(privileged):
    """
    Return the words that put a shell command, with its arguments behind it, into its own mounts.
    """
    probe = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    if probe.returncode:
        _unable("unshare -m does not work here")

    def words(command):
        return ["unshare", "-m", "sh", "-ec", f'{command}; exec "$@"', "sh"]

    return words
