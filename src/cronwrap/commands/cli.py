"""The click surface: help, completion and the subcommands, each loaded when it is used."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from cronwrap import __version__
from cronwrap.commands import SUBCOMMANDS
from cronwrap.errors import CronwrapError, UsageError
from cronwrap.exit_status import EXIT_USAGE
from cronwrap.history.journal import Entry
from cronwrap.model import Command
from cronwrap.settings.load import Settings, load
from cronwrap.settings.options import OPTIONS

_NAMED_NOTHING: tuple[type[click.UsageError], ...] = tuple(
    kind for kind in click.UsageError.__subclasses__() if kind.__name__ == "NoArgsIsHelpError"
)
"""The error, of click since 8.2, whose text is the help of a group of which no subcommand was named."""
_DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Without the name of a file it is standard output that cannot be written."""
CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"]}


class App:
    """What subcommands are given: the settings, read when they are asked for."""

    def __init__(self, flags: dict[str, Any]) -> None:
        self._flags = flags

    def settings(self) -> Settings:
        """Give the settings in force, outside of any job."""
        return load(self._flags, os.environ)

    def report_abandoned(self, entries: list[Entry]) -> None:
        """Report runs whose cronwrap died, by the settings of their jobs."""
        from cronwrap.pipeline.abandoned import report_abandoned  # noqa: PLC0415
        from cronwrap.pipeline.context import new_run  # noqa: PLC0415

        for entry in entries:
            text = str(entry.fields["command"])
            flags = {**self._flags, "name": entry.fields["job"]}
            run = new_run(Command(argv=(text,), text=text), load(flags, os.environ, text))
            report_abandoned(run, [entry])


class Surface(click.Group):
    """The group of subcommands; a module of ``cronwrap.commands`` is imported when its command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Give the subcommands in the order of the manual."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Give a subcommand."""
        if cmd_name not in SUBCOMMANDS:
            return None
        command = import_module(f"cronwrap.commands.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101  # what each of these modules defines
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Give the subcommand that was named, or say how a command is run."""
        if args[0] not in SUBCOMMANDS:
            raise UsageError(f"no such subcommand: {args[0]!r}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of subcommands without loading them."""
        with formatter.section("Subcommands"):
            formatter.write_dl(list(SUBCOMMANDS.items()))


def _parameters() -> list[click.Parameter]:
    """Give the options of the command form, for help and completion; ``command_line.parse`` reads them."""
    found: list[click.Parameter] = []
    for option in OPTIONS:
        names = [f"-{option.short}", option.flag] if option.short else [option.flag]
        text = option.help
        if option.metavar and option.default not in (None, ()):
            text += f" [{_shown(option.default)}]"
        found.append(
            click.Option(
                names,
                help=text,
                metavar=option.metavar or None,
                is_flag=not option.metavar,
                multiple=option.repeatable,
                default=None,
            )
        )
    found.append(
        click.Option(["-c", "shell_text"], metavar="TEXT", help="run TEXT with $SHELL -c, as crond does")
    )
    return found


def _shown(default: object) -> str:
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    if isinstance(default, float):
        return f"{default:g}s"
    return "1M" if default == 1 << 20 else str(default)


EPILOG = """\b
D is a duration: 90, 90s, 1.5s, 5m, 2h, 1d, 1h30m; a bare number is seconds.
SIZE is in bytes: 512, 64K, 1M, 2G (powers of 1024).
Lists are separated by commas; CODES may have ranges: 0,24,100-103.

\b
Examples:
  cronwrap -- /usr/local/bin/backup --all
  cronwrap --timeout 2h --on failure -c 'cd /srv && make | tail'
  cronwrap --mailto ops@example.com --ok-codes 0,24 -- rsync -a /a /b

More: man cronwrap; of a subcommand: cronwrap SUBCOMMAND --help
"""


@click.pass_context
def _group(ctx: click.Context, /, **given: Any) -> None:
    """Run a command, and mail what crond would have mailed, only on failure or output.

    \b
    cronwrap [OPTIONS] -- COMMAND [ARG]...   run COMMAND as given
    cronwrap [OPTIONS] -c TEXT               run TEXT with the shell
    cronwrap SUBCOMMAND ...
    """  # noqa: D301  # it is click's mark for "do not fill the next lines"
    misplaced = [key for key, value in given.items() if key != "config" and value not in (None, (), False)]
    if misplaced:
        flag = "-c" if misplaced[0] == "shell_text" else f"--{misplaced[0].replace('_', '-')}"
        raise UsageError(f"{flag} belongs to the command form, not to a subcommand")
    ctx.obj = App({"config": given["config"]} if given.get("config") else {})


surface = Surface(
    name="cronwrap",
    callback=_group,
    params=_parameters(),
    context_settings=CONTEXT,
    options_metavar="[OPTIONS]",
    subcommand_metavar="-- COMMAND [ARG]... | SUBCOMMAND ...",
    help=_group.__doc__,
    epilog=EPILOG,
)
click.version_option(__version__, prog_name="cronwrap", message="%(prog)s %(version)s")(surface)


def _words(error: click.UsageError) -> str:
    """Give click's words for a mistake as one clause of ours."""
    if isinstance(error, click.NoSuchOption):
        return f"no such option: {error.option_name}"
    text = error.format_message().rstrip(".").replace("a valid integer range", "a whole number")
    return text[:1].lower() + text[1:]


def _open_what_is_closed() -> None:
    """Put /dev/null in place of a standard stream that is closed, for which Python has None."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))


def main(words: Sequence[str]) -> int:
    """Run a subcommand; give the exit status."""
    _open_what_is_closed()
    if not words:
        sys.stderr.write(surface.get_help(click.Context(surface, info_name="cronwrap", **CONTEXT)) + "\n")
        return EXIT_USAGE
    try:
        result = surface.main(args=list(words), prog_name="cronwrap", standalone_mode=False)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.Abort:
        return 130
    except _NAMED_NOTHING as error:
        sys.stderr.write(error.format_message() + "\n")
        return EXIT_USAGE
    except click.UsageError as error:
        raise UsageError(_words(error)) from None
    except click.ClickException as error:
        raise CronwrapError(error.format_message()) from None
    except OSError as error:
        if error.filename is None and error.errno == errno.ENOENT:  # what getcwd(3) says
            raise CronwrapError("the working directory is not there any more: cd to one that is") from None
        if error.filename is not None or error.errno not in _DISK_IS_FULL:
            raise
        raise CronwrapError(f"the output cannot be written: {error.strerror}") from None
    return result if isinstance(result, int) else 0
