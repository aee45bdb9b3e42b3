"""A job of the crontab to be run now: found, and with all that cron would give it."""

from __future__ import annotations

import pwd

from cronwrap.crontab import surroundings
from cronwrap.crontab.by_hand import ByHand
from cronwrap.crontab.named import NamedJob
from cronwrap.crontab.store import this_program
from cronwrap.crontab.surroundings import Account
from cronwrap.errors import CronwrapError
from cronwrap.manage.known import in_crontab
from cronwrap.paths import user_name
from cronwrap.pipeline.context import BY_HAND
from cronwrap.settings.load import Settings
from cronwrap.settings.values import nearest
from cronwrap.text import harmless


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
    return "\n".join(harmless(f"  --line {one.line}  {one.job.raw.strip()}", one=True) for one in found)


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
