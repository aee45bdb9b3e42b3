"""A message of the outbox addressed anew: what came from settings is asked for once more."""

from __future__ import annotations

import os

from cronwrap.address import Address, addresses, at_home, usable
from cronwrap.model import Command
from cronwrap.outbox.store import Item, Outbox
from cronwrap.pipeline.addressing import GIVEN, recipients, sender
from cronwrap.pipeline.context import new_run
from cronwrap.report.readdress import readdress, shown
from cronwrap.settings.load import Settings, load


def current(config: str | None, job: str) -> Settings:
    """Give a job's settings as the files have them now: the variables here are not those of its crontab."""
    environ = {name: value for name, value in os.environ.items() if name not in GIVEN}
    return load({"name": job} | ({"config": config} if config else {}), environ)


def anew(box: Outbox, item: Item, settings: Settings) -> tuple[Item, bytes]:
    """Give a message and its content with the sender and the recipients that settings name now.

    Who got it already does not get it again; without recipients nobody is left who should.
    """
    content = box.content(item)
    run = new_run(Command(argv=("cronwrap",), text="cronwrap"), settings)
    by = _one(sender(run), run.host) if item.sender_from_settings else ""
    by = by or item.envelope.sender
    to = _recipients(item, settings, run.host, recipients(run))
    waiting = item.envelope.recipients
    if to is not None:
        had = {one.spec for one in usable(shown(content), run.host)[0]} - set(waiting)
        waiting = tuple(dict.fromkeys(one.spec for one in to if one.spec not in had))
    content = readdress(content, (item.envelope.sender, by), to)
    envelope = item.envelope.replace(sender=by, recipients=waiting)
    return item.replace(envelope=envelope, size=len(content)), content


def _recipients(
    item: Item, settings: Settings, host: str, configured: tuple[str, ...]
) -> tuple[Address, ...] | None:
    """Give whom settings name for a message now; None when they have no say in it, or name nobody of use."""
    if item.recipients_from_settings:
        texts = configured
    elif item.recipients_written:
        house = settings.house
        texts = (at_home(item.recipients_written, host, house) if house else item.recipients_written,)
    else:
        return None
    found = [one for text in texts for one in usable(text, host)[0]]
    return tuple(found) or None


def _one(text: str, host: str) -> str:
    try:
        return addresses(text, host)[0].spec
    except (ValueError, IndexError):
        return ""
