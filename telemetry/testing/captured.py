"""
What was recorded, read back from the journal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from telemetry.model.records import RecordType

if TYPE_CHECKING:
    from telemetry.config import TelemetryConfig
    from telemetry.model.records import Record
    from telemetry.model.run import Run


class CapturedRuns:
    """
    The runs of a base directory, as the journal has them at the moment of asking.

    It waits for no sink: a record is in the journal when the call that made it returns.
    """

    def __init__(self, config: TelemetryConfig) -> None:
        self._config = config

    def records(self) -> list[Record]:
        """
        Return every record, in the order in which they were written.
        """
        from telemetry.runtime.plugins import Plugins
        from telemetry.storage.chunks import chunks_of

        journal = Plugins.load(self._config).journal(self._config)
        found: list[Record] = []
        try:
            for segment in journal.segments():
                for chunk in chunks_of(journal, segment):
                    found.extend(chunk.records)
        finally:
            journal.close()
        return [record for record in found if record.record_type != RecordType.SEGMENT]

    def runs(self, agent_name: Optional[str] = None) -> list[Run]:
        """
        Return the runs in the order in which they were first mentioned, of one agent or of all.
        """
        from telemetry.model.fold import fold

        by_run: dict[str, list[Record]] = {}
        for record in self.records():
            if record.record_type in {RecordType.RUN, RecordType.COMMIT}:
                by_run.setdefault(record.event_id, []).append(record)
        runs = [fold(records) for records in by_run.values()]
        return [run for run in runs if agent_name in {None, run.agent_name}]

    def only(self, agent_name: Optional[str] = None) -> Run:
        """
        Return the one run there is.

        Raises:
            AssertionError: There is none, or more than one.
        """
        runs = self.runs(agent_name)
        if len(runs) != 1:
            names = ", ".join(run.run_id for run in runs) or "none"
            raise AssertionError(f"one run must have been recorded (got {len(runs)}: {names})")
        return runs[0]

    def events(self, run_id: Optional[str] = None) -> list[tuple[str, Any]]:
        """
        Return the type and payload of each event, of one run or of all.
        """
        return [
            (record.event_type, record.payload_value())
            for record in self.records()
            if record.record_type == RecordType.EVENT and run_id in {None, record.run_id}
        ]
