"""
What commands there are, in the order of the help page: it is drawn without importing any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Entry(NamedTuple):
    """
    A command: the module it lies in, and what it does, on one line of a narrow terminal.
    """

    place: str
    summary: str


#: Sections of the help page, with their commands.
SECTIONS: Mapping[str, Mapping[str, Entry]] = {
    "Record": {
        "demo": Entry("telemetry.cli.demo", "An agent at work on real files, recorded and shown."),
        "run": Entry("telemetry.cli.run", "Run any command as a run, in any language."),
        "import": Entry("telemetry.cli.importing", "Bring in runs from files and other databases."),
    },
    "Look": {
        "runs": Entry("telemetry.cli.runs", "The newest runs, filtered, or watched."),
        "show": Entry("telemetry.cli.show", "One run: nested runs, events, error, history."),
        "events": Entry("telemetry.cli.events", "The events of a run."),
        "tail": Entry("telemetry.cli.tail", "The journal's newest records; -f goes on."),
        "stats": Entry("telemetry.cli.stats", "How many runs, how they ended, how long they took."),
        "query": Entry("telemetry.cli.query", "The answer to one SELECT in SQL."),
        "export": Entry("telemetry.cli.export", "Runs as CSV, Excel, JSON, NDJSON or Parquet."),
        "gate": Entry("telemetry.cli.gate", "Check runs against rules, for CI."),
    },
    "Share": {
        "serve": Entry("telemetry.cli.serve", "Serve the base directory over HTTP."),
        "token": Entry("telemetry.cli.token", "Make, list and revoke the service's tokens."),
        "posts": Entry("telemetry.cli.posts", "What a server has not taken; send it again."),
    },
    "Look after": {
        "init": Entry("telemetry.cli.init", "Make the base directory and the database."),
        "config": Entry("telemetry.cli.config", "Each setting, its value and its source."),
        "plugins": Entry("telemetry.cli.plugins", "The plugins, what each adds, what is wrong."),
        "health": Entry("telemetry.cli.health", "Whether the base directory is sound."),
        "doctor": Entry("telemetry.cli.doctor", "A full examination; --fix repairs what is safe."),
        "measure": Entry("telemetry.cli.measure", "What recording and asking cost here."),
        "backup": Entry("telemetry.cli.backup", "Make, list, verify and restore backups."),
        "check": Entry("telemetry.cli.check", "Check database and journal, change nothing."),
        "recover": Entry("telemetry.cli.recover", "Rebuild the database from the journal."),
        "retention": Entry("telemetry.cli.retention", "Compress and drop what is old."),
        "commits": Entry("telemetry.cli.commits", "Link runs to the commits that name them."),
        "stale": Entry("telemetry.cli.stale", "Open runs whose process is gone, or silent."),
        "completion": Entry("telemetry.cli.completion", "The completion script for a shell."),
    },
}
COMMANDS: Mapping[str, Entry] = {
    name: entry for section in SECTIONS.values() for name, entry in section.items()
}
