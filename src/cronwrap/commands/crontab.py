"""``cronwrap crontab wrap|unwrap|lint|audit [FILE]``."""

from __future__ import annotations

import difflib
import os
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from functools import partial
from zoneinfo import ZoneInfo

import click

from cronwrap import spans, text
from cronwrap.commands import SUBCOMMANDS, views
from cronwrap.crontab.audit import EARLY, Missed, Unwatched, Watched, Window, missed, watch
from cronwrap.crontab.lines import decode, encode, jobs, parse
from cronwrap.crontab.lint import CRON_PATH, NOTE, Finding, World
from cronwrap.crontab.lint import lint as find_mistakes
from cronwrap.crontab.shell import words
from cronwrap.crontab.store import Store, find_program, is_user, open_store, this_program, user_name
from cronwrap.crontab.wrap import PROGRAM, Rewrite, check_prefix, unwrap, wrap
from cronwrap.errors import CronwrapError, UsageError
from cronwrap.settings.values import duration, quote

DUE_SHOWN = 3
"""Missing runs of one job that are listed; a job of every minute has more than anyone reads."""

file_argument = click.argument("path", metavar="[FILE]", required=False)
system_option = click.option("--system", is_flag=True, help="The crontab has a user column.")
in_place_option = click.option("--in-place", is_flag=True, help="Write FILE; the old one is kept as FILE~.")
yes_option = click.option("-y", "--yes", is_flag=True, help="Install one's own crontab without asking.")


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
@in_place_option
@yes_option
def wrap_command(path: str | None, prefix: str | None, system: bool, in_place: bool, yes: bool) -> None:
    """Put cronwrap before every job.

    The result goes to standard output; one's own crontab is installed after showing the difference.
    """
    store = open_store(path)
    check_prefix(prefix or PROGRAM)
    old = store.read()
    prefix = prefix or _prefix_for(decode(old), own=path is None)
    rewrite = partial(wrap, prefix=prefix, system=_system(store, system))
    result = rewrite(decode(old))
    _warn_of_path(result.text, prefix, system=_system(store, system))
    _deliver(store, old, result, _Way(own=path is None, in_place=in_place, yes=yes, done="wrapped"))


@command.command("unwrap")
@file_argument
@system_option
@in_place_option
@yes_option
def unwrap_command(path: str | None, system: bool, in_place: bool, yes: bool) -> None:
    """Take cronwrap off every job; what wrap put there comes off to the octet."""
    store = open_store(path)
    old = store.read()
    result = unwrap(decode(old), system=_system(store, system))
    _deliver(store, old, result, _Way(own=path is None, in_place=in_place, yes=yes, done="unwrapped"))


@command.command("lint")
@file_argument
@system_option
@click.pass_context
def lint_command(ctx: click.Context, path: str | None, system: bool) -> None:
    """Find mistakes; exits 1 when there is an error or a warning, 0 when there are notes at most."""
    store = open_store(path)
    world = World(find=find_program, is_user=is_user, subcommands=frozenset(SUBCOMMANDS))
    findings = find_mistakes(decode(store.read()), world, system=_system(store, system))
    _print_findings(store.name, findings)
    if any(finding.severity != NOTE for finding in findings):
        ctx.exit(1)


@command.command("audit")
@file_argument
@click.option(
    "--since",
    metavar="D",
    callback=_read_duration,
    default="1d",
    show_default=True,
    help="How far to look back.",
)
@click.option(
    "--grace",
    metavar="D",
    callback=_read_duration,
    default="5m",
    show_default=True,
    help="How late a job may start.",
)
@system_option
@click.option("-v", "--verbose", is_flag=True, help="Name the jobs that cannot be judged, too.")
@click.pass_context
def audit_command(
    ctx: click.Context, path: str | None, since: float, grace: float, system: bool, verbose: bool
) -> None:
    """Find wrapped jobs that should have run and did not; exits 1 if there are any, else says nothing."""
    store = open_store(path)
    watched, unwatched = watch(decode(store.read()), system=_system(store, system), user=user_name())
    now = time.time()
    begin = max(now - since, store.installed() or 0.0)
    window = Window(begin=begin, now=now, zone=_zone(), grace=grace)
    found = _missed(watched, ctx.obj.settings().state_dir, window)
    _print_audit(store.name, watched, unwatched, verbose=verbose)
    _print_missed(store.name, found)
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


def _system(store: Store, given: bool) -> bool:
    if given and store.name == "crontab":
        raise UsageError("--system needs a FILE: one's own crontab has no user column")
    return given or store.system


def _prefix_for(crontab: str, *, own: bool) -> str:
    """Give the name alone if all jobs of this host find it on their PATH, else the path of this program.

    A crontab in a file may be for another host, so it gets the name in any case.
    """
    paths = {job.environment.get("PATH", CRON_PATH) for job in jobs(parse(crontab))}
    if not own or all(find_program(PROGRAM, path) for path in paths):
        return PROGRAM
    here = this_program()
    return quote(here) if here and not set("%\n\r") & set(here) else PROGRAM


def _missed(watched: Iterable[Watched], state_dir: str, window: Window) -> list[Missed]:
    from cronwrap.history.runs import starts  # noqa: PLC0415  # SQLite is for this subcommand alone

    watched = tuple(watched)
    try:
        runs = starts(state_dir, window.begin - EARLY)
        if not any(missed(job, runs, window) for job in watched):
            return []
        # Something is missing, but a job may be younger than the window: ask for all there is.
        runs = starts(state_dir, 0.0)
        ages = {job: _first_known(job, runs, window.begin) for job in watched}
        found = (missed(job, runs, window.replace(begin=max(window.begin, ages[job]))) for job in watched)
        return [one for one in found if one is not None]
    except ModuleNotFoundError as error:
        if error.name != "cronsim":
            raise
        raise CronwrapError("audit needs cronsim: pip install 'cronwrap[audit]'") from None


def _first_known(job: Watched, runs: dict[str, list[float]], begin: float) -> float:
    """Give when a job was first seen to run, or else when the user's first job was."""
    own = [start for name in job.names for start in runs.get(name, ())]
    return min(own or [start for starts in runs.values() for start in starts], default=begin)


def _zone() -> tzinfo:
    """Give the time zone that cron keeps: ``TZ``, or the host's."""
    name = os.environ.get("TZ", "").lstrip(":")
    try:
        if name:
            return ZoneInfo(name)
        with open("/etc/localtime", "rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError, KeyError):
        return UTC if not name else datetime.now().astimezone().tzinfo or UTC


# Printed ----------------------------------------------------------------------------------------


def _deliver(store: Store, old: bytes, result: Rewrite, way: _Way) -> None:
    """Hand over a changed crontab, and say on standard error what became of its jobs."""
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


def _warn_of_path(crontab: str, prefix: str, *, system: bool) -> None:
    """Say so when a job would not find the program that was put before it."""
    program = words(prefix)[0][0].value
    paths = {job.environment.get("PATH", CRON_PATH) for job in jobs(parse(crontab, system=system))}
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
