"""
Journals on real disks, and programs that are run apart.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from badserver import BadServer
from needs import unable
from webhook import TOKEN

import telemetry
from telemetry.config import Secret, TelemetryConfig
from telemetry.model.codec import encode_line
from telemetry.runtime import outage
from telemetry_plugins.http import answers
from telemetry_plugins.http.posts import PostsSink
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


@pytest.fixture
def privileged():
    """
    Skip where this user cannot become another one; in CI that is a failure.
    """
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        unable("only root can become another user")


@pytest.fixture
def mounting(privileged):
    """
    Return the words that put a shell command, with its arguments behind it, into its own mounts.
    """
    probe = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    if probe.returncode:
        unable("unshare -m does not work here")

    def words(command):
        return ["unshare", "-m", "sh", "-ec", f'{command}; exec "$@"', "sh"]

    return words


@pytest.fixture(scope="session")
def _servers():
    kept = []
    yield kept
    for server in kept:
        server.close()


@pytest.fixture
def server(_servers):
    """
    Return a server that takes everything until it is told otherwise; one process for many tests.
    """
    if not _servers or not _servers[-1].is_alive:
        _servers.append(BadServer())
    _servers[-1].reset()
    return _servers[-1]


@pytest.fixture
def hurried(monkeypatch):
    """
    Make the waits after a failure short.
    """
    monkeypatch.setattr(answers, "FIRST_WAITS_S", (0.01, 0.02, 0.04))
    monkeypatch.setattr(outage, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(outage, "MAX_RETRY_S", 0.05)


@pytest.fixture
def make_posts(server, tmp_path):
    """
    Return a maker of sinks that post to the server, over one base directory.
    """
    made = []

    def make(desk=None, token=TOKEN, timeout_s=5):
        made.append(
            PostsSink(f"{server.url}/hook", Secret(token), tmp_path / "state", timeout_s=timeout_s)
        )
        if desk is not None:
            made[-1].attach(desk)
        return made[-1]

    yield make
    for sink in made:
        sink.close()


@pytest.fixture
def make_config(tmp_path):
    """
    Return a maker of settings over one base directory.
    """

    def make(**variables):
        # The git linker adds records at times of its own, also after a flush.
        environ = {
            "TELEMETRY_BASE_DIR": str(tmp_path / "base"),
            "TELEMETRY_PLUGINS_DISABLED": "git_linker",
            **variables,
        }
        config = TelemetryConfig.from_env(environ)
        assert config.problems == ()
        return config

    return make


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """
    Return a key and a certificate of 127.0.0.1 that nobody trusts, in one file.
    """
    if shutil.which("openssl") is None:
        unable("openssl makes the certificate")
    directory = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", "key.pem", "-out", "cert.pem"),
        ],
        cwd=directory,
        check=True,
        capture_output=True,
    )
    both = directory / "both.pem"
    both.write_text((directory / "key.pem").read_text() + (directory / "cert.pem").read_text())
    return both
