"""
A program that records runs while one or more hostile sinks follow them beside a good one.

Started by test_zoo.py: ``zoo.py OUT RUNS ANIMAL...``; the good sink writes the ids it is given to OUT.
"""

from __future__ import annotations

import _thread
import logging
import os
import sys
import threading
import time
from pathlib import Path

import msgspec

from telemetry import TelemetryClient
from telemetry.hookspecs import hookimpl
from telemetry.logs import RunHandler
from telemetry.sinks import Cursor

EVENTS_PER_RUN = 10
PATIENCE_S = 80.0


class Good:
    """
    Keeps what it is given, and knows which runs have ended.
    """

    name = "good"

    def __init__(self, path):
        self.path = path
        self.ended = set()
        self.has_news = threading.Event()

    def write(self, batch, cursor, /):
        with self.path.open("a") as file:
            file.writelines(f"{record.id}\n" for record in batch)
        self.ended.update(record.run_id for record in batch if record.change == "ended")
        self.has_news.set()

    def close(self):
        pass

    def has_all(self, runs, timeout_s):
        """
        Wait until the ends of these runs have come.
        """
        deadline = time.monotonic() + timeout_s
        while not runs <= self.ended:
            self.has_news.clear()
            if runs <= self.ended:
                break
            if not self.has_news.wait(max(0.0, deadline - time.monotonic())):
                return False
        return True


class Animal:
    """
    A sink that does nothing yet; a file beside the good sink's says that it was let out.
    """

    cage = Path()

    def __init_subclass__(cls):
        write = cls.write

        def marked(self, batch, cursor, /):
            (self.cage / self.name).touch()
            return write(self, batch, cursor)

        cls.write = marked

    def __init__(self):
        self.name = type(self).__name__

    def write(self, batch, cursor, /):
        pass

    def close(self):
        pass


class Raising(Animal):
    def write(self, batch, cursor, /):
        raise ValueError(f"not {len(batch)} records")


class UnprintableError(Exception):
    def __str__(self):
        raise RuntimeError("no text either")


class RaisingUnprintable(Animal):
    def write(self, batch, cursor, /):
        raise UnprintableError


class RaisingBase(Animal):
    def write(self, batch, cursor, /):
        raise BaseException("not even an Exception")


class Interrupting(Animal):
    def write(self, batch, cursor, /):
        raise KeyboardInterrupt


class Exiting(Animal):
    def write(self, batch, cursor, /):
        sys.exit("leaving")


class ThreadExiting(Animal):
    def write(self, batch, cursor, /):
        _thread.exit()


class Hanging(Animal):
    def write(self, batch, cursor, /):
        threading.Event().wait()


class HangingAtTheEnd(Animal):
    def close(self):
        threading.Event().wait()


class Slow(Animal):
    def write(self, batch, cursor, /):
        time.sleep(0.3)


class Logging(Animal):
    def write(self, batch, cursor, /):
        for name in ("", "telemetry", "telemetry.plugin", "its.own"):
            logging.getLogger(name).warning("wrote %d", len(batch))


class Recording(Animal):
    """
    Records what it does, with telemetry.
    """

    client = None

    def write(self, batch, cursor, /):
        with self.client.track_run("zoo", "feedback") as run:
            run.log_event("wrote", {"count": len(batch)})


class Flushing(Animal):
    client = None

    def write(self, batch, cursor, /):
        self.client.flush(0.2)
        self.client.close(0.2)


class Mutating(Animal):
    def write(self, batch, cursor, /):
        for record in batch:
            record.fields().clear()
            for change in (
                lambda record=record: setattr(record, "id", "mine"),
                lambda record=record: record.__dict__.clear(),
                lambda: batch.__setitem__(0, None),
                lambda: batch.__delitem__(0),
                lambda: setattr(cursor, "offset", 10**9),
            ):
                try:
                    change()
                except (AttributeError, TypeError):
                    continue
            msgspec.structs.force_setattr(record, "id", "mine-1")
            msgspec.structs.force_setattr(record, "record_type", "segment")


class Forking(Animal):
    def write(self, batch, cursor, /):
        if hasattr(os, "fork") and os.fork() == 0:
            os._exit(0)


class ForkingOn(Animal):
    """
    Both go on as if nothing had happened.
    """

    def __init__(self):
        super().__init__()
        self.has_forked = False

    def write(self, batch, cursor, /):
        if hasattr(os, "fork") and not self.has_forked:
            self.has_forked = True
            os.fork()


class Garbage(Animal):
    """
    Answers nonsense to everything.
    """

    def write(self, batch, cursor, /):
        return [object(), {"not": "a cursor"}]

    def idle(self):
        raise RuntimeError("never")

    def after_fork(self):
        raise RuntimeError("never")

    def close(self):
        raise RuntimeError("never")


class GarbageKeeper(Animal):
    def cursors(self):
        return {"nonsense": 7}


class AheadKeeper(Animal):
    """
    Says that it has more than there is.
    """

    def cursors(self):
        return {"0" * 16: Cursor("0" * 16, 10**12)}


class Recursing(Animal):
    def write(self, batch, cursor, /):
        self.write(batch, cursor)


class Greedy(Animal):
    def write(self, batch, cursor, /):
        raise MemoryError


class Shouting(Animal):
    def write(self, batch, cursor, /):
        raise ValueError("x" * 10_000_000)


class Closing(Animal):
    """
    Closes the standard streams of the process.
    """

    def write(self, batch, cursor, /):
        sys.stderr.close()


def main(out, run_count, *names):
    """
    Record runs, and say whether the good sink was given all of them.
    """
    # What the application logs becomes events; what a sink logs must not.
    logging.getLogger().addHandler(RunHandler())
    Animal.cage = Path(out).parent
    animals = [globals()[name]() for name in names]
    good = Good(Path(out))

    class Plugin:
        @hookimpl
        def telemetry_register_sinks(self):
            return [*animals, good]

    client = TelemetryClient(plugins=[Plugin()])
    for animal in animals:
        animal.client = client
    visits = set()
    for number in range(int(run_count)):
        with client.track_run("zoo", "visit") as run:
            visits.add(run.run_id)
            for step in range(EVENTS_PER_RUN):
                run.log_event("step", {"number": number, "step": step})
    print("complete" if good.has_all(visits, PATIENCE_S) else "incomplete")


if __name__ == "__main__":
    main(*sys.argv[1:])
