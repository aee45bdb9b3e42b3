"""All that ``doctor`` looks at, in the order it is told."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial

from cronwrap.crontab.named import NamedJob
from cronwrap.crontab.surroundings import Account
from cronwrap.crontab.wrap import why_left
from cronwrap.settings.load import Settings, load
from cronwrap.setup import cron_checks, fleet_checks, line_checks, mail_checks, metrics_checks, notify_checks
from cronwrap.setup.check import Check
from cronwrap.setup.other_users import ALL_LIMIT, USER_LIMIT, Theirs, as_user, others
from cronwrap.setup.wrapped_lines import OWN, Line, own_account, places, wrapped_lines
from cronwrap.spans import count

OF_THE_HOST = ("clock", "disk")
"""Steps that are told once, and not again for each user."""
TOLD_OF_OTHERS = ("lines", "sender", "recipient")
"""Steps of another user that are told also where all is well."""


def steps(
    settings: Settings, environ: Mapping[str, str], *, send: bool = False, of_others: bool = True
) -> Iterator[Check]:
    """Give each step as it is taken; for root those that concern other users at the end.

    Those are taken by forks: with threads, as a server has them, leave them out (``of_others``).
    """
    account = own_account()
    crontabs = cache(partial(cron_checks.read, settings))
    lines = cache(lambda: wrapped_lines(crontabs().own, account))
    yield from mail_checks.checks(settings, environ, lines)
    yield from notify_checks.checks(settings)
    theirs = others(account.name, settings["redact.patterns"]) if of_others and os.geteuid() == 0 else []
    wrapped = crontabs().wrapped or any(one.wrapped for one in theirs)
    yield from cron_checks.checks(settings, crontabs().replace(wrapped=wrapped))
    yield from line_checks.checks(lines(), settings, environ)
    yield from metrics_checks.checks(settings)
    yield from fleet_checks.checks(settings)
    if send:
        yield mail_checks.send_test(settings)
        yield from notify_checks.send_tests(settings)
    yield from _of_others(theirs)


def _of_others(theirs: list[Theirs]) -> Iterator[Check]:
    deadline = time.monotonic() + ALL_LIMIT
    late = []
    for one in theirs:
        if one.fault and (one.spool or one.account is None):
            advice = "correct the name, or take the jobs away" if one.account is None else ""
            yield Check(name="crontab", ok=True, text=one.fault, advice=advice, user=one.name)
        if bare := [job for job in one.jobs if _bare(job)]:
            text = f"{count(len(bare), 'job')} not wrapped ({places(bare)})"
            advice = "wrap them, as that user, with: cronwrap crontab wrap"
            yield Check(name="crontab", ok=True, text=text, advice=advice, user=one.name)
        if one.account is None or not one.wrapped:
            continue
        left = deadline - time.monotonic()
        if left <= 0:
            late.append(one.name)
            continue
        work = partial(_theirs, one.account, one.jobs)
        for check in as_user(one.account, work, min(left, USER_LIMIT)):
            yield check.replace(user=one.name)
    if late:
        text = f"not looked at, since it took more than {ALL_LIMIT:g} s so far: {', '.join(late)}"
        yield Check(name="crontab", ok=False, text=text, advice="run cronwrap doctor as each of them")


def _bare(named: NamedJob) -> bool:
    return named.place == OWN and not named.wrapped and why_left(named.job) != ""


def _theirs(account: Account, jobs: tuple[NamedJob, ...]) -> Iterator[Check]:
    """Give what is to be said of the user whose rights this process has, what is well in few words.

    For a process of its own: it takes over the environment of the user's jobs.
    """
    lines = wrapped_lines(jobs, account)
    if told := [line.environ for line in lines if line.settings is not None]:
        # Nobody sits at a shell of theirs: what all lines have in common stands for it.
        common = {
            name: value for name, value in told[0].items() if all(one.get(name) == value for one in told)
        }
        os.environ.clear()
        os.environ.update(common)
    settings = load({}, os.environ)
    for check in _every(settings, jobs, lines):
        wanted = not check.ok or check.advice or check.name in TOLD_OF_OTHERS
        if wanted and (check.name not in OF_THE_HOST or not check.ok):
            yield check


def _every(settings: Settings, jobs: Sequence[NamedJob], lines: Sequence[Line]) -> Iterator[Check]:
    yield from mail_checks.checks(settings, os.environ, lambda: lines)
    yield from notify_checks.checks(settings)
    yield from cron_checks.lost(jobs)
    yield from line_checks.checks(lines, settings, os.environ)
    yield from metrics_checks.checks(settings)
