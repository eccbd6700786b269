"""
Bodies: how large, how packed, how many at once.
"""

from __future__ import annotations

import functools
import gzip
import io
import zlib

import pytest
import zstandard
from asgi_client import ask, echo

from telemetry.config import TelemetryConfig
from telemetry.service.bodylimits import MAX_ONE_RUN_BYTES, Budget
from telemetry.service.inflating import MAX_MEMBERS, PIECE_BYTES, gunzip, unzstd
from telemetry.service.middleware import Guard

LIMIT = 4 << 20
ONE, MANY = "/api/v1/runs", "/api/v1/runs/batch"
TEXT = b'{"agent_name":"a","n":%d}\n'
RECORDS = b"".join(TEXT % number for number in range(20_000))


@pytest.fixture
def guard(tmp_path):
    config = TelemetryConfig.from_env({}, base_dir=tmp_path, api_max_body_bytes=LIMIT)
    return Guard(echo, config, record=lambda _: None)


def chunks(body, size=64 << 10):
    return [body[i : i + size] for i in range(0, len(body), size)] or [b""]


def post(guard, path, body, **headers):
    return ask(guard, "POST", path, parts=chunks(body), content_length=str(len(body)), **headers)


def post_chunked(guard, path, body, **headers):
    return ask(guard, "POST", path, parts=chunks(body), transfer_encoding="chunked", **headers)


def zstd(body, **options):
    return zstandard.ZstdCompressor(**options).compress(body)


@pytest.mark.parametrize("send", [post, post_chunked])
@pytest.mark.parametrize(("path", "limit"), [(ONE, MAX_ONE_RUN_BYTES), (MANY, LIMIT)])
def test_a_body_has_a_limit(guard, send, path, limit):
    """
    One run may have 1 MiB, a batch what is set, said beforehand or not; one byte more is 413.
    """
    fits, over = (send(guard, path, b"x" * size) for size in (limit, limit + 1))

    assert (fits.status, fits.json()["length"]) == (200, limit)
    assert (over.status, over.json()["type"]) == (413, "urn:telemetry:problem:body-too-large")
    assert str(limit) in over.json()["detail"]


def test_a_body_that_says_it_is_too_large_is_not_read(tmp_path):
    """
    The application never sees the request; the client hears that the connection ends.
    """
    config = TelemetryConfig.from_env({}, base_dir=tmp_path, api_max_body_bytes=LIMIT)

    async def never(scope, receive, send):
        raise AssertionError

    answer = post(Guard(never, config, record=lambda _: None), MANY, b"x" * (LIMIT + 1))

    assert (answer.status, answer.headers["connection"]) == (413, "close")


def test_an_application_that_answers_all_the_same_is_not_heard(tmp_path):
    """
    Whatever the application makes of a body that was cut off, the client hears 413.
    """
    config = TelemetryConfig.from_env({}, base_dir=tmp_path, api_max_body_bytes=LIMIT)

    async def stubborn(scope, receive, send):
        try:
            await echo(scope, receive, send)
        except Exception:
            await send({"type": "http.response.start", "status": 500, "headers": []})
            await send({"type": "http.response.body", "body": b"oops"})
            raise

    guard = Guard(stubborn, config, record=lambda _: None)

    assert post_chunked(guard, ONE, b"x" * (MAX_ONE_RUN_BYTES + 1)).status == 413


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", " 5", "5, 5", "9" * 30, "٣"])
def test_a_length_that_is_none(guard, length):
    """
    A Content-Length that is no number is 400.
    """
    headers = [(b"content-length", length.encode())]

    assert ask(guard, "POST", ONE, headers, [b"{}"]).status == 400


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(RECORDS)),
        ("GZIP", gzip.compress(RECORDS, 1)),
        ("x-gzip", gzip.compress(RECORDS[:99]) + gzip.compress(RECORDS[99:])),
        ("zstd", zstd(RECORDS)),
        ("zstd", zstd(RECORDS[:99], level=19) + zstd(RECORDS[99:], write_content_size=False)),
        ("identity", RECORDS),
    ],
)
@pytest.mark.parametrize("send", [post, post_chunked])
def test_a_packed_body_arrives_unpacked(guard, encoding, packed, send):
    """
    Both gzip and zstd are unpacked, also when they were packed in parts.
    """
    answer = send(guard, MANY, packed, content_encoding=encoding)

    assert answer.status == 200
    assert answer.json()["length"] == len(RECORDS)
    assert answer.json()["start"] == RECORDS[:20].decode()


@pytest.mark.parametrize("encoding", ["deflate", "br", "gzip, gzip", "zstd, gzip", "gzip;q=1", "*"])
def test_an_unknown_or_stacked_encoding_is_refused(guard, encoding):
    """
    Any other encoding, and more than one, is 415 and names those that are taken.
    """
    answer = post(guard, MANY, b"x", content_encoding=encoding)

    assert (answer.status, answer.headers["accept-encoding"]) == (415, "gzip, zstd")


def test_an_encoding_twice_is_refused(guard):
    """
    Two headers are as good as one with both.
    """
    headers = [(b"content-encoding", b"gzip"), (b"content-encoding", b"gzip")]

    assert ask(guard, "POST", MANY, headers, [b"x"], content_length="1").status == 415


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", b""),
        ("gzip", b"{}"),
        ("gzip", gzip.compress(RECORDS)[:-9]),
        ("gzip", gzip.compress(RECORDS) + b"x"),
        ("gzip", gzip.compress(b"") * (MAX_MEMBERS + 1)),
        ("gzip", zlib.compress(RECORDS)),
        ("zstd", b""),
        ("zstd", b"{}"),
        ("zstd", zstd(RECORDS)[:-9]),
        ("zstd", zstd(RECORDS) + b"x"),
        ("zstd", zstd(b"") * (MAX_MEMBERS + 1)),
    ],
)
def test_a_damaged_body_is_refused(guard, encoding, packed):
    """
    What is not what it says, cut short or followed by something else is 400.
    """
    answer = post_chunked(guard, MANY, packed, content_encoding=encoding)

    assert (answer.status, answer.json()["type"]) == (400, "urn:telemetry:problem:packed-body")


class Zeros(io.RawIOBase):
    """
    A file of zeros.
    """

    def __init__(self, size):
        self.left = size

    def readable(self):
        return True

    def readinto(self, buffer):
        count = min(len(buffer), self.left)
        buffer[:count] = bytes(count)
        self.left -= count
        return count


@functools.cache
def gzip_bomb():
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(128)) + packer.flush()


@functools.cache
def zstd_bomb():
    return b"".join(zstandard.ZstdCompressor(level=3).read_to_iter(Zeros(1 << 28)))


@pytest.mark.parametrize(("encoding", "bomb"), [("gzip", gzip_bomb), ("zstd", zstd_bomb)])
def test_a_bomb_is_defused(guard, encoding, bomb):
    """
    Hundreds of MiB of zeros in a small body are 413, and their memory is given back.
    """
    body = bomb()
    answer = post(guard, MANY, body, content_encoding=encoding)

    assert len(body) < 300_000
    assert answer.status == 413
    assert guard.bodies.budget.held_bytes == 0


@pytest.mark.parametrize(("unpack", "bomb"), [(gunzip, gzip_bomb), (unzstd, zstd_bomb)])
def test_a_bomb_is_unpacked_in_pieces(unpack, bomb):
    """
    No single piece of a bomb is large.
    """
    pieces = unpack(bomb())

    assert max(len(next(pieces)) for _ in range(20)) <= PIECE_BYTES + (64 * 128 << 10)


def test_what_packs_too_well_is_refused(guard):
    """
    More than 250 to 1 is no telemetry: refused although it would fit; small bodies may.
    """
    assert post(guard, MANY, gzip.compress(bytes(3 << 20)), content_encoding="gzip").status == 413
    assert post(guard, MANY, gzip.compress(bytes(900_000)), content_encoding="gzip").status == 200


def test_one_run_may_not_unpack_to_more_than_it_may_have(guard):
    """
    The limit of a route holds for what was unpacked.
    """
    packed = gzip.compress(RECORDS * 3)

    assert post(guard, ONE, packed, content_encoding="gzip").status == 413
    assert post(guard, MANY, packed, content_encoding="gzip").status == 200


def test_all_bodies_together_have_a_limit(guard):
    """
    Where others hold the memory for bodies, a large one is 503 and told to come again.
    """
    guard.bodies.budget = Budget(1 << 20)
    guard.bodies.budget.take(1 << 19)
    body = b"x" * (3 << 18)
    busy = post(guard, MANY, body)
    small = post(guard, MANY, b"x" * 1000)
    guard.bodies.budget.held_bytes = 0
    later = post(guard, MANY, body)

    assert (busy.status, busy.headers["retry-after"]) == (503, "1")
    assert (small.status, later.status) == (200, 200)
    assert guard.bodies.budget.held_bytes == 0


def test_a_client_that_vanishes_gives_its_memory_back(guard):
    """
    A body that never ends is not kept, packed or not.
    """
    for headers in ({}, {"content_encoding": "gzip"}):

        async def cut(scope, receive, send):
            parts = [{"type": "http.request", "body": b"x" * 99_999, "more_body": True}]

            async def vanishing():
                return parts.pop() if parts else {"type": "http.disconnect"}

            await guard(scope, vanishing, send)

        ask(cut, "POST", MANY, transfer_encoding="chunked", **headers)

        assert guard.bodies.budget.held_bytes == 0
