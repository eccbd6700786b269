"""
From a call to a line in the journal: the only code on the agent's own thread.

Invariants: no lock, no thread, no fsync, one ``write``. Numbers come from one `itertools.count`,
which is atomic; whatever else is shared is replaced whole by one assignment. So a signal handler or
a destructor may record in the middle of a record.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable
from zlib import crc32

import msgspec

from telemetry.model.codec import escape_marker
from telemetry.model.ids import Clock, forget_pools, new_writer
from telemetry.model.records import FORMAT_VERSION, Change, RecordType
from telemetry.runtime.forkmark import fork_mark

if TYPE_CHECKING:
    from telemetry.model.payload import PayloadEncoder

_encode = msgspec.json.Encoder().encode
#: Distinct event types whose bytes are kept ready; an agent that makes up more pays for encoding.
_MAX_CACHED_TYPES = 512
MAX_EVENT_TYPE_LENGTH = 255
COMMIT = RecordType.COMMIT.value

Append = Callable[[bytes, int], bool]


class Emitter:
    """
    Gives records their identity and writes them.

    Safe from any thread, from signal handlers and from destructors. ``refused`` takes each line
    that the journal did not; ``written`` is called after each record and must cost next to nothing.

    `event` is compiled once per writer: a closure over what never changes costs a tenth less than a
    method that looks all of it up.
    """

    #: Record what `log_event` was given: the run's two keys from `identity`, the type, the payload.
    event: Callable[[bytes, str, object], None]

    def __init__(
        self,
        append: Append,
        encoder: PayloadEncoder,
        *,
        refused: Callable[[bytes, int], None],
        written: Callable[[], None],
        processors: Sequence[Callable[[str, Any], Any]] = (),
    ) -> None:
        self._append = append
        self._encoder = encoder
        self._refused = refused
        self._written = written
        self._processors = tuple(processors)
        self.clock = Clock()
        self._event_types: dict[str, bytes] = {}
        self.after_fork()

    def after_fork(self) -> None:
        """
        Become another writer; called in a child process, and once at the beginning.
        """
        forget_pools()
        self.pid = os.getpid()
        self._mark = fork_mark()
        self.writer = new_writer()
        self._number = itertools.count(1).__next__
        self._heads = {
            COMMIT: self._head('"commit"'),
            **{change.value: self._head(f'"run","change":"{change.value}"') for change in Change},
        }
        self.event = self._compile_event()

    def _head(self, record_type: str) -> str:
        """
        Return a line of this writer up to its number.
        """
        return f'{{"lt":{FORMAT_VERSION},"record_type":{record_type},"id":"{self.writer}-'

    def _compile_event(self) -> Callable[[bytes, str, object], None]:
        mark, number, clock, append = self._mark, self._number, self.clock, self._append
        encode, processors, written = self._encoder.encode, self._processors, self._written
        kinds = self._event_types
        head, read_us = self._head('"event"').encode(), clock.now_us
        stamp = (-1, b"")

        def event(run_part: bytes, event_type: str, payload: object) -> None:
            nonlocal stamp
            if not mark[0]:
                self.after_fork()
                self.event(run_part, event_type, payload)
                return
            if processors:
                payload = self._process(event_type, payload)
                if payload is DROPPED:
                    return
            data = encode(payload)
            try:
                kind = kinds[event_type]
            except (KeyError, TypeError):
                kind = self._event_type(event_type)
            now = read_us()
            second = now // 1_000_000
            # One reading of one name: another thread may put the next second's stamp there.
            known = stamp
            if known[0] != second:
                text = f'","timestamp":"{clock.second_text(second)}.'
                known = stamp = (second, text.encode())
            body = b"%b%d%b%06dZ%b%b%b" % (
                head,
                number(),
                known[1],
                now - second * 1_000_000,
                run_part,
                kind,
                data,
            )
            line = body + b',"crc":"%08x"}\n' % crc32(body)
            if not append(line, second):
                self._refused(line, second)
            written()

        return event

    def change(self, kind: str, run_part: str, fields: str) -> int:
        """
        Record what happened to a run, or a commit.

        Args:
            kind: A change of a run, or `COMMIT`.
            run_part: The run's two keys, from `identity`.
            fields: The rest of the line from its first comma on: ``,"status":"running"``.

        Returns:
            The record's time in microseconds since the epoch.
        """
        now, time_text = self.clock.read()
        self.change_at(now, time_text, kind, run_part, fields)
        return now

    def change_at(self, now: int, time_text: str, kind: str, run_part: str, fields: str) -> None:
        """
        Record as `change` does, at a time already read from the clock.
        """
        if not self._mark[0]:
            self.after_fork()
        body = (
            f'{self._heads[kind]}{self._number()}","timestamp":"{time_text}{run_part}{fields}'
        ).encode()
        line = body + b',"crc":"%08x"}\n' % crc32(body)
        second = now // 1_000_000
        if not self._append(line, second):
            self._refused(line, second)
        self._written()

    def _event_type(self, event_type: object) -> bytes:
        """
        Return an event type as its part of the line, remembered if there are not too many.
        """
        text = self._encoder.clean(event_type if isinstance(event_type, str) else repr(event_type))
        kind = b',"event_type":%b,"payload":' % _encode(str(text)[:MAX_EVENT_TYPE_LENGTH])
        if isinstance(event_type, str) and len(self._event_types) < _MAX_CACHED_TYPES:
            self._event_types[event_type] = kind
        return kind

    def _process(self, event_type: str, payload: Any) -> Any:
        for processor in self._processors:
            payload = processor(event_type, payload)
            if payload is DROPPED:
                break
        return payload


#: What a processor's guard returns where the processor dropped the event.
DROPPED = object()


def identity(event_id: str, run_id: str) -> str:
    """
    Return a run's keys as they stand in each of its lines, after the timestamp.
    """
    return f'","event_id":"{event_id}","run_id":{encode_text(run_id)}'


def encode_text(text: str) -> str:
    """
    Return a text as it stands in a line, quotes included.
    """
    return _encode(text).decode()


def encode_part(fields: Mapping[str, Any]) -> str:
    """
    Return plain fields as the rest of a line, with the comma before them; empty for none.
    """
    return f",{escape_marker(_encode(fields)).decode()[1:-1]}" if fields else ""
