"""``cronwrap outbox``: the reports that wait to be sent."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from cronwrap.commands import views
from cronwrap.errors import StateError
from cronwrap.manage.outbox import as_object, queue_again, readable_item, whole_file
from cronwrap.outbox import dispatch, sent
from cronwrap.outbox.message_file import DAMAGED
from cronwrap.outbox.sent import Delivered
from cronwrap.outbox.store import Item, Outbox
from cronwrap.spans import ago, duration
from cronwrap.text import harmless, shorten

if TYPE_CHECKING:
    from cronwrap.commands.cli import App

_HAVE_IT = "all whom mailto names now have got it"


def _or_before(ctx: click.Context, _param: click.Parameter, value: bool) -> bool:
    """Give a flag that may stand before the name of what is below ``outbox`` as well as behind it."""
    return value or bool(ctx.parent and ctx.parent.params.get("as_json"))


def _json_option(what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    text = f"One JSON object{what}."
    return click.option("--json", "as_json", is_flag=True, callback=_or_before, help=text)


@click.group(
    "outbox",
    invoke_without_command=True,
    help="List, show, send or drop the reports and notifications that wait to be sent.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a message.")
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """List, unless told otherwise."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_, as_json=as_json)


@command.command("list", help="List what waits and what was given up, the oldest first.")
@_json_option(" a message")
@click.pass_obj
def list_(app: App, *, as_json: bool) -> None:
    """List the outbox."""
    box = Outbox(app.settings().state_dir).look()
    delivered = Delivered(box)
    queued = [item.replace(last_error=sent.WORDS) if delivered(item) else item for item in box.items()[0]]
    items = [*queued, *box.failed()]
    for line in map(json.dumps, map(as_object, items)) if as_json else lines(items, time.time()):
        views.say(line)


@command.command("show", help="Show a message as its reader would see it.")
@click.argument("identity", metavar="ID")
@click.option("--raw", is_flag=True, help="The message as it will be sent.")
@_json_option("")
@click.pass_obj
def show(app: App, identity: str, *, raw: bool, as_json: bool) -> None:
    """Show one message."""
    box = Outbox(app.settings().state_dir).look()
    item = box.find(identity)
    if as_json:
        views.say(json.dumps(as_object(item)))
        return
    damaged = item.last_error.startswith(DAMAGED)
    content = whole_file(box, item) if damaged else box.content(item)
    if raw:
        views.write([views.raw(content)])
        return
    for line in lines([item], time.time()):
        views.say(line)
    views.say()
    views.say(content if damaged else readable_item(item, content))


def _say_outcome(item: Item, words: str) -> None:
    views.say(json.dumps({"id": item.id, "job": item.job, "outcome": words}))


class Progress:
    """Tells of each message what became of it, on a terminal also how many there are."""

    def __init__(self, total: int, *, as_json: bool) -> None:
        self.total, self.as_json = total, as_json
        self.done = self.undelivered = 0

    def __call__(self, item: Item, words: str) -> None:
        """Tell of one message."""
        self.done += 1
        self.undelivered += not words.startswith("delivered")
        if self.as_json:
            _say_outcome(item, words)
            return
        number = f"{self.done}/{max(self.total, self.done)}  " if sys.stdout.isatty() else ""
        views.say(f"{number}{item.id}  {shorten(item.subject, 60)}: {words}")


def _busy() -> None:
    if sys.stderr.isatty():
        views.say("another process is sending; waiting for it", err=True)


@command.command("flush", help="Send everything now, whatever its schedule says.")
@_json_option(" a message that was tried")
@click.pass_context
def flush(ctx: click.Context, *, as_json: bool) -> None:
    """Send everything; exit 1 when something is left or was given up."""
    settings = ctx.obj.settings()
    box = Outbox(settings.state_dir).look()
    if not box.ids():
        if not as_json:
            views.say("the outbox is empty")
        return
    if not box.writable():
        raise StateError(f"the outbox {box.directory} cannot be written: what is sent could not be taken off")
    progress = Progress(len(box.ids()), as_json=as_json)
    if not dispatch.flush(settings, progress, waiting=_busy):
        raise StateError("another process is sending; try again when it is done")
    dispatch.leave_waiter(settings)
    if progress.undelivered or box.ids():
        ctx.exit(1)


@command.command("retry", help="Queue a message again, even one that was given up, and send it now.")
@click.argument("identity", metavar="[ID]", required=False)
@click.option("--all", "every", is_flag=True, help="Every message that waits or was given up.")
@_json_option(" a message")
@click.pass_context
def retry(ctx: click.Context, identity: str | None, *, every: bool, as_json: bool) -> None:
    """Queue messages again and send them; exit 1 when that does not succeed."""
    settings = ctx.obj.settings()
    box = Outbox(settings.state_dir).look()
    items = _chosen(box, identity, every=every)
    if every:
        items = [item for item in items if item.envelope.recipients]  # a damaged file has none
    queued: dict[str, Item] = {}
    for item in items:
        if queue_again(box, item, settings):
            queued[item.id] = item
        elif as_json:
            _say_outcome(item, f"gone: {_HAVE_IT}")
        else:
            views.say(f"{item.id} is gone: {_HAVE_IT}")
    progress = Progress(len(queued), as_json=as_json)

    def told(tried: Item, words: str) -> None:
        if tried.id in queued:
            progress(tried, words)

    if not queued:
        return
    first = "" if every else next(iter(queued))
    if not dispatch.flush(settings, told, first=first, patience=0.0):
        _say_queued(queued, as_json=as_json)
        return
    dispatch.leave_waiter(settings)
    if progress.undelivered:
        ctx.exit(1)


def _say_queued(queued: dict[str, Item], *, as_json: bool) -> None:
    names, them = (f"{next(iter(queued))} is", "it") if len(queued) == 1 else (f"{len(queued)} are", "them")
    if not as_json:
        views.say(f"{names} queued; another process is sending, and takes {them} along")
        return
    for item in queued.values():
        _say_outcome(item, "queued: another process is sending, and takes it along")


def _chosen(box: Outbox, identity: str | None, *, every: bool) -> list[Item]:
    """Give the message that is named, or all; a damaged one too."""
    if every == bool(identity):
        raise click.UsageError("name a message, or --all: see cronwrap outbox list")
    return [*box.items()[0], *box.failed()] if every else [box.find(identity or "")]


@command.command("drop", help="Throw a message away, unsent.")
@click.argument("identity", metavar="[ID]", required=False)
@click.option("--all", "every", is_flag=True, help="Every message that waits or was given up.")
@_json_option(" a message")
@click.pass_obj
def drop(app: App, identity: str | None, *, every: bool, as_json: bool) -> None:
    """Throw messages away."""
    box = Outbox(app.settings().state_dir).look()
    items = _chosen(box, identity, every=every)
    for item in items:
        box.remove(item)
        if as_json:
            _say_outcome(item, "gone")
        else:
            views.say(f"{item.id} is gone")
    if not items and not as_json:
        views.say("the outbox is empty")


def _when(item: Item, before: set[tuple[str, str]]) -> str:
    """Say when a message that is due goes; ``before`` has what the targets were to be told until then."""
    waits = item.lane and (item.lane, item.job) in before
    return "once what the job had to say before has gone" if waits else "now"


def lines(items: Iterable[Item], now: float) -> Iterator[str]:
    """Give the lines that a person reads."""
    nothing = True
    before: set[tuple[str, str]] = set()
    for item in items:
        nothing = False
        yield f"{item.id}  {item.state}, {ago(now - item.queued) if item.queued else 'age unknown'}"
        yield f"    {harmless(shorten(item.subject, 74))}"
        yield f"    to {harmless(', '.join(item.envelope.recipients) or 'nobody')}"
        tries = f"{item.attempts} attempts" if item.attempts != 1 else "1 attempt"
        if item.state == "queued":
            due = item.next_attempt - now
            tries += f", next in {duration(due)}" if due > 0 else f", due {_when(item, before)}"
        yield f"    {tries}"
        if item.last_error:
            yield f"    {harmless(item.last_error)}"
        if item.state == "queued":
            before.add((item.lane, item.job))
    if nothing:
        yield "the outbox is empty"
