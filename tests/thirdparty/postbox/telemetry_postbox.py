"""
Drops a card into a directory for each record, and tells who asks how many there are.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from telemetry.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from telemetry.config import TelemetryConfig
    from telemetry.model.records import Record
    from telemetry.model.run import Run
    from telemetry.sinks import Cursor, Sink


@attrs.frozen
class PostboxSettings:
    """
    Read from TELEMETRY_POSTBOX_DIRECTORY and TELEMETRY_POSTBOX_SENDER.
    """

    directory: Path = Path("postbox")
    sender: str = "somebody"


class PostboxSink:
    """
    One file of ids; a repeat is found by looking, which is fast enough for a postbox.
    """

    name = "postbox"

    def __init__(self, directory: Path) -> None:
        self._path = directory / "cards"

    def write(self, batch: Sequence[Record], cursor: Cursor, /) -> None:
        """
        Drop the cards that are not there yet.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        known = set(self._path.read_text().split()) if self._path.exists() else set()
        with self._path.open("a") as file:
            file.writelines(f"{record.id}\n" for record in batch if record.id not in known)

    def close(self) -> None:
        """
        Hold nothing open, so close nothing.
        """


class Sender:
    """
    Signs every payload.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(
        self, _: Any, event_type: str, payload: MutableMapping[str, Any]
    ) -> Mapping[str, Any]:
        """
        Add who sent it, as a structlog processor does.
        """
        payload["sender"] = self._name
        return payload


@click.command("postbox")
@click.argument("directory", type=click.Path(path_type=Path))
def postbox(directory: Path) -> None:
    """
    Say how many cards there are.
    """
    click.echo(f"{len((directory / 'cards').read_text().split())} cards")


@hookimpl
def telemetry_register_sinks(config: TelemetryConfig) -> list[Sink]:
    """
    Add the postbox.
    """
    return [PostboxSink(config.section("postbox", PostboxSettings).directory)]


@hookimpl
def telemetry_register_processors(config: TelemetryConfig) -> list[Sender]:
    """
    Sign what is recorded.
    """
    return [Sender(config.section("postbox", PostboxSettings).sender)]


@hookimpl
def telemetry_register_commands() -> list[click.Command]:
    """
    Add ``telemetry postbox``.
    """
    return [postbox]


@hookimpl
def telemetry_run_ended(run: Run) -> Mapping[str, Any]:
    """
    Note where the card of a run went.
    """
    return {"target_ref": f"postbox:{run.agent_name}"}
