"""
Records for tests of sinks, made as the journal makes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zlib import crc32

import msgspec

from telemetry.model.codec import decode_line, encode_line
from telemetry.model.records import RecordType
from telemetry.sinks import Cursor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from telemetry.model.records import Record

SEGMENT = "5e9a1c0000000001"
WRITER = "00c0ffee00c0ffee"
FINGERPRINTED_BYTES = 256
_TIME = "2026-01-01T00:{:02d}:{:02d}.{:06d}Z"

#: Payloads that are legal and awkward: each has broken a sink somewhere.
AWKWARD_PAYLOADS: tuple[Any, ...] = (
    None,
    [],
    {},
    {"": ""},
    {"text": 'nul \x00 tab \t quote " backslash \\ line \u2028 end'},
    {"text": "Zoë 日本語 🦊 e\u0301"},
    {"formula": "=1+1", "markup": "<script>", "statement": "'); DROP TABLE agent_runs;--"},
    {"large": 2**63 - 1, "small": -(2**63), "fraction": 0.1, "flags": [True, False, None]},
    {"long": "x" * 200_000},
    {"deep": [[[[[[[[[[{"bottom": 1}]]]]]]]]]]},
    "a text alone",
    7,
)


def sample_records(run_count: int = 3, *, first_number: int = 1) -> list[Record]:
    """
    Return the records of some runs, with awkward payloads and things that no version knows.

    Args:
        first_number: Number of the first record; choose another one for more runs beside these.
    """
    numbers = iter(range(first_number, first_number + 10_000_000))
    return [record for _ in range(run_count) for record in _run(numbers)]


def batches_of(
    records: Sequence[Record], size: int, *, segment: str = SEGMENT
) -> list[tuple[tuple[Record, ...], Cursor]]:
    """
    Return records as a follower hands them over: batches, each with the position after it.
    """
    batches = []
    content = b""
    start = 0
    for first in range(0, len(records), size):
        batch = tuple(records[first : first + size])
        content += b"".join(record.line + b"\n" for record in batch)
        tail = content[-FINGERPRINTED_BYTES:]
        cursor = Cursor(segment, len(content), fingerprint=crc32(tail), start=start)
        batches.append((batch, cursor))
        start = len(content)
    return batches


def sample_batches(
    run_count: int = 3, size: int = 7, *, segment: str = SEGMENT
) -> list[tuple[tuple[Record, ...], Cursor]]:
    """
    Return the sample records in batches.
    """
    return batches_of(sample_records(run_count), size, segment=segment)


def _run(numbers: Iterator[int]) -> Iterator[Record]:
    """
    Yield the records of one run.
    """
    first = next(numbers)
    event_id = f"01930000-0000-7000-8000-{first:012d}"
    names = {"event_id": event_id, "run_id": f"20260101T000000Z-sample-{first:08x}"}
    row = {
        "agent_name": "sample",
        "job_type": "conformance",
        "start_time": _TIME.format(0, 0, first % 1_000_000),
        "status": "running",
    }
    yield _record(first, RecordType.RUN, names, change="started", body=row)
    for payload in AWKWARD_PAYLOADS:
        number = next(numbers)
        yield _record(number, RecordType.EVENT, names, event_type="checkpoint", payload=payload)
    yield _record(next(numbers), RecordType.RUN, names, change="updated", body={"items_failed": 1})
    yield _record(next(numbers), "weather", names, change="changed", body={"sky": "clear"})
    commit = {"git_commit_hash": "0" * 39 + "1", "git_commit_source": "ci"}
    yield _record(next(numbers), RecordType.COMMIT, names, body=commit)
    number = next(numbers)
    end = {
        **row,
        "status": "success",
        "end_time": _TIME.format(1, 0, number % 1_000_000),
        "duration_ms": 60_000,
        "field_of_tomorrow": {"kept": True},
    }
    yield _record(number, RecordType.RUN, names, change="ended", body=end)


def _record(number: int, record_type: str, names: Mapping[str, Any], **parts: Any) -> Record:
    """
    Return one record, encoded and decoded.
    """
    if "payload" in parts:
        parts["payload"] = msgspec.json.encode(parts["payload"])
    record_type = str(getattr(record_type, "value", record_type))
    timestamp = _TIME.format(number // 60 % 60, number % 60, number % 1_000_000)
    line = encode_line(record_type, id=f"{WRITER}-{number}", timestamp=timestamp, **names, **parts)
    return decode_line(line)
