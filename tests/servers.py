"""
The service as a process of its own, as its users start it.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT_S = 60
END_TIMEOUT_S = 60


def clean_env(base, **settings):
    """
    Return the environment of a process: this one's without settings, on a base directory.
    """
    begins = ("TELEMETRY_", "METRICS_API_", "AGENT_", "COV_")
    env = {name: text for name, text in os.environ.items() if not name.startswith(begins)}
    env["PYTHONPATH"] = str(ROOT)
    env["PYTHONIOENCODING"] = "utf-8"
    env["TELEMETRY_BASE_DIR"] = str(base)
    return {**env, **settings}


def free_port():
    """
    Return a port that is free now, and that the system gives to nobody of its own accord.

    An ephemeral one may be another program's by the time a killed service comes back to it.
    """
    for _ in range(1000):
        port = 15_000 + secrets.randbelow(15_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("there must be a free port")


class Server:
    """
    ``telemetry serve`` over a base directory; it can be killed and started again at its address.
    """

    def __init__(self, base, **settings):
        self.base = Path(base)
        self._settings = settings
        self._port = free_port()
        self.process = None
        self.url = ""

    def start(self):
        """
        Start it, and wait until it says where it listens.
        """
        log = self.base.parent / f"{self.base.name}.log"
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "telemetry", "serve", "--port", str(self._port)],
                env=clean_env(self.base, **self._settings),
                stdout=subprocess.PIPE,
                stderr=errors,
                stdin=subprocess.DEVNULL,
                text=True,
            )
        for line in self.process.stdout:
            if " at http://" in line:
                self.url = line.split(" at ")[1].strip()
                self._port = int(self.url.rpartition(":")[2])
                return self
        raise AssertionError(f"the service did not start: {log.read_text()}")

    def kill(self):
        """
        Kill it as a power cut would.
        """
        self.process.kill()
        self._reap()

    def stop(self):
        """
        End it as a service manager does; return its exit code.
        """
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self._reap()

    def _reap(self):
        code = self.process.wait(END_TIMEOUT_S)
        self.process.stdout.close()
        return code

    def log(self):
        """
        Return what it wrote on standard error.
        """
        return (self.base.parent / f"{self.base.name}.log").read_text(encoding="utf-8")

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
