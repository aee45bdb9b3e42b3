"""A job that is not in the crontab yet: its schedule told in words, its line made, its command tried."""

from __future__ import annotations

import time
from typing import Any

from cronwrap.crontab.edit import shown
from cronwrap.crontab.here import prefix_at_end
from cronwrap.crontab.named import NamedJob
from cronwrap.crontab.new_line import Into, NewLine, new_line
from cronwrap.crontab.store import is_user
from cronwrap.history.run import Run
from cronwrap.history.runs import output_of
from cronwrap.manage.by_hand import prepare
from cronwrap.manage.runs import result_words
from cronwrap.manage.started import Started, run_of, start
from cronwrap.text import visible
from cronwrap.web.deeds.base import Arguments, Refused, Surroundings, wanted
from cronwrap.web.deeds.crontab_judged import TIMES_TOLD, Soon, in_words
from cronwrap.web.deeds.crontab_table import Table, base64_of, table

TRIAL = 5.0
"""Seconds for which a trial is waited for; its page has the rest."""
SHOWN = 16 * 1024
"""Octets of a trial's output that are shown beside the form."""
LONGEST_FIELD = 4096
"""Characters; cron takes a command of a thousand octets."""


def described(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give a ``schedule`` in ``words`` with its ``next`` times and their ``zone``, or the ``fault`` in it."""
    del around
    soon = Soon(time.time(), TIMES_TOLD)
    schedule = wanted(arguments, "schedule").strip()
    return {**in_words(schedule), "next": soon.times(schedule), "zone": soon.zone}


def made(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give the ``line`` that a form's fields amount to, and the whole ``text`` with it at the end.

    ``faults`` has what is wrong with the form, by field; ``findings`` what lint says of the line.
    """
    found = table(around, arguments)
    return _made(found, _new(found, arguments))[0]


def _made(found: Table, new: NewLine) -> tuple[dict[str, Any], NamedJob | None]:
    """Give what ``made`` gives, and the job of the new line if there is one."""
    soon = Soon(time.time(), TIMES_TOLD)
    meant = found.with_octets(new.octets) if new.line else None
    named = meant.named(new.number) if meant else None
    zone = named.job.environment.get("CRON_TZ", "") if named else ""
    answer = {
        **found.public(),
        **in_words(new.schedule),
        "next": soon.times(new.schedule, zone),
        "zone": zone or soon.zone,
        "schedule": shown(new.schedule),
        "line": shown(new.line),
        "number": new.number,
        "faults": dict(new.faults),
        "findings": meant.findings(frozenset((new.number,))) if meant else [],
        "text": base64_of(new.octets) if new.line else "",
        "names": [shown(name) for name in named.names] if named else [],
    }
    return answer, named


def tried(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Run the command of the line that a form amounts to, now, as cron would: ``made`` and its ``trial``.

    The run is on record like any, by hand. It is waited for a few seconds; one that takes longer goes on.
    """
    found = table(around, arguments)
    new = _new(found, arguments)
    answer, named = _made(found, new)
    if named is None:
        return {**answer, "trial": None}
    user = named.job.user or around.user
    around.after = {"line": new.line}
    begun = time.time()
    started = start(prepare(named, user, around.asker))
    if user != around.user:
        over = started.wait(TRIAL)
        return {**answer, "trial": _trial(started, None, over=over, note=f"its runs are those of {user}")}
    run = run_of(around.state_dir, named.names, begun, patience=TRIAL, ended=True)
    over = started.wait(0.0 if run is None or run.result == "running" else 1.0)
    return {**answer, "trial": _trial(started, run, over=over, output=_output(around, run) if run else b"")}


def _trial(
    started: Started, run: Run | None, *, over: bool, output: bytes = b"", note: str = ""
) -> dict[str, Any]:
    """Give what became of a trial: ``run`` (None where none is on record), ``result``, ``output``."""
    result = run.result if run else ("" if over else "running")
    words = result_words(run.result, run.exit_code, run.signal) if run else ""
    said = (output + (b"" if run else started.said))[:SHOWN]
    return {
        "run": run.run if run else None,
        "result": result,
        "words": words,
        "over": over or (run is not None and run.result != "running"),
        "duration": run.duration if run else None,
        "output": visible(said),
        "note": note or "; ".join(_more(run) if run else ()),
    }


def _more(run: Run) -> list[str]:
    """Give why a run is not all right, but for what its result says."""
    return [why for why in run.reasons if run.result != "ok" and not why.startswith("exit status")]


def _output(around: Surroundings, run: Run) -> bytes:
    kept = output_of(around.state_dir, run)
    return kept.head + kept.tail


def _new(found: Table, arguments: Arguments) -> NewLine:
    form = {key: value for key, value in arguments.items() if key != "id"}
    for key, value in form.items():
        if not isinstance(value, str) or len(value) > LONGEST_FIELD:
            raise Refused(422, f"{key} is no text, or too long for a line of a crontab")
    into = Into(
        octets=found.octets, system=found.system, dialect=found.dialect, prefix=prefix_at_end(found.text)
    )
    new = new_line(form, into)
    user = form.get("user", "").strip()
    if found.system and user and not is_user(user):
        return new.replace(line="", faults=(*new.faults, ("user", f"there is no user {user}")))
    return new
