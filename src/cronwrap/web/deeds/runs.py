"""The runs of a user: listed, one of them, and one ended."""

from __future__ import annotations

import time
from typing import Any

from cronwrap.errors import StateError
from cronwrap.history.finding import find
from cronwrap.history.lists import page, tallies
from cronwrap.history.run import Run
from cronwrap.history.tally import durations
from cronwrap.job import use
from cronwrap.manage.outbox import as_object
from cronwrap.manage.runs import bring_up_to_date, public, result_words, uses, waiting_report
from cronwrap.manage.stopping import stop as end
from cronwrap.manage.stopping import under_way
from cronwrap.settings.values import duration
from cronwrap.text import median
from cronwrap.web.deeds.base import Arguments, Refused, Surroundings, wanted
from cronwrap.web.deeds.jobs import limit_of

PAGE = 50


def listed(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give runs, newest first: ``items``, ``ranks`` to merge by, ``next`` as a cursor.

    ``job``, ``failed`` and ``since`` choose.
    """
    bring_up_to_date(around.state_dir, around.settings["history.keep"])
    limit = limit_of(arguments, PAGE)
    found = page(
        around.state_dir,
        job=arguments.get("job") or None,
        failed=bool(arguments.get("failed")),
        since=since_of(arguments),
        before=_before(arguments),
        limit=limit + 1,
    )
    more = found[limit - 1] if len(found) > limit else None
    return {
        "items": list(map(as_row, found[:limit])),
        "ranks": [[-run.started] for run in found[:limit]],
        "next": f"{more.started!r} {more.run}" if more else None,
    }


def as_row(run: Run) -> dict[str, Any]:
    """Give a run as ``history --json`` does, and its result in words."""
    return {
        **public(run),
        "by_hand": run.by_hand,
        "result_words": result_words(run.result, run.exit_code, run.signal),
        "short": run.short,
    }


def one(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give all that is known of a run but its output. Refused (404) when there is no such run."""
    found = the_run(around, wanted(arguments, "run"))
    report = waiting_report(around.state_dir, found.run)
    known = tallies(around.state_dir, [found.job]).get((found.job, found.user))
    usual = durations(known[0]) if known else ()
    return {
        **as_row(found),
        "stdout_bytes": found.stdout_bytes,
        "stderr_bytes": found.stderr_bytes,
        "quiet_reason": found.quiet_reason,
        "usual_duration": median(usual) if usual else None,
        "uses": uses(use.of_run(found) if found.result == "running" else None),
        "report": as_object(report) if report else None,
    }


def stop(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Ask a run to end, as ``--timeout`` would end it; it takes until its ``--kill-after`` at most."""
    run = wanted(arguments, "run")
    found = [fields for fields in under_way(around.state_dir, run) if fields["run"] == run]
    if not found:
        ended = the_run(around, run)
        words = result_words(ended.result, ended.exit_code, ended.signal)
        raise Refused(409, "This run has ended", f"Its result: {words}")
    around.before = {"run": run, "job": found[0]["job"]}
    try:
        end(around.state_dir, found[0], f"by {around.asker} (on the page)")
    except StateError as error:
        raise Refused(409, "This run cannot be ended", str(error)) from None
    return {"run": run, "job": found[0]["job"], "said": f"The run of {found[0]['job']} is being ended"}


def the_run(around: Surroundings, run: str) -> Run:
    """Give a run by its id. Refused (404) when there is none."""
    bring_up_to_date(around.state_dir, around.settings["history.keep"])
    try:
        found = find(around.state_dir, run)
    except StateError:
        found = None
    if found is None or found.run != run:
        raise Refused(404, "There is no such run", "It may have been forgotten: see [history] keep")
    return found


def since_of(arguments: Arguments) -> float | None:
    """Give the Unix time from which on runs are asked for, or None. Refused for a span that is none."""
    since = arguments.get("since") or None
    try:
        return None if since is None else time.time() - duration(since)
    except ValueError as error:
        raise Refused(422, "The time is none", str(error)) from None


def _before(arguments: Arguments) -> tuple[float, str] | None:
    cursor = str(arguments.get("cursor") or "")
    if not cursor:
        return None
    started, _, run = cursor.partition(" ")
    try:
        return float(started), run
    except ValueError:
        raise Refused(422, "The cursor is none", "Take it from the next of a list, as it is") from None
