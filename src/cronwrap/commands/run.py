"""``cronwrap run``: a job of the crontab, now, as cron would run it."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator

import click

from cronwrap.commands import views
from cronwrap.commands.at_hand import asked_by, in_crontab
from cronwrap.crontab import by_hand, surroundings
from cronwrap.crontab.by_hand import ByHand
from cronwrap.crontab.named import NamedJob
from cronwrap.crontab.store import this_program
from cronwrap.crontab.surroundings import Account
from cronwrap.errors import CronwrapError
from cronwrap.paths import user_name
from cronwrap.pipeline.context import BY_HAND
from cronwrap.settings.load import Settings
from cronwrap.settings.values import nearest, quote


@click.command("run")
@click.argument("job", required=False)
@click.option("--user", metavar="USER", help="The job of this user's crontab, or of the system's; for root.")
@click.option("--line", metavar="N", help="The job in this line, as 5 or /etc/crontab:5.")
@click.option("--print", "only_print", is_flag=True, help="Show what would be run, and run nothing.")
@click.pass_context
def command(ctx: click.Context, job: str | None, user: str | None, line: str | None, only_print: bool) -> int:
    """Run a job of the crontab now, in the surroundings that cron gives it; exit with its status."""
    if not job and not line:
        raise click.UsageError("name the JOB, or its --line")
    if user and user != user_name() and os.geteuid() and not only_print:
        raise CronwrapError(f"only root can run the jobs of {user}")
    settings = ctx.obj.settings()
    found = find(settings, job, line, user or "")
    what = prepare(found, user or user_name(), asked_by())
    if only_print:
        views.write(shown(found, what))
        return 0
    return by_hand.run(what)


# Computed ---------------------------------------------------------------------------------------


def find(settings: Settings, name: str | None, line: str | None, user: str) -> NamedJob:
    """Give the one job of a crontab that is meant; CronwrapError when there is none, or more than one."""
    found, fault = in_crontab(settings, user)
    whose = user or user_name()
    matching = [one for one in found if name is None or name in one.names]
    if not matching:
        known = sorted({known for one in found for known in one.names})
        what = "no job" if name is None else f"no job {name!r}"
        hint = nearest(name or "", known)
        hint = hint or (f"; it has {', '.join(known)}" if known else "")
        raise CronwrapError(f"{what} is in the crontab of {whose}{hint}{f' ({fault})' if fault else ''}")
    if line is not None:
        # A number alone is first of all a line of one's own crontab.
        own = [one for one in matching if line in (one.line, one.line.removeprefix("crontab:"))]
        here = own or [one for one in matching if line == str(one.job.number)]
        if not here:
            raise CronwrapError(f"line {line} is none of the job's:\n{_listed(matching)}")
        matching = here
    if len(matching) > 1:
        raise CronwrapError(f"more than one line is meant; say which by --line:\n{_listed(matching)}")
    return matching[0]


def _listed(found: list[NamedJob]) -> str:
    return "\n".join(views.printable(f"  --line {one.line}  {one.job.raw.strip()}") for one in found)


def prepare(found: NamedJob, user: str, by: str) -> ByHand:
    """Give all that it takes to run a job as cron would; CronwrapError when there is no such user."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise CronwrapError(f"there is no user {user}") from None
    account = Account(name=user, uid=entry.pw_uid, gid=entry.pw_gid, home=entry.pw_dir)
    environment = surroundings.environment(found.job, account)
    text = surroundings.shell_text(found.job)
    words = (environment["SHELL"], "-c", text)
    if not found.wrapped:  # it is run under cronwrap all the same, so that it is on record
        program = this_program()
        if program is None:
            raise CronwrapError("the program cronwrap is not on the PATH here")
        words = (program, "-c", text)
    return ByHand(
        words=words,
        environment={**environment, BY_HAND: by},
        stdin=surroundings.standard_input(found.job),
        account=account,
        daemon=surroundings.daemon(),
    )


# Printed ----------------------------------------------------------------------------------------


def shown(found: NamedJob, what: ByHand) -> Iterator[str]:
    """Give what would be run, as lines that a shell takes."""
    name = " or ".join(found.names) or "(its name depends on what the shell makes of the line)"
    yield f"# {views.printable(name)}: {found.line}, as {what.account.name}"
    if not found.wrapped:
        yield "# the line has no cronwrap: it is run under cronwrap all the same, so that it is on record"
    yield f"# in a session of its own, with niceness {what.daemon.nice} and the limits of cron's daemon"
    yield f"cd {quote(what.environment['HOME'])}"
    yield f"umask {what.daemon.umask:04o}"
    given = f"printf %s {quote(what.stdin.decode('utf-8', 'surrogateescape'))} |" if what.stdin else ""
    yield f"{given} env -i \\".lstrip()
    for key, value in what.environment.items():
        if key != BY_HAND:
            yield f"  {quote(f'{key}={value}')} \\"
    yield "  " + " ".join(map(quote, what.words)) + ("" if what.stdin else " </dev/null")
