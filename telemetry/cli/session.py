"""
What every command shares: the options that stand anywhere on the line, and what they lead to.

``telemetry --json runs`` and ``telemetry runs --json`` are the same.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar

import click

from telemetry.cli.screen import Screen, color_wanted

if TYPE_CHECKING:
    from telemetry.cli.remote import RemoteReader
    from telemetry.config import TelemetryConfig

CommandType = TypeVar("CommandType", bound=click.Command)


class Session:
    """
    One invocation of the command line.
    """

    def __init__(self) -> None:
        self.base_dir: Optional[str] = None
        self.url: Optional[str] = None
        self.token_file: Optional[str] = None
        self.as_json = False
        self.utc = False
        self.no_color = False

    @cached_property
    def config(self) -> TelemetryConfig:
        """
        Return the settings; what is wrong with them is said on standard error, once.

        Raises:
            SettingsError: The base directory given on the line cannot be one.
        """
        from telemetry.config import TelemetryConfig

        given: dict[str, Any] = {} if self.base_dir is None else {"base_dir": self.base_dir}
        config = TelemetryConfig.from_env(**given)
        for problem in config.problems:
            self.screen.warn(problem)
        return config

    @property
    def place(self) -> str:
        """
        Return where the answer comes from, as a person may see it.
        """
        return str(self.config.base_dir) if self.url is None else self.remote.place

    @cached_property
    def remote(self) -> RemoteReader:
        """
        Return the service that the line names, to be asked instead of the files.

        Raises:
            SettingsError: Its address or the token cannot be used.
        """
        from telemetry.cli.remote import connect

        return connect(self)

    @cached_property
    def screen(self) -> Screen:
        """
        Return where the answer is written.
        """
        return Screen(color=not self.no_color and color_wanted())


def current() -> Session:
    """
    Return the session of the command that is running.
    """
    return click.get_current_context().ensure_object(Session)


def same_base(session: Session) -> str:
    """
    Return the option that leads a command which is shown to the place that this one was given.
    """
    import shlex

    if session.base_dir is None:
        return ""
    return f" --base-dir {shlex.quote(str(session.config.base_dir))}"


def _remember(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        # An option left out behind the command must not undo the same option before it.
        if value not in {None, False}:
            setattr(ctx.ensure_object(Session), name, value)

    return callback


_remember_base_dir = _remember("base_dir")
_remember_url = _remember("url")


def _take_base_dir(ctx: click.Context, param: click.Parameter, value: Optional[str]) -> None:
    """
    Remember the base directory; an empty name, as of a variable that is not set, is none.
    """
    if value == "":
        raise click.BadParameter(
            "must name a directory (got ''); leave it out for the usual one", ctx, param
        )
    _remember_base_dir(ctx, param, value)


def _take_url(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """
    Remember the service to ask; a command that cannot ask one says so.
    """
    _remember_url(ctx, param, value)
    session = ctx.ensure_object(Session)
    if session.url is None or isinstance(ctx.command, click.Group) or ctx.resilient_parsing:
        return
    if getattr(param, "hidden", False):
        raise click.UsageError(
            f"--url must stand with a command that can ask a service ({', '.join(ASKING)}),"
            f" {ctx.info_name} works on the files of this machine; leave it out",
            ctx,
        )


#: The commands that `asks_service` marks; for messages.
ASKING = ("runs", "show", "events", "tail", "stats")


def shared_options() -> list[click.Parameter]:
    """
    Return the options that every command takes, before its name or behind it.
    """
    return [
        click.Option(
            ["--base-dir"],
            metavar="DIR",
            expose_value=False,
            callback=_take_base_dir,
            help="Use the runs recorded in DIR.",
        ),
        click.Option(
            ["--token-file"],
            metavar="FILE",
            expose_value=False,
            callback=_remember("token_file"),
            hidden=True,
            help="Show the service the token in FILE; else TELEMETRY_API_TOKEN is.",
        ),
        click.Option(
            ["--url"],
            metavar="URL",
            expose_value=False,
            callback=_take_url,
            hidden=True,
            help="Ask the service at URL instead of the files of this machine.",
        ),
        click.Option(
            ["--json"],
            is_flag=True,
            expose_value=False,
            callback=_remember("as_json"),
            help="Answer in JSON.",
        ),
        click.Option(
            ["--utc"],
            is_flag=True,
            expose_value=False,
            callback=_remember("utc"),
            help="Show times in UTC instead of local time.",
        ),
        click.Option(
            ["--no-color"],
            is_flag=True,
            expose_value=False,
            callback=_remember("no_color"),
            help="No colours; NO_COLOR in the environment does the same.",
        ),
    ]


def shares_options(command: CommandType) -> CommandType:
    """
    Add the options that every command takes to one.
    """
    command.params.extend(shared_options())
    return command


def asks_service(command: CommandType) -> CommandType:
    """
    Let a command answer from the service that ``--url`` names.
    """
    for param in command.params:
        if isinstance(param, click.Option) and param.name in {"url", "token_file"}:
            param.hidden = False
    return command
