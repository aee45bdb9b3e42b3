"""``cronwrap doctor``: the way of a mail, step by step."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import click

from cronwrap.commands import views
from cronwrap.commands.views import GAP, Screen
from cronwrap.settings.load import Settings
from cronwrap.setup import doctor
from cronwrap.setup.check import Check, public
from cronwrap.spans import count

SIGNS = {True: ("ok", views.GREEN), False: ("FAULT", views.RED), None: ("note", views.YELLOW)}
NAME_WIDTH = 11
"""Columns of the longest name, ``certificate``."""
TIME_WIDTH = 8
INTERRUPTED = 130
"""The exit status after Ctrl-C, as a shell has it."""
SHOWN_TIME = 0.0005
"""Seconds; what took less took no time."""


@click.command("doctor")
@click.option("--send", is_flag=True, help="Send a test message as well, and tell each target of [[notify]].")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a step.")
@click.pass_context
def command(ctx: click.Context, send: bool, as_json: bool) -> None:
    """Check the way of a mail, step by step; exit with 1 when something is wrong.

    Settings, state, clock, each relay up to the acceptance of sender and recipients, outbox, cron, and what
    would happen to each wrapped line of the crontab (for root: of all crontabs).
    """
    settings = ctx.obj.settings()
    try:
        faults = _examine(settings, send=send, as_json=as_json)
    except KeyboardInterrupt:
        views.say("\ninterrupted: not everything was looked at", err=True)
        ctx.exit(INTERRUPTED)
    if faults:
        ctx.exit(1)


def _examine(settings: Settings, *, send: bool, as_json: bool) -> int:
    """Show each step as it comes; give how many are faults."""
    screen, seen = Screen(), []
    relay = user = ""
    for check in doctor.steps(settings, os.environ, send=send):
        seen.append(check)
        if as_json:
            views.write(views.objects([public(check)]))
            continue
        if check.user != user:
            views.write(
                [
                    "",
                    screen.paint(
                        views.printable(f"user {check.user}" if check.user else "all users"), views.BOLD
                    ),
                ]
            )
        if check.relay != relay and check.relay:
            views.write([screen.paint(views.printable(check.relay), views.BOLD)])
        relay, user = check.relay, check.user
        views.write(lines(screen, check))
    if not as_json:
        views.write(["", conclusion(screen, seen)])
    return sum(not check.ok for check in seen)


def lines(screen: Screen, check: Check) -> Iterator[str]:
    """Give the lines that people see: sign, name, time, what was found; below it what to do."""
    sign, colour = SIGNS[None if check.ok and check.advice else check.ok]
    spent = f"{check.seconds:.3f} s" if check.seconds >= SHOWN_TIME else ""
    head = GAP.join(
        (screen.paint(f"{sign:<5}", colour), f"{check.name:<{NAME_WIDTH}}", f"{spent:>{TIME_WIDTH}}")
    )
    yield f"{head}{GAP}{views.printable(check.text)}".rstrip()
    if check.advice:
        indent = 5 + NAME_WIDTH + TIME_WIDTH + 2 * len(GAP)
        yield f"{' ' * indent}{GAP}→ {views.printable(check.advice)}"


def conclusion(screen: Screen, seen: Sequence[Check]) -> str:
    """Give the last line: whether all is sound, and else which steps are to be looked at again."""
    faults = [check for check in seen if not check.ok]
    notes = sum(bool(check.ok and check.advice) for check in seen)
    if faults:
        names = ", ".join(dict.fromkeys(check.name for check in faults))
        words = f"{len(faults)} of these {'is a fault' if len(faults) == 1 else 'are faults'}: {names}."
        return screen.paint(words, views.RED)
    if notes:
        return screen.paint(f"No fault; {count(notes, 'note')} above.", views.YELLOW)
    return screen.paint("All is sound.", views.GREEN)
