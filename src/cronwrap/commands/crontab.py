"""``cronwrap crontab wrap|unwrap|lint|audit [FILE]``."""

from __future__ import annotations

import difflib
import os
import sys
import time
from collections.abc import Iterable
from typing import Any

import click

from cronwrap import spans, text
from cronwrap.commands import SUBCOMMANDS, views
from cronwrap.crontab.audit import EARLY, Missed, Unwatched, Watched, Window, judge, watch
from cronwrap.crontab.dialect import BY_NAME, Dialect, guess
from cronwrap.crontab.here import mistakes, prefix_here
from cronwrap.crontab.host_zone import host_zone
from cronwrap.crontab.lines import decode, encode, jobs, parse
from cronwrap.crontab.lint import CRON_PATH, NOTE, Finding
from cronwrap.crontab.shell import words
from cronwrap.crontab.store import (
    find_program,
    open_store,
    own_spool,
    user_name,
)
from cronwrap.crontab.wrap import PROGRAM, Rewrite, check_prefix, unwrap, wrap
from cronwrap.errors import CronwrapError, UsageError
from cronwrap.settings.values import duration

DUE_SHOWN = 3
"""Missing runs of one job that are listed; a job of every minute has more than anyone reads."""

file_argument = click.argument("path", metavar="[FILE]", required=False)
system_option = click.option("--system", is_flag=True, help="The crontab has a user column.")
in_place_option = click.option("--in-place", is_flag=True, help="Write FILE; the old one is kept as FILE~.")
yes_option = click.option("-y", "--yes", is_flag=True, help="Install one's own crontab without asking.")

dialect_option = click.option(
    "--dialect",
    metavar="NAME",
    type=click.Choice(tuple(BY_NAME)),
    help=f"The cron that reads it: {', '.join(BY_NAME)}.  [what the file shows, else Debian's or cronie]",
)


def _read_duration(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
    try:
        return duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.group("crontab")
def command() -> None:
    """Wrap the jobs of a crontab, find mistakes, find jobs that did not run.

    Without FILE it is one's own crontab, by crontab(1); - is standard input.
    """


@command.command("wrap")
@file_argument
@click.option("--prefix", metavar="TEXT", help="What to put before each job, with options.  [cronwrap]")
@system_option
@dialect_option
@in_place_option
@yes_option
def wrap_command(path: str | None, prefix: str | None, in_place: bool, yes: bool, **how: Any) -> None:
    """Put cronwrap before every job.

    The result goes to standard output; one's own crontab is installed after showing the difference.
    """
    check_prefix(prefix or PROGRAM)
    table = _Table(path, **how)
    prefix = prefix or (prefix_here(table.text) if path is None else PROGRAM)  # a file may be another host's
    result = wrap(table.text, prefix=prefix, system=table.system, dialect=table.dialect)
    _warn_of_path(result, prefix, table)
    _deliver(table, result, _Way(own=path is None, in_place=in_place, yes=yes, done="wrapped"))


@command.command("unwrap", short_help="Take cronwrap off every job.")
@file_argument
@system_option
@dialect_option
@in_place_option
@yes_option
def unwrap_command(path: str | None, in_place: bool, yes: bool, **how: Any) -> None:
    """Take cronwrap off every job; what wrap put there comes off to the octet."""
    table = _Table(path, **how)
    result = unwrap(table.text, system=table.system, dialect=table.dialect)
    _deliver(table, result, _Way(own=path is None, in_place=in_place, yes=yes, done="unwrapped"))


@command.command("lint", short_help="Find mistakes.")
@file_argument
@system_option
@dialect_option
@click.option("--no-host", is_flag=True, help="Look at no program, user or file of this host, as for CI.")
@click.pass_context
def lint_command(ctx: click.Context, /, path: str | None, no_host: bool, **how: Any) -> None:
    """Find mistakes; exit with 1 when there is an error or a warning, 0 when there are notes at most."""
    table = _Table(path, **how)
    place = "" if path in (None, "-") else path
    findings = mistakes(table, place, frozenset(SUBCOMMANDS), look=not no_host)
    _print_findings(table.name, findings)
    if any(finding.severity != NOTE for finding in findings):
        ctx.exit(1)


@command.command("audit", short_help="Find wrapped jobs that should have run and did not.")
@file_argument
@click.option(
    "--since",
    metavar="D",
    callback=_read_duration,
    default="1d",
    help="How far to look back.  [1d]",
)
@click.option(
    "--grace",
    metavar="D",
    callback=_read_duration,
    default="5m",
    help="How late a job may start.  [5m]",
)
@system_option
@dialect_option
@click.option("-v", "--verbose", is_flag=True, help="Name the jobs that cannot be judged, too.")
@click.pass_context
def audit_command(
    ctx: click.Context, /, path: str | None, since: float, grace: float, verbose: bool, **how: Any
) -> None:
    """Find wrapped jobs that should have run and did not; exit with 1 if there are any, else say nothing."""
    table = _Table(path, **how)
    watched, unwatched = watch(table.text, system=table.system, user=user_name(), dialect=table.dialect)
    now = time.time()
    begin = max(now - since, table.store.installed() or 0.0)
    window = Window(begin=begin, now=now, zone=host_zone(), grace=grace)
    found, more = _missed(watched, ctx.obj.settings().state_dir, window)
    _print_audit(table.name, watched, (*unwatched, *more), verbose=verbose)
    _print_missed(table.name, found)
    if found:
        ctx.exit(1)


# Computed ---------------------------------------------------------------------------------------


class _Way:
    """How a changed crontab is handed over."""

    def __init__(self, *, own: bool, in_place: bool, yes: bool, done: str) -> None:
        if in_place and own:
            raise UsageError("--in-place needs a FILE; one's own crontab is installed without it")
        self.own, self.in_place, self.yes = own, in_place, yes
        self.done = done
        """The past participle of what was done."""


class _Table:
    """A crontab that was read, and how it is to be read."""

    def __init__(self, path: str | None, *, system: bool, dialect: str | None) -> None:
        self.store = open_store(path)
        self.name = self.store.name
        if system and path is None:
            raise UsageError("--system needs a FILE: one's own crontab has no user column")
        self.system = system or self.store.system
        self.octets = self.store.read()
        self.text = decode(self.octets)
        self.dialect = BY_NAME[dialect] if dialect else self._guess(path)

    def _guess(self, path: str | None) -> Dialect:
        place = os.path.realpath(path) if path else own_spool()
        found, by = guess(self.text, place)
        if by:
            _say(f"{self.name}: taken for a crontab of {found.who}, as {by}; --dialect says otherwise")
        return found


def _missed(
    watched: tuple[Watched, ...], state_dir: str, window: Window
) -> tuple[tuple[Missed, ...], tuple[Unwatched, ...]]:
    from cronwrap.history.runs import starts  # noqa: PLC0415  # SQLite is for this subcommand alone

    try:
        runs = starts(state_dir, window.begin - EARLY)
        found, unwatched = judge(watched, runs, window, [window.begin] * len(watched))
        if not found:
            return (), unwatched
        # Something is missing, but a job may be younger than the window: ask for all there is.
        runs = starts(state_dir, 0.0)
        return judge(watched, runs, window, [_first_known(job, runs, window.begin) for job in watched])
    except ModuleNotFoundError as error:
        if error.name != "cronsim":
            raise
        raise CronwrapError("audit needs cronsim: pip install 'cronwrap[audit]'") from None


def _first_known(job: Watched, runs: dict[str, list[float]], begin: float) -> float:
    """Give when a job was first seen to run, or else when the user's first job was."""
    own = [start for name in job.names for start in runs.get(name, ())]
    return min(own or [start for starts in runs.values() for start in starts], default=begin)


# Printed ----------------------------------------------------------------------------------------


def _deliver(table: _Table, result: Rewrite, way: _Way) -> None:
    """Hand over a changed crontab, and say on standard error what became of its jobs."""
    store, old = table.store, table.octets
    _print_changes(store.name, result, way.done)
    new = encode(result.text)
    if not way.own and not way.in_place:
        views.write([views.raw(new)])
    elif new != old:
        if way.own:
            _confirm(store.name, old, new, yes=way.yes)
        store.replace(old, new)


def _confirm(name: str, old: bytes, new: bytes, *, yes: bool) -> None:
    """Show the difference, and ask; return only after a yes."""
    before, after = (decode(content).removesuffix("\n").split("\n") for content in (old, new))
    for line in difflib.unified_diff(before, after, name, f"{name} (new)", lineterm=""):
        views.say(line)
    if yes:
        return
    if not sys.stdin.isatty():
        raise CronwrapError(
            "nothing is written without a terminal to ask on; --yes does without the question"
        )
    if not click.confirm("Install this crontab?"):
        raise CronwrapError("nothing is written")


def _print_changes(name: str, result: Rewrite, done: str) -> None:
    for change in result.changes:
        if change.remark:
            state = done if change.changed else "left as it is"
            _say(f"{name}:{change.number}: {state}: {change.remark}")
    changed = sum(change.changed for change in result.changes)
    _say(f"{name}: {spans.count(changed, 'job')} {done}, {len(result.changes) - changed} left as they are")


def _warn_of_path(result: Rewrite, prefix: str, table: _Table) -> None:
    """Say so when a job would not find the program that was put before it."""
    program = words(prefix)[0][0].value
    found = jobs(parse(result.text, system=table.system, dialect=table.dialect))
    paths = {job.environment.get("PATH", CRON_PATH) for job in found}
    for path in sorted(path for path in paths if find_program(program, path) is None):
        _say(f"warning: {program} is not on the PATH of these jobs here ({path}); see --prefix")


def _print_findings(name: str, findings: tuple[Finding, ...]) -> None:
    for finding in findings:
        views.say(f"{name}:{finding.number}: {finding.severity}: {text.one_line(finding.text)}")


def _print_audit(
    name: str, watched: tuple[Watched, ...], unwatched: tuple[Unwatched, ...], *, verbose: bool
) -> None:
    if verbose:
        for job in unwatched:
            _say(f"{name}:{job.number}: not judged: {job.reason}")
    if not watched:
        _say(f"{name}: no wrapped job that could be judged")


def _print_missed(name: str, found: Iterable[Missed]) -> None:
    for job in found:
        more = len(job.due) - DUE_SHOWN
        shown = ", ".join(map(text.moment, job.due[:DUE_SHOWN])) + (f" and {more} more" if more > 0 else "")
        last = "never seen to run" if job.last is None else f"last run {text.moment(job.last)}"
        views.say(text.one_line(f"{name}:{job.number}: {job.name} did not run: due {shown}; {last}"))


def _say(line: str) -> None:
    views.say(views.printable(line), err=True)
