"""
The `telemetry` command: a group whose commands are imported when they are asked for.

``telemetry runs`` must start about as fast as click itself, so this module imports no command, no
plugin and nothing of the library but its errors.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Optional

import click

from telemetry.cli.catalogue import COMMANDS, SECTIONS
from telemetry.cli.exits import (
    MEANINGS,
    CommandError,
    Exit,
    exit_code_of,
    is_expected,
    sentence_of,
)
from telemetry.cli.screen import OutputClosedError, Screen, discard_output, taken_by_output
from telemetry.cli.session import Session, asks_service, shares_options

#: What a shell reports for a program that a closed pipe ended: 128 + SIGPIPE.
CLOSED_PIPE = 141


class Commands(click.Group):
    """
    A group that imports a command when it is asked for, and plugins only when it must.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """
        Return the bundled commands in order, then the plugins'.
        """
        return [*COMMANDS, *sorted(_plugin_commands(ctx).keys() - COMMANDS.keys())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        """
        Return a command; a plugin cannot take a bundled one's name.
        """
        entry = COMMANDS.get(cmd_name)
        if entry is not None:
            module = importlib.import_module(entry.place)
            command: click.Command = module.command
            return command
        return _plugin_commands(ctx).get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[Optional[str], Optional[click.Command], list[str]]:
        """
        Return the command that the line names; for an unknown one, the error names the nearest.
        """
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            from telemetry.model.hints import did_you_mean

            hint = did_you_mean(args[0], self.list_commands(ctx))
            said = "; ".join(filter(None, [f"there is no command {args[0]!r}", hint]))
            raise click.UsageError(said, ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """
        Write the commands by what they are for, those of plugins last.
        """
        width = max(map(len, self.list_commands(ctx)))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(name.ljust(width), entry.summary) for name, entry in commands.items()]
                )
        added = {n: c for n, c in _plugin_commands(ctx).items() if n not in COMMANDS}
        if added:
            with formatter.section("From plugins"):
                formatter.write_dl(
                    [
                        (name.ljust(width), added[name].get_short_help_str())
                        for name in sorted(added)
                    ]
                )

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """
        Write the exit codes below the commands.
        """
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), meaning) for code, meaning in MEANINGS.items()])


def _plugin_commands(ctx: click.Context) -> Mapping[str, click.Command]:
    """
    Return the plugins' commands, loaded once per invocation.
    """
    meta = ctx.find_root().meta
    if "telemetry.commands" not in meta:
        from telemetry.cli.joining import plugin_commands

        meta["telemetry.commands"] = plugin_commands(ctx.ensure_object(Session))
    commands: Mapping[str, click.Command] = meta["telemetry.commands"]
    return commands


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        with taken_by_output():
            click.echo(f"telemetry {version('telemetry')}")
        ctx.exit()


@asks_service
@shares_options
@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """
    Record what agents do on this machine, and look at it.

    Try "telemetry demo" first.
    """


def main(args: Optional[Sequence[str]] = None) -> NoReturn:
    """
    Run the command line and leave the process with its exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A name that the terminal's encoding lacks must not end the command.
            stream.reconfigure(errors="backslashreplace")
    code = invoke(args)
    sys.exit(flushed(code))


def invoke(args: Optional[Sequence[str]] = None) -> int:
    """
    Run the command line and return its exit code.
    """
    try:
        return _code(cli.main(args=args, prog_name="telemetry", standalone_mode=False))
    except (click.Abort, KeyboardInterrupt):
        return int(Exit.INTERRUPTED)
    except click.ClickException as error:
        return _refused(error)
    except (OutputClosedError, BrokenPipeError):
        return CLOSED_PIPE
    except SystemExit as leaving:
        # click itself leaves with 1 when the reader of a help page goes away.
        closed = type(sys.stdout).__name__.endswith("PacifyFlushWrapper")
        return CLOSED_PIPE if closed else _code(leaving.code)
    except Exception as error:
        if not is_expected(error):
            raise
        Screen.error(sentence_of(error))
        return int(exit_code_of(error))


#: What click raises from 8.2 on for a group without a command; before, it shows the help.
_NO_ARGUMENTS: tuple[type[click.UsageError], ...] = tuple(
    filter(None, [getattr(click.exceptions, "NoArgsIsHelpError", None)])
)


def _code(result: Any) -> int:
    return int(result) if isinstance(result, int) else int(Exit.FINE)


def _refused(error: click.ClickException) -> int:
    from telemetry.cli.wording import words_of

    if isinstance(error, _NO_ARGUMENTS) and error.ctx is not None:
        click.echo(error.ctx.get_help())
        return int(Exit.FINE)
    Screen.error(words_of(error))
    if isinstance(error, click.UsageError):
        context = error.ctx
        path = context.command_path if context is not None else "telemetry"
        click.echo(f"see {path} --help", err=True)
        return int(Exit.USAGE)
    return int(error.meaning) if isinstance(error, CommandError) else error.exit_code


def flushed(code: int) -> int:
    """
    Write out what is buffered, and return the exit code that stands then.

    A reader that has gone is no traceback when the interpreter ends.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        code = CLOSED_PIPE
    except (OSError, ValueError) as error:
        Screen.error(f"standard output must take the answer ({error}); write it elsewhere")
        code = code or int(Exit.UNAVAILABLE)
    else:
        return code
    discard_output()
    return code


if __name__ == "__main__":
    main()
