"""
A service as a process of its own, and sockets to it that send what no client library would.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

TIME_LIMIT_S = 60


class Service:
    """
    A running service.
    """

    def __init__(self, base, process, address):
        self.base = base
        self.process = process
        self.address = address

    def connect(self):
        return socket.create_connection(self.address, TIME_LIMIT_S)

    def send(self, *parts):
        """
        Return what is answered until the connection ends.
        """
        with self.connect() as sock:
            for part in parts:
                sock.sendall(part)
            return read_all(sock)

    def get(self, path, **headers):
        connection = http.client.HTTPConnection(*self.address, timeout=TIME_LIMIT_S)
        try:
            connection.request("GET", path, headers={"Host": "localhost", **headers})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()


def read_all(sock):
    sock.settimeout(TIME_LIMIT_S)
    parts = []
    try:
        while part := sock.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def read_one(sock):
    """
    Return one answer, whose body is a JSON object.
    """
    sock.settimeout(TIME_LIMIT_S)
    answer = b""
    while not answer.endswith(b"}") and (part := sock.recv(65536)):
        answer += part
    return answer


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer else 0


def document_of(answer):
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def slug_of(answer):
    return document_of(answer)["type"].rpartition(":")[2]


@contextmanager
def running(base, **settings):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("TELEMETRY_")}
    log = base.parent / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "telemetry", "serve", "--port", "0"],
            env={**clean, "TELEMETRY_BASE_DIR": str(base), **settings},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        line = process.stdout.readline()
        assert "http://" in line, log.read_text()
        host, _, port = line.strip().rpartition("http://")[2].rpartition(":")
        yield Service(base, process, (host, int(port)))
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIME_LIMIT_S) == 0
        said = log.read_text()
        assert "Traceback" not in said, said
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
