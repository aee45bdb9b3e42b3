"""``cronwrap run``: a job of the crontab, now, as cron would run it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import click

from cronwrap.commands import views
from cronwrap.commands.at_hand import asked_by, read_job
from cronwrap.crontab import by_hand
from cronwrap.crontab.by_hand import ByHand
from cronwrap.crontab.named import NamedJob
from cronwrap.errors import CronwrapError
from cronwrap.manage.by_hand import find, prepare
from cronwrap.paths import user_name
from cronwrap.pipeline.context import BY_HAND
from cronwrap.settings.command_line import quote


@click.command("run")
@click.argument("job", callback=read_job, required=False)
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
