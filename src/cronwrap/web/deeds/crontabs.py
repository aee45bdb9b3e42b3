"""Crontabs: read, judged, changed; every earlier state. Octets travel in base64."""

from __future__ import annotations

import os
from itertools import islice
from typing import Any

from cronwrap.crontab import states
from cronwrap.crontab.difference import as_text, hunks
from cronwrap.crontab.edit import UneditableError, as_form, merged
from cronwrap.crontab.findings import ERROR
from cronwrap.crontab.places import places
from cronwrap.crontab.states import State, etag
from cronwrap.crontab.wrap import unwrap, wrap
from cronwrap.errors import CronwrapError, StateError
from cronwrap.web.deeds.base import Arguments, Refused, Surroundings, wanted
from cronwrap.web.deeds.crontab_table import Table, base64_of, numbers_of, octets_of, table

MOST_SHOWN = 100
"""States that are listed at a time."""
SHELL_PATIENCE = 10.0
"""Seconds for asking shells about a whole crontab; what is left is asked about at the next look."""
SAVED, RESTORED = "saved", "brought back"
WHATS = (SAVED, "wrapped", "unwrapped", "job added")
"""What a state may be said to come from."""


def listed(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give the crontabs of the user, for root the system's too: ``items`` with what is in each."""
    del arguments
    found = []
    for place in places(around.user, system=os.geteuid() == 0):
        item = {
            "id": place.id,
            "user": place.user,
            "path": place.path,
            "name": place.name,
            "system": place.system,
        }
        try:
            read = Table(place, around.settings)
        except CronwrapError as error:
            found.append({**item, "fault": str(error)})
            continue
        found.append(
            {
                **item,
                "fault": "",
                "octets": len(read.octets),
                **read.counted(),
                "passed_over": read.passed_over(),
                "etag": etag(read.octets),
            }
        )
    return {"items": found}


def read(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give a crontab whole: ``text`` in base64, ``form`` for a form's field, ``etag``.

    A state that came from elsewhere is kept, now that it is seen.
    """
    found = table(around, arguments)
    return {
        **found.public(),
        "text": base64_of(found.octets),
        "form": as_form(found.octets),
        "states_fault": _noticed(around, found),
    }


def _noticed(around: Surroundings, found: Table) -> str:
    """Keep the state of a crontab unless it is known; give why that cannot be done, or an empty text."""
    try:
        states.notice(around.state_dir, found.place.id, found.octets)
    except StateError as error:  # it can be read all the same; a change would be refused
        return str(error)
    return ""


def view(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give the page of a crontab's lines that a ``line`` is on, with what there is to say of each.

    A state that came from elsewhere is kept, now that it is seen.
    """
    found = table(around, arguments)
    line = arguments.get("line", 1)
    line = line if type(line) is int else 1
    return {**found.public(), "states_fault": _noticed(around, found), **found.annotated(line)}


def lint(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give the ``findings`` about all lines of a crontab, as it is or as ``text`` has it.

    Of ten thousand lines that takes seconds.
    """
    found = table(around, arguments)
    if "text" in arguments:
        found = found.with_octets(octets_of(arguments))
    return {**found.public(), "findings": found.findings(budget=SHELL_PATIENCE), "total": len(found.lines)}


def merge(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give the ``text`` that a form's field amounts to, whose page showed the state with this ``etag``."""
    found = table(around, arguments)
    base = _state_with(around, found, wanted(arguments, "etag"))
    try:
        octets = merged(base, wanted(arguments, "form"), plain_ends=bool(arguments.get("plain_ends")))
    except UneditableError as error:
        raise Refused(422, "This is no crontab", str(error)) from None
    return {"text": base64_of(octets), "etag": etag(octets)}


def difference(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give what would change if ``text`` took the crontab's place, and what lint has against the lines.

    ``etag`` is of the crontab as it is; ``changed`` says that it is no longer the one that was given.
    Findings are those about lines that it does not have as they are; ``new`` those that it does not have now.
    ``unjudged`` is how many lines more changed, by a variable above them say, than were looked at.
    """
    found = table(around, arguments)
    octets = octets_of(arguments)
    differences = hunks(found.octets, octets)
    meant = found.with_octets(octets)
    (gone, _more), (changed, unjudged) = found.unlike(meant), meant.unlike(found)
    known = {(finding["severity"], finding["text"]) for finding in found.findings(gone)}
    later = [{**one, "new": (one["severity"], one["text"]) not in known} for one in meant.findings(changed)]
    return {
        "id": found.place.id,
        "etag": etag(found.octets),
        "changed": etag(found.octets) != arguments.get("etag", etag(found.octets)),
        "hunks": differences,
        "text": as_text(differences, found.place.name, f"{found.place.name} (new)"),
        "findings": later,
        "unjudged": unjudged,
        "errors": sum(one["severity"] == ERROR and one["new"] for one in later),
    }


def save(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Put ``text`` in the place of the crontab, if it is still the one with this ``etag`` (412)."""
    return _put(around, arguments, octets_of(arguments), _what(arguments))


def restore(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Bring an earlier ``state`` back byte for byte, if the crontab is still the one with this ``etag``."""
    found = table(around, arguments)
    octets = _content(around, found, wanted(arguments, "state"))
    return _put(around, arguments, octets, RESTORED)


def wrapped(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give the crontab with cronwrap before the jobs in these ``lines`` (all): ``text`` and ``changes``."""
    found = table(around, arguments)
    prefix = found.prefix()
    only = numbers_of(arguments)
    return found.chosen(
        wrap(found.text, prefix=prefix, system=found.system, dialect=found.dialect, only=only)
    )


def unwrapped(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give the crontab with the jobs in these ``lines`` (all) without cronwrap: ``text``, ``changes``."""
    found = table(around, arguments)
    only = numbers_of(arguments)
    return found.chosen(unwrap(found.text, system=found.system, dialect=found.dialect, only=only))


def earlier(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give the states of a crontab, the newest first: ``items``; ``now`` marks those that are as it is."""
    found = table(around, arguments)
    states.notice(around.state_dir, found.place.id, found.octets)
    now = etag(found.octets)
    newest = islice(states.every(around.state_dir, found.place.id), MOST_SHOWN)
    items = [{**_public(one), "now": one.digest == now} for one in newest]
    return {**found.public(), "items": items}


def state(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give an earlier ``state`` whole; what bringing it back would change, and what changed ``since``."""
    found = table(around, arguments)
    which = wanted(arguments, "state")
    octets = _content(around, found, which)
    kept = next((one for one in states.every(around.state_dir, found.place.id) if one.id == which), None)
    return {
        **found.public(),
        "state": _public(kept) if kept else {},
        "text": base64_of(octets),
        "hunks": hunks(found.octets, octets),
        "since": hunks(octets, found.octets),
        "same": octets == found.octets,
    }


def _put(around: Surroundings, arguments: Arguments, octets: bytes, what: str) -> dict[str, Any]:
    with states.alone(around.state_dir):
        return _put_alone(around, arguments, octets, what)


def _put_alone(around: Surroundings, arguments: Arguments, octets: bytes, what: str) -> dict[str, Any]:
    found = table(around, arguments)
    around.before = {"etag": etag(found.octets), "text": found.text}
    if etag(found.octets) != wanted(arguments, "etag"):
        detail = "Nothing is written; look at it as it is now"
        raise Refused(412, "The crontab was changed meanwhile", detail, etag=etag(found.octets))
    if octets == found.octets:
        return {**found.public(), "same": True}
    # First, so that there is a way back.
    states.notice_alone(around.state_dir, found.place.id, found.octets)
    try:
        found.store.replace(found.octets, octets)
    except CronwrapError as error:
        status = 412 if "in the meantime" in str(error) else 422
        raise Refused(status, "The crontab is not written", str(error)) from error
    after = Table(found.place, around.settings)
    around.after = {"etag": etag(after.octets), "text": after.text}
    try:
        states.keep(around.state_dir, found.place.id, after.octets, by=around.asker, what=what)
        fault = "" if after.octets == octets else "crontab(1) made something else of it: look at it"
    except StateError as error:  # it is written; the next look keeps it as changed elsewhere
        fault = str(error)
    return {**after.public(), "same": False, "fault": fault}


def _what(arguments: Arguments) -> str:
    what = arguments.get("what", SAVED)
    return what if what in WHATS else SAVED


def _content(around: Surroundings, found: Table, which: str) -> bytes:
    octets = states.content(around.state_dir, found.place.id, which)
    if octets is None:
        raise Refused(404, "There is no such state", "It may have made room for a newer one")
    return octets


def _state_with(around: Surroundings, found: Table, digest: str) -> bytes:
    """Give the crontab as it was when somebody saw it with this ETag."""
    if digest == etag(found.octets):
        return found.octets
    for kept in states.every(around.state_dir, found.place.id):
        if kept.digest == digest:
            return _content(around, found, kept.id)
    raise Refused(412, "The crontab was changed meanwhile", "What this page showed is not known any more")


def _public(kept: State) -> dict[str, Any]:
    return {name: getattr(kept, name) for name in State.fields()}
