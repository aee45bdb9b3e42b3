"""Cron's own side: whether its jobs find cronwrap, which are not wrapped, and whether crond mails too."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import psutil

from cronwrap.crontab.lines import Assignment, Job, decode, jobs, parse
from cronwrap.crontab.lint import CRON_PATH
from cronwrap.crontab.store import find_program, open_store, this_program
from cronwrap.crontab.wrap import PROGRAM, Use, use_of, why_left
from cronwrap.errors import CronwrapError, UsageError
from cronwrap.settings.command_line import SHELL_BASENAME
from cronwrap.settings.command_line import parse as read_arguments
from cronwrap.settings.load import Settings
from cronwrap.setup.mail_checks import Check
from cronwrap.spans import count

SENDMAIL = ("/usr/sbin/sendmail", "/usr/lib/sendmail")
"""What crond hands its mail to (``_PATH_SENDMAIL``)."""
DAEMONS = ("cron", "crond", "cronie", "dcron", "fcron", "bcron-sched", "supercronic")
"""What the programs that start jobs call themselves: Vixie's and its heirs, BusyBox's, a container's."""
LINES_SHOWN = 5
"""Line numbers named; ``crontab lint`` names all."""


def checks(settings: Settings) -> Iterator[Check]:
    """Give what is to be said about this user's crontab and the daemon that runs it."""
    yield _daemon()
    try:
        content = decode(open_store(None).read())
    except CronwrapError as error:
        yield Check(name="crontab", ok=True, text=f"not looked at: {error}")
        yield _program([CRON_PATH])
        return
    found = jobs(parse(content))
    if not found:
        yield Check(name="crontab", ok=True, text="this user has no jobs in a crontab of their own")
        yield _program([CRON_PATH])
        return
    uses = [(job, use_of(job.command)) for job in found]
    yield from _wrapped(uses)
    yield _program(sorted({job.environment.get("PATH", CRON_PATH) for job in found}))
    yield _mail_of_crond(content, uses, settings)


def _daemon() -> Check:
    """Tell whether a cron daemon runs; on a machine without one a crontab is a file and nothing more."""
    found = _daemons()
    if found:
        words = ", ".join(f"{name} (process {pid})" for name, pid in found[:LINES_SHOWN])
        return Check(name="daemon", ok=True, text=f"{words} runs")
    if 1 not in psutil.pids():
        return Check(
            name="daemon", ok=True, text="other users' processes are hidden: cron was not looked for"
        )
    return Check(
        name="daemon",
        ok=True,
        text="no cron daemon runs here",
        advice="start it (systemctl start cron, or crond), unless something else starts the jobs",
    )


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


def _wrapped(uses: Iterable[tuple[Job, Use | None]]) -> Iterator[Check]:
    bare = [job for job, use in uses if use is None and why_left(job) != ""]
    lost = [job for job, use in uses if not _found(job, use)]
    if lost:
        yield Check(
            name="crontab",
            ok=False,
            text=f"{_lines(lost)}: cron does not find cronwrap, so the job does not run",
            advice=f"write its path, {this_program() or '/path/to/cronwrap'}, or put its directory into PATH",
        )
    if bare:
        yield Check(
            name="crontab",
            ok=True,
            text=f"{count(len(bare), 'job')} not wrapped ({_lines(bare)})",
            advice="wrap them with: cronwrap crontab wrap",
        )
    elif not lost:
        yield Check(name="crontab", ok=True, text="every job is wrapped")


def _found(job: Job, use: Use | None) -> bool:
    """Tell whether cron finds the cronwrap that a job is wrapped with, if it is."""
    path = job.environment.get("PATH", CRON_PATH)
    if _by_shell(job) and find_program(job.shell, path) is None:
        return False
    return use is None or find_program(_called(job, use), path) is not None


def _by_shell(job: Job) -> bool:
    return os.path.basename(job.shell) == SHELL_BASENAME


def _called(job: Job, use: Use) -> str:
    """Give the name or path by which a line calls cronwrap."""
    return job.command[len(use.before) :].split(None, 1)[0].strip("'\"")


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


def _mail_of_crond(content: str, uses: Iterable[tuple[Job, Use | None]], settings: Settings) -> Check:
    """Tell whether crond mails what cronwrap mails already."""
    if not any(os.access(path, os.X_OK) for path in SENDMAIL):
        text = "crond cannot send mail (there is no sendmail program): only cronwrap's mails get out"
        return Check(name="crond", ok=True, text=text)
    mailto = [line.value for line in parse(content) if isinstance(line, Assignment) and line.name == "MAILTO"]
    if mailto and not any(mailto):
        return Check(name="crond", ok=True, text='MAILTO="" keeps crond from sending mail', advice="")
    twice = [job for job, use in uses if (use is not None or _by_shell(job)) and _speaks(job, use, settings)]
    if twice:
        return Check(
            name="crond",
            ok=True,
            text=f"{_lines(twice)}: the output is passed through, so crond mails it as well",
            advice="leave out --live (and live = true)",
        )
    text = "crond can send mail as well; of wrapped jobs it gets what cronwrap itself has to complain of"
    return Check(name="crond", ok=True, text=text)


def _speaks(job: Job, use: Use | None, settings: Settings) -> bool:
    """Tell whether a wrapped job's output reaches crond."""
    live = job.environment.get("CRONWRAP_LIVE", "") in ("1", "true", "yes", "on") or settings["live"]
    try:
        invocation = read_arguments([word.value for word in use.arguments]) if use else None
    except UsageError:
        return False  # cronwrap refuses the line: crontab lint tells why
    return bool(invocation.flags.get("live", live) if invocation else live)


def _lines(found: list[Job]) -> str:
    numbers = ", ".join(str(job.number) for job in found[:LINES_SHOWN])
    more = ", …" if len(found) > LINES_SHOWN else ""
    return f"{'line' if len(found) == 1 else 'lines'} {numbers}{more}"
