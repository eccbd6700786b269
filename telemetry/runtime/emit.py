"""
From a call to a line in the journal: the only code on the agent's own thread.

Invariants: no lock, no thread, no fsync, one ``write``. Numbers come from one `itertools.count`,
which is atomic; whatever else is shared is replaced whole by one assignment. So a signal handler or
a destructor may record in the middle of a record.
"""

from __future__ import annotations

import itertools
import os
import struct
from binascii import hexlify
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable
from zlib import crc32

import msgspec

from telemetry.model.codec import escape_marker
from telemetry.model.ids import MICROS, THREE_DIGITS, Clock, forget_drawn, new_writer
from telemetry.model.records import FORMAT_VERSION, Change, RecordType
from telemetry.runtime.forkmark import fork_mark

if TYPE_CHECKING:
    from telemetry.model.payload import PayloadEncoder
    from telemetry.runtime.doorbell import Doorbell

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
    that the journal did not; the ``bell`` is rung after each record.

    `event` and `record` are compiled once per writer: as closures over what never changes they cost
    a fifth less than as methods that look all of it up.
    """

    #: Record what `log_event` was given: the run's two keys from `identity`, the type, the payload.
    event: Callable[[str, str, object], None]

    #: Record anything else, at a time already read from the clock: the kind as `change` takes it,
    #: the second and the time's text, the run's two keys, and the rest of the line in two parts.
    record: Callable[[str, int, str, str, str, str], None]

    def __init__(
        self,
        append: Append,
        encoder: PayloadEncoder,
        *,
        refused: Callable[[bytes, int], None],
        bell: Doorbell,
        processors: Sequence[Callable[[str, Any], Any]] = (),
    ) -> None:
        self.append = append
        self.refused = refused
        self.bell = bell
        self._encoder = encoder
        self._processors = tuple(processors)
        self.clock = Clock()
        self._event_types: dict[str, str] = {}
        self.after_fork()

    def after_fork(self) -> None:
        """
        Become another writer; called in a child process, and once at the beginning.
        """
        forget_drawn()
        self.pid = os.getpid()
        #: Item 0 tells whether this is still the process that the writer stands for.
        self.mark = fork_mark()
        self.writer = new_writer()
        #: Draws the next record's number.
        self.number = itertools.count(1).__next__
        self.event = self._compile_event()
        self.record = self._compile_record()

    def head(self, record_type: str) -> str:
        """
        Return a line of this writer up to its number.

        Args:
            record_type: As JSON; for a run's record, its change is behind it.
        """
        return f'{{"lt":{FORMAT_VERSION},"record_type":{record_type},"id":"{self.writer}-'

    def _compile_event(self) -> Callable[[str, str, object], None]:
        mark, number, append, refused = self.mark, self.number, self.append, self.refused
        encode, processors, kinds = self._encoder.encode, self._processors, self._event_types
        bell, ring, clock, time_ns = self.bell, self.bell.ring, self.clock, self.clock.time_ns
        head, begun = sealing(self.head('"event"'))
        digits = THREE_DIGITS
        # The second that is being written in: its first microsecond, its number, its text.
        known = (-MICROS, -1, "")

        def event(run_part: str, event_type: str, payload: object) -> None:
            nonlocal known
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
            # `Clock.now_us`, without the call.
            now = time_ns() // 1000
            if now <= clock.last_us:
                now = clock.last_us + 1
            clock.last_us = now
            # One reading of one name: another thread may put the next second there.
            first, second, text = known
            micro = now - first
            if not 0 <= micro < MICROS:
                first, second_text, _, second = clock.second_of(now)
                text = f'","timestamp":"{second_text}.'
                known = (first, second, text)
                micro = now - first
            millis, micros = digits[micro // 1000], digits[micro % 1000]
            rest = f"{number()}{text}{millis}{micros}Z{run_part}{kind}".encode() + data
            line = join((head, rest, CRC, hexlify(big_endian(crc32(rest, begun))), END))
            if not append(line, second):
                refused(line, second)
            if not bell.is_rung:
                ring()

        return event

    def _compile_record(self) -> Callable[[str, int, str, str, str, str], None]:
        mark, number, append, refused = self.mark, self.number, self.append, self.refused
        bell, ring = self.bell, self.bell.ring
        heads = {
            COMMIT: sealing(self.head('"commit"')),
            **{
                change.value: sealing(self.head(f'"run","change":"{change.value}"'))
                for change in Change
            },
        }

        def record(  # noqa: PLR0913, PLR0917 (by position it costs less)
            kind: str, second: int, time_text: str, run_part: str, fields: str, more: str
        ) -> None:
            if not mark[0]:
                self.after_fork()
                self.record(kind, second, time_text, run_part, fields, more)
                return
            head, begun = heads[kind]
            rest = f'{number()}","timestamp":"{time_text}{run_part}{fields}{more}'.encode()
            line = join((head, rest, CRC, hexlify(big_endian(crc32(rest, begun))), END))
            if not append(line, second):
                refused(line, second)
            if not bell.is_rung:
                ring()

        return record

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
        now, time_text, _, second = self.clock.read()
        self.record(kind, second, time_text, run_part, fields, "")
        return now

    def _event_type(self, event_type: object) -> str:
        """
        Return an event type as its part of the line, remembered if there are not too many.
        """
        text = self._encoder.clean(event_type if isinstance(event_type, str) else repr(event_type))
        kind = f',"event_type":{encode_text(str(text)[:MAX_EVENT_TYPE_LENGTH])},"payload":'
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

#: What stands before a line's checksum, and behind it. Whoever writes a line puts it together
#: himself: a call of ours would take as long.
CRC, END = b',"crc":"', b'"}\n'
join, big_endian = b"".join, struct.Struct(">I").pack


def sealing(head: str) -> tuple[bytes, int]:
    """
    Return a line's head, and the checksum to go on from with what stands behind it.
    """
    beginning = head.encode()
    return beginning, crc32(beginning)


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
