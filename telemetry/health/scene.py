"""
What the checks look at: one base directory, at one moment, against limits.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING

from telemetry.health.limits import Limits
from telemetry.runtime.plugins import Plugins
from telemetry.storage.looking import look_into
from telemetry.storage.sqlite import translated
from telemetry.storage.strangers import stranger_at

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from telemetry.config import TelemetryConfig
    from telemetry.health.results import Check
    from telemetry.sinks import Journal, Segment, Sink


class Scene:
    """
    A base directory as the checks see it; what several of them need is asked once.
    """

    def __init__(self, config: TelemetryConfig, limits: Limits = Limits()) -> None:  # noqa: B008 (frozen)
        self.config = config
        self.limits = limits
        self.now = datetime.now(timezone.utc)

    @cached_property
    def plugins(self) -> Plugins:
        """
        Return the installed plugins.
        """
        return Plugins.load(self.config)

    @cached_property
    def journal(self) -> Journal:
        """
        Return the journal.
        """
        return self.plugins.journal(self.config)

    @cached_property
    def segments(self) -> Sequence[Segment]:
        """
        Return the journal's files, oldest first.

        Raises:
            OSError: Its directory cannot be listed.
        """
        return self.journal.segments()

    @cached_property
    def sinks(self) -> Sequence[Sink]:
        """
        Return the sinks of this installation and its settings, none of them opened.
        """
        return self.plugins.sinks(self.config)

    @cached_property
    def plugin_checks(self) -> Sequence[Check]:
        """
        Return the checks that plugins bring.
        """
        return self.plugins.health_checks(self.config)

    @property
    def has_database(self) -> bool:
        """
        Return whether there is a database with anything in it.
        """
        try:
            return self.config.db_path.stat().st_size > 0
        except OSError:
            return False

    @cached_property
    def has_runs(self) -> bool:
        """
        Return whether there is a database that is this library's, and of no newer release.
        """
        return self.has_database and stranger_at(self.config.db_path) is None

    @contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """
        Give a connection that can only read.

        Raises:
            MalformedDatabaseError, TransientSinkError: It cannot be read.
        """
        path = self.config.db_path
        with translated(path), closing(look_into(path)) as connection:
            yield connection
