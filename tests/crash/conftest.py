"""
The crash programs, run as a person would run them.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from needs import unable

import telemetry

_HERE = Path(__file__).parent
_ROOT = str(Path(telemetry.__file__).parents[1])


@pytest.fixture
def run_script():
    """
    Return a runner of a program in this directory: its exit status and what it printed.
    """

    def run(name, *arguments):
        done = subprocess.run(
            [sys.executable, str(_HERE / name), *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": _ROOT},
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture
def forking():
    """
    Skip where processes cannot be forked and killed.
    """
    if not hasattr(os, "fork"):
        unable("needs fork and SIGKILL")


@pytest.fixture
def tracing(forking):
    """
    Skip where strace cannot stop a process at its system calls; in CI that is a failure.
    """
    if shutil.which("strace") is None:
        unable("needs strace")
    probe = subprocess.run(
        ["strace", "-qq", "-o", os.devnull, "true"], capture_output=True, check=False
    )
    if probe.returncode:
        unable("strace may not trace here")


@pytest.fixture
def namespaces(forking):
    """
    Skip where a process cannot have a namespace of process ids; in CI that is a failure.
    """
    probe = subprocess.run(["unshare", "-pf", "true"], capture_output=True, check=False)
    if probe.returncode:
        unable("unshare -p does not work here")
