"""
What commands ask for runs: the files of this machine, or a service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, Protocol

if TYPE_CHECKING:
    from telemetry.cli.session import Session
    from telemetry.storage.reader import RunFilter

Row = dict[str, Any]


class Source(Protocol):
    """
    Answers with rows as the database's tables have them; `telemetry.storage.reader.Reader` is one.
    """

    def runs(self, wanted: Optional[RunFilter] = None, *, limit: int = ...) -> list[Row]:
        """
        Return runs, newest first; all of them where the limit is -1.
        """

    def matching(self, name: str, *, limit: int = ...) -> list[Row]:
        """
        Return the runs that a name may mean: those called so, else those with it at either end.
        """

    def by_run_id(self, run_id: str) -> Optional[Row]:
        """
        Return the newest run of that run id.
        """

    def children(self, run_id: str, *, limit: int = ...) -> list[Row]:
        """
        Return the runs nested in one, oldest first.
        """

    def events(self, event_id: str, *, run_id: str = "", limit: int = ...) -> list[Row]:
        """
        Return a run's events, oldest first.
        """

    def records(self, event_id: str) -> list[Row]:
        """
        Return a run's history, oldest first.
        """

    def commits(self, event_id: str) -> list[Row]:
        """
        Return the commits that came of a run, oldest first.
        """

    def stats(self) -> dict[str, Any]:
        """
        Return counts and durations over all runs.
        """


def source_of(session: Session) -> Source:
    """
    Return what a command asks, as it stands.
    """
    if session.url is not None:
        return session.remote
    from telemetry.storage.reader import Reader

    return Reader(session.config.db_path)
