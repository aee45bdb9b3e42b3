"""Cron's own side: whether its jobs find cronwrap, which are not wrapped, and whether crond mails too."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import psutil

from cronwrap.crontab.lint_command import CRON_PATH
from cronwrap.crontab.named import NamedJob, jobs_of
from cronwrap.crontab.store import find_program, this_program
from cronwrap.crontab.surroundings import shell_text
from cronwrap.crontab.wrap import PROGRAM, Use, use_in, why_left
from cronwrap.errors import UsageError
from cronwrap.model import Record
from cronwrap.paths import user_name
from cronwrap.settings.command_line import parse as read_arguments
from cronwrap.settings.load import Settings
from cronwrap.setup.check import Check
from cronwrap.setup.wrapped_lines import OWN, calls_what_is_lost, places
from cronwrap.spans import count

SENDMAIL = ("/usr/sbin/sendmail", "/usr/lib/sendmail")
"""What crond hands its mail to (``_PATH_SENDMAIL``)."""
DAEMONS = ("cron", "crond", "cronie", "dcron", "fcron", "bcron-sched", "supercronic")
"""What the programs that start jobs call themselves: Vixie's and its heirs, BusyBox's, a container's."""
GENERATORS = (
    "/usr/lib/systemd/system-generators/systemd-crontab-generator",
    "/lib/systemd/system-generators/systemd-crontab-generator",
)
"""systemd-cron's: it makes a timer of each line, and no daemon runs."""
SYSTEMD = "/run/systemd/system"
"""There where systemd is the first process (sd_booted(3))."""
DAEMONS_SHOWN = 5


class Crontabs(Record):
    """The crontabs whose jobs are looked at."""

    own: tuple[NamedJob, ...]
    """The jobs that cron runs as this user."""
    fault: str = ""
    """Why this user's crontab could not be read, or an empty text."""
    wrapped: bool = False
    """Whether any job is wrapped, also of others, as far as this user sees them."""


def read(settings: Settings) -> Crontabs:
    """Give the jobs that cron runs as this user."""
    found, fault = jobs_of(user_name(), settings["redact.patterns"])
    return Crontabs(own=tuple(found), fault=fault, wrapped=any(one.wrapped for one in found))


def checks(settings: Settings, crontabs: Crontabs | None = None) -> Iterator[Check]:
    """Give what is to be said about this user's crontab and the daemon that runs it."""
    crontabs = crontabs or read(settings)
    yield _daemon(crontabs.wrapped)
    if crontabs.fault:
        yield Check(name="crontab", ok=True, text=f"not looked at: {crontabs.fault}")
    mine = [one for one in crontabs.own if one.place == OWN]
    if not mine and not crontabs.fault:
        yield Check(name="crontab", ok=True, text="this user has no jobs in a crontab of their own")
    every = [(one, use_in(shell_text(one.job))) for one in crontabs.own]
    yield from _wrapped(every, some=bool(mine))
    yield _program(sorted({_path(one) for one in mine}) or [CRON_PATH])
    uses = [(one, use) for one, use in every if one.place == OWN or one.wrapped]
    if uses:
        yield _mail_of_crond(uses, settings)


def _daemon(wrapped: bool = False) -> Check:
    """Tell whether a cron daemon runs; on a machine without one a crontab is a file and nothing more."""
    found = _daemons()
    if found:
        words = ", ".join(f"{name} (process {pid})" for name, pid in found[:DAEMONS_SHOWN])
        return Check(name="daemon", ok=True, text=f"{words} runs")
    generator = next((path for path in GENERATORS if os.access(path, os.X_OK)), "")
    if generator and os.path.isdir(SYSTEMD):
        return Check(name="daemon", ok=True, text=f"systemd starts the jobs ({generator})")
    if 1 not in psutil.pids():
        return Check(
            name="daemon", ok=True, text="other users' processes are hidden: cron was not looked for"
        )
    advice = "start it (systemctl start cron, or crond), unless something else starts the jobs"
    if wrapped:
        text = "no cron daemon runs here, so none of the wrapped jobs is started"
        return Check(name="daemon", ok=False, text=text, advice=advice)
    return Check(name="daemon", ok=True, text="no cron daemon runs here", advice=advice)


def _daemons() -> list[tuple[str, int]]:
    """Give name and process id of each cron daemon that root or this user runs."""
    found = []
    for process in psutil.process_iter(["name", "uids", "cmdline", "status", "ppid"]):
        name, uids, words = (process.info[key] for key in ("name", "uids", "cmdline"))
        if name == "busybox" and "crond" in map(os.path.basename, (words or ())[:2]):
            name = "crond"
        of_ours = uids is not None and uids.real in (0, os.geteuid())
        if name in DAEMONS and of_ours and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append((name, process.pid, process.info["ppid"]))
    daemons = {pid for _name, pid, _parent in found}
    # Each job that is under way has a child of the daemon's, by the same name, above it.
    return [(name, pid) for name, pid, parent in found if parent not in daemons]


def program_for(path: str = CRON_PATH) -> str:
    """Give how a crontab line calls cronwrap: by its name if cron finds it, else by its path."""
    return PROGRAM if find_program(PROGRAM, path) else this_program() or PROGRAM


def _wrapped(uses: Sequence[tuple[NamedJob, Use | None]], *, some: bool) -> Iterator[Check]:
    """Tell what is not wrapped, and what is and cannot start; ``some``: the user has jobs of their own."""
    bare = [one for one, _ in uses if one.place == OWN and not one.wrapped and why_left(one.job) != ""]
    faults = list(lost([one for one, _ in uses]))
    yield from faults
    if bare:
        yield Check(
            name="crontab",
            ok=True,
            text=f"{count(len(bare), 'job')} not wrapped ({places(bare)})",
            advice="wrap them with: cronwrap crontab wrap",
        )
    elif some and not faults:
        yield Check(name="crontab", ok=True, text="every job is wrapped")


def lost(found: Sequence[NamedJob]) -> Iterator[Check]:
    """Tell of the wrapped jobs whose cronwrap cron does not find."""
    if missing := [one for one in found if one.wrapped and calls_what_is_lost(one)]:
        yield Check(
            name="crontab",
            ok=False,
            text=f"{places(missing)}: cron does not find cronwrap, so the job does not run",
            advice=f"write its path, {this_program() or '/path/to/cronwrap'}, or put its directory into PATH",
        )


def _path(named: NamedJob) -> str:
    return named.job.environment.get("PATH", CRON_PATH)


def _program(paths: list[str]) -> Check:
    for path in paths:
        if find_program(PROGRAM, path) is None:
            here = this_program()
            return Check(
                name="path",
                ok=True,
                text=f"cronwrap is not on the PATH that cron gives its jobs ({path})",
                advice=f"call it by its path, {here}" if here else "call it by its path",
            )
    return Check(name="path", ok=True, text="cron's jobs find cronwrap on their PATH")


def _mail_of_crond(uses: Sequence[tuple[NamedJob, Use | None]], settings: Settings) -> Check:
    """Tell whether crond mails what cronwrap mails already."""
    if not any(os.access(path, os.X_OK) for path in SENDMAIL):
        text = "crond cannot send mail (there is no sendmail program): only cronwrap's mails get out"
        return Check(name="crond", ok=True, text=text)
    heard = [pair for pair in uses if pair[0].job.environment.get("MAILTO") != ""]
    if not heard:
        return Check(name="crond", ok=True, text='MAILTO="" keeps crond from sending mail')
    twice = [one for one, use in heard if one.wrapped and _speaks(one, use, settings)]
    if twice:
        return Check(
            name="crond",
            ok=True,
            text=f"{places(twice)}: the output is passed through, so crond mails it as well",
            advice="leave out --live (and live = true)",
        )
    text = "crond can send mail as well; of wrapped jobs it gets what cronwrap itself has to complain of"
    return Check(name="crond", ok=True, text=text)


def _speaks(named: NamedJob, use: Use | None, settings: Settings) -> bool:
    """Tell whether a wrapped job's output reaches crond."""
    environment = named.job.environment
    live = environment.get("CRONWRAP_LIVE", "") in ("1", "true", "yes", "on") or settings["live"]
    try:
        invocation = read_arguments([word.value for word in use.arguments]) if use else None
    except UsageError:
        return False  # cronwrap refuses the line, as is told of it
    return bool(invocation.flags.get("live", live) if invocation else live)
