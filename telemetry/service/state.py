"""
One running service: its parts, made once and wired together.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, TypeVar

import attrs

from telemetry.model.errors import SinkError
from telemetry.model.scrub import Scrubber
from telemetry.runtime.durable import appending
from telemetry.runtime.runtime import Runtime
from telemetry.runtime.surroundings import SERVICE
from telemetry.service.barrier import Barrier
from telemetry.service.bodies import Settler
from telemetry.service.metrics import Metrics
from telemetry.service.problems import unavailable
from telemetry.service.seen import Seen
from telemetry.service.turns import Turns
from telemetry.service.writing import Writer
from telemetry.storage.baseid import base_id
from telemetry.storage.queries import Store

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from structlog.typing import FilteringBoundLogger

    from telemetry.config import TelemetryConfig

#: Threads that ask the database; each has a connection of its own.
READER_COUNT = 4
#: While requests come one after the other, the followers leave them ten elevenths of the time: what
#: is read waits for the followers anyway, and they work faster on more at once.
MANNERS = attrs.evolve(SERVICE, pause_factor=10.0)
#: After a batch the next one is expected for so long, before the followers work at full speed.
BATCH_PAUSE_S = 0.25

_Answer = TypeVar("_Answer")


class Service:
    """
    What the routes need.

    For one event loop; only `read` leaves it.
    """

    def __init__(self, config: TelemetryConfig, log: FilteringBoundLogger) -> None:
        self.log = log
        self.runtime = Runtime(config, manners=MANNERS)
        self.config = self.runtime.config
        self.journal = self.runtime.journal
        self.store = Store(self.config.db_path)
        self.settler = Settler(self.runtime.encoder, _scrubber(self.config))
        self.writer = Writer(
            appending(self.journal, self.config.fsync),
            written=self.runtime.followers.bell.ring,
        )
        self.barrier = Barrier(self.runtime.followers, self._journal_bytes, self.store.highest)
        self.turns = Turns()
        self.seen = Seen()
        self.base_id = base_id(self.config.state_dir)
        self.metrics = Metrics()
        self._readers = ThreadPoolExecutor(READER_COUNT, "telemetry-reader")

    def start(self) -> None:
        """
        Begin to follow the journal, before the first request.
        """
        self.runtime.followers.start()

    def close(self, timeout_s: float) -> bool:
        """
        Deliver what can be delivered in time, and release files and threads.
        """
        self._readers.shutdown(wait=False)
        done = self.runtime.close(timeout_s)
        self.store.close()
        return done

    def begin_batch(self) -> None:
        """
        Say that there is much to do: more batches will follow, and the followers have time.
        """
        self.runtime.followers.bell.busy_until = time.monotonic() + BATCH_PAUSE_S

    async def read(self, ask: Callable[..., _Answer], *args: Any, **options: Any) -> _Answer:
        """
        Ask the database on another thread, once it has what was acknowledged before.

        Raises:
            Problem: It cannot be read now.
        """
        await self.barrier.wait()
        return await self.ask(ask, *args, **options)

    async def ask(self, ask: Callable[..., _Answer], *args: Any, **options: Any) -> _Answer:
        """
        Ask the database on another thread, as it stands.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, partial(ask, *args, **options))

    def known(self, event_ids: Collection[str]) -> dict[str, Any]:
        """
        Return what is known of runs that are not on their way.

        Where the database must be asked, that is done on the loop: it takes microseconds a run.

        Raises:
            Problem: It cannot be read now.
        """
        with _readable():
            if self.barrier.are_new(event_ids):
                return {}
            return self.store.known(list(event_ids))

    def concluded(self, event_ids: Collection[str]) -> set[str]:
        """
        Return those of the known runs that were only taken for ended, as `known` does.

        Raises:
            Problem: It cannot be read now.
        """
        with _readable():
            return self.store.concluded(list(event_ids)) if event_ids else set()

    @property
    def journal_mode(self) -> str:
        """
        Return how SQLite keeps the database: the write-ahead log leaves files beside it.
        """
        path = self.config.db_path
        has_log = path.with_name(f"{path.name}-wal").exists()
        return "WAL" if has_log or not path.exists() else "DELETE"

    def _journal_bytes(self) -> int:
        try:
            return sum(segment.size for segment in self.journal.segments())
        except OSError:
            return -1


@contextmanager
def _readable() -> Iterator[None]:
    """
    Say what a database that cannot be read means to a client.
    """
    try:
        yield
    except SinkError:
        raise unavailable(
            "database-unavailable", "the database cannot be read now; nothing was changed"
        ) from None


def _scrubber(config: TelemetryConfig) -> Scrubber:
    return Scrubber(
        config.scrub_keys, config.scrub_patterns, config.scrub_allow, enabled=config.scrub
    )
