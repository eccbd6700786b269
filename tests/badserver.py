"""
A misbehaving HTTP server in a process of its own, and its handle for tests.

What it does with each POST is scripted, one behaviour a request; when the script is over, the
default holds. It says on its standard output what it got, and whether it kept it. A behaviour is a
dictionary: ``do`` names it, the rest are its options. All but the names below answer ``status``,
``headers`` and ``body``.

    answer      the default; ``keeps`` says whether what came is stored, by default for 2xx
    records     as a telemetry service: a receipt, each record kept once; ``refuses`` ids by a part
                of their line, answers 413 to more than ``max_bytes``
    hang        reads the request and says no more
    mute        accepts the connection and never reads
    drip_head   one byte of the head at a time, for ever
    drip_body   a head, then one byte of the body at a time, for ever
    endless     a head, then a body without end
    short       says more bytes than it sends, then closes
    long        says fewer bytes than it sends
    garbage     no HTTP at all
    reset       resets the connection; ``keeps`` says whether it had stored the request before
    farewell    answers, promises to keep the connection, and closes it
"""

from __future__ import annotations

import base64
import gzip
import json
import queue
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

TIMEOUT_S = 60
DRIP_S = 0.01
_RESET = struct.pack("ii", 1, 0)


class Server:
    """
    The child's side.
    """

    def __init__(self, certificate):
        self.lock = threading.Lock()
        self.script = []
        self.default = {"do": "answer"}
        self.base = ""
        self.kept = set()
        self.health = {"status": 200}
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate)
        self.listener = socket.create_server(("127.0.0.1", 0))

    def run(self):
        self.say(port=self.listener.getsockname()[1])
        threading.Thread(target=self.accept, daemon=True).start()
        for line in sys.stdin:
            with self.lock:
                for name, value in json.loads(line).items():
                    setattr(self, name, set(value) if name == "kept" else value)
            self.say(ack=True)

    def say(self, **said):
        with self.lock:
            sys.stdout.write(json.dumps(said) + "\n")
            sys.stdout.flush()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        self.say(connected=True)
        try:
            with connection:
                if self.context is not None:
                    connection = self.context.wrap_socket(connection, server_side=True)
                if self.is_mute():
                    self.say(muted=True)
                    threading.Event().wait()
                while self.answer_one(connection):
                    pass
        except OSError:
            return

    def is_mute(self):
        with self.lock:
            if self.script and self.script[0]["do"] == "mute":
                self.script.pop(0)
                return True
        return False

    def answer_one(self, connection):
        request = read_request(connection)
        if request is None:
            return False
        method, path, headers, body = request
        if method == "GET":
            send(connection, **self.health, headers=self.own_headers())
            self.say(looked=path)
            return True
        with self.lock:
            behaviour = self.script.pop(0) if self.script else dict(self.default)
        kept, answer = self.decide(behaviour, path, headers, body)
        self.say(
            method=method,
            path=path,
            headers=headers,
            body=base64.b64encode(body).decode(),
            do=behaviour["do"],
            kept=kept,
        )
        return act(connection, behaviour, answer)

    def own_headers(self):
        return {"Telemetry-Base": self.base} if self.base else {}

    def decide(self, behaviour, path, headers, body):
        """
        Return what of a request is stored, and the answer.
        """
        if behaviour["do"] == "records" or behaviour.get("as_records"):
            return self.keep_records(behaviour, path, body)
        status = behaviour.get("status", 200)
        keeps = behaviour.get(
            "keeps", behaviour["do"] in {"answer", "farewell"} and status // 100 == 2
        )
        answer = {
            "status": status,
            "headers": {**self.own_headers(), **behaviour.get("headers", {})},
            "body": behaviour.get("body", "{}"),
        }
        return [headers.get("idempotency-key", "")] if keeps else [], answer

    def keep_records(self, behaviour, path, body):
        lines = [line for line in body.split(b"\n") if line]
        if len(body) > behaviour.get("max_bytes", 1 << 30):
            return [], {"status": 413, "headers": {}, "body": "too large"}
        fresh, duplicates, refused = [], 0, []
        with self.lock:
            for line in lines:
                record_id = json.loads(line)["id"]
                reasons = [word for word in behaviour.get("refuses", ()) if word.encode() in line]
                if reasons:
                    refused.append({"id": record_id, "reason": f"no {reasons[0]}", "slug": "never"})
                elif (path, record_id) in self.kept:
                    duplicates += 1
                else:
                    self.kept.add((path, record_id))
                    fresh.append(record_id)
        receipt = {
            "stored": len(fresh),
            "duplicates": duplicates,
            "refused": refused,
            "total": len(lines),
        }
        return fresh, {"status": 200, "headers": self.own_headers(), "body": json.dumps(receipt)}


def act(connection, behaviour, answer):
    """
    Answer as a behaviour says; whether the connection is good for another request.
    """
    do = behaviour["do"]
    body = answer["body"].encode()
    if do in {"hang", "mute"}:
        threading.Event().wait()
    elif do == "drip_head":
        drip(connection, head(200, {"Content-Length": "2"}, b"X-Pad: " + b"x" * 60000))
    elif do == "drip_body":
        connection.sendall(head(answer["status"], {"Content-Length": "100000"}))
        drip(connection, b"x" * 100_000)
    elif do == "endless":
        connection.sendall(head(answer["status"], {"Connection": "close"}))
        while True:
            connection.sendall(b"x" * 65536)
    elif do == "short":
        connection.sendall(head(answer["status"], {"Content-Length": str(len(body) + 99)}) + body)
    elif do == "long":
        length = str(max(0, len(body) - behaviour.get("surplus", 1)))
        connection.sendall(
            head(answer["status"], {"Content-Length": length}) + body + b"HTTP/1.1 500 No\r\n\r\n"
        )
        return True
    elif do == "garbage":
        connection.sendall(b"\x00\xff\x16\x03 not http at all\r\n\r\n" * 10)
    elif do == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    else:
        send(connection, **answer)
        return do != "farewell"
    return False


def drip(connection, data):
    for byte in data:
        connection.sendall(bytes([byte]))
        time.sleep(DRIP_S)


def send(connection, status, headers, body=""):
    data = body.encode()
    connection.sendall(head(status, {"Content-Length": str(len(data)), **headers}) + data)


def head(status, headers, more=b""):
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + (b"\r\n" + more if more else b"") + b"\r\n\r\n"


def read_request(connection):
    """
    Return method, path, headers and the inflated body; None at the connection's end.
    """
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return None
        data += piece
    top, _, body = data.partition(b"\r\n\r\n")
    first, *rest = top.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {}
    for line in rest:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    while len(body) < int(headers.get("content-length", 0)):
        piece = connection.recv(65536)
        if not piece:
            return None
        body += piece
    if headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    return method, path, headers, body


class Request:
    """
    One POST as the server got it.
    """

    def __init__(self, said):
        self.method, self.path, self.do = said["method"], said["path"], said["do"]
        self.headers = said["headers"]
        self.body = base64.b64decode(said["body"])
        #: What it stored of it: ids of records, or the idempotency key.
        self.kept = said["kept"]

    def json(self):
        return json.loads(self.body)

    def ids(self):
        return [json.loads(line)["id"] for line in self.body.split(b"\n") if line]


class BadServer:
    """
    The parent's side: starts the server, scripts it, and waits for what it gets.
    """

    def __init__(self, certificate=""):
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), str(certificate)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.requests = []
        self.looks = []
        self.connection_count = 0
        self._events = queue.Queue()
        self._acks = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = self._acks.get(timeout=TIMEOUT_S)["port"]
        scheme = "https" if certificate else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def is_alive(self):
        return self.process.poll() is None

    def reset(self):
        """
        Begin anew: no script, nothing kept, nothing seen.
        """
        self.set(script=[], default={"do": "answer"}, base="", kept=[])
        self._drain()
        self.requests, self.looks, self.connection_count = [], [], 0

    def close(self):
        if not self.is_alive:
            return
        self.process.kill()
        self.process.wait()
        self._reader.join(TIMEOUT_S)
        self.process.stdin.close()
        self.process.stdout.close()

    def set(self, **values):
        self.process.stdin.write(json.dumps(values) + "\n")
        self.process.stdin.flush()
        self._acks.get(timeout=TIMEOUT_S)

    def will(self, *behaviours, then=None):
        """
        Script the next POSTs; what comes after them is answered as ``then`` says.
        """
        values = {"script": list(behaviours)}
        if then is not None:
            values["default"] = then
        self.set(**values)

    def wait(self, wanted, timeout_s=TIMEOUT_S):
        """
        Wait until a condition on this object holds; it is asked after each event.
        """
        deadline = time.monotonic() + timeout_s
        while not wanted(self):
            event = self._events.get(timeout=max(0.01, deadline - time.monotonic()))
            self._take(event)

    def wait_for(self, count):
        """
        Wait for so many POSTs in all, and return them.
        """
        self.wait(lambda server: len(server.requests) >= count)
        return self.requests

    def kept(self):
        """
        Return all that was stored, in order, as often as it was stored.
        """
        self._drain()
        return [each for request in self.requests for each in request.kept]

    def seen(self):
        """
        Return every POST so far.
        """
        self._drain()
        return self.requests

    def _drain(self):
        self.set()  # what was said before its answer has been read after it
        while not self._events.empty():
            self._take(self._events.get())

    def _take(self, event):
        if "method" in event:
            self.requests.append(Request(event))
        elif "looked" in event:
            self.looks.append(event["looked"])
        elif "connected" in event:
            self.connection_count += 1

    def _read(self):
        for line in self.process.stdout:
            said = json.loads(line)
            (self._acks if "ack" in said or "port" in said else self._events).put(said)


if __name__ == "__main__":
    Server(sys.argv[1] if len(sys.argv) > 1 else "").run()
